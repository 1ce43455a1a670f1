"""The worked example of docs/theory-engines.md passes the suite as it is printed, entry point included."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "theory-engines.md"


def test_the_engine_of_the_page_passes_the_suite(tmp_path: Path) -> None:
    for package in ("ase", "skimage"):
        pytest.importorskip(package, reason="needs the extra 'theory'")
    text = PAGE.read_text(encoding="utf-8")
    for name, code in re.findall(r"^```python\n(# (?:\w+)\.py)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        (tmp_path / name.removeprefix("# ")).write_text(code, encoding="utf-8")
    info = tmp_path / "page_engine-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: page-engine\nVersion: 0.1\n", encoding="utf-8")
    (toml,) = re.findall(r"^```toml\n\[project.entry-points.\"(.*?)\"\]\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (info / "entry_points.txt").write_text(f"[{toml[0]}]\n{toml[1].replace(chr(34), '')}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--rootdir", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed.group(1)) >= 15
