import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def test_twelve_lines(served, tmp_path):
    target, token = served
    (tmp_path / "token").write_text(token + "\n")
    command = [sys.executable, os.path.join(ROOT, "examples", "twelve_lines.py"), target, str(tmp_path / "token"), "14"]
    environment = dict(os.environ, PROBESCOUT_OUTBOX=str(tmp_path / "outbox"))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    points = re.findall(r"^\((0\.\d+), (0\.\d+)\) from (\w+)", done.stdout, re.MULTILINE)
    assert len(set(points)) == 14 and [source for _, _, source in points[:10]] == ["seed_design"] * 10
    assert "budget_probes; best" in done.stdout
