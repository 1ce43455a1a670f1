"""The worked example of docs/plugins.md runs as it is printed, entry points included."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def install(folder: Path) -> None:
    """Write the files of the page, and the metadata that an installer would make of its entry points."""
    for code in blocks("python"):
        name = re.match(r"# (\w+\.py)\n", code)
        assert name, f"the first line of a block names its file: {code[:40]!r}"
        (folder / name.group(1)).write_text(code, encoding="utf-8")
    (toml,) = blocks("toml")
    groups = tomllib.loads(toml)["project"]["entry-points"]
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()) for group, entries in groups.items()]
    info = folder / "page_example-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: page-example\nVersion: 0.1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_page_passes_its_own_tests(tmp_path: Path) -> None:
    install(tmp_path)
    done = run(tmp_path, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--rootdir", ".")
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed.group(1)) >= 18
    assert "skipped" not in done.stdout


def test_the_plugins_are_found_by_name(tmp_path: Path) -> None:
    install(tmp_path)
    code = (
        "from probescout.core.registry import PLANNERS, SCALARIZERS, find\n"
        "from probescout.core.ports import Planner\n"
        "print(find(SCALARIZERS, 'slope').distribution, find(SCALARIZERS, 'slope').load().__name__)\n"
        "print(isinstance(find(PLANNERS, 'exceedance').load()(level=1.0), Planner))\n"
    )
    done = run(tmp_path, "-c", code)
    assert done.stdout.split() == ["page-example", "Slope", "True"], done.stderr
