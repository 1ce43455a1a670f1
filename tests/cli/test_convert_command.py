"""`probescout convert` as a person runs it: in a process of its own."""

import json
import subprocess
import sys

import numpy as np
import pytest

from probescout.replay.recording import Recording


def probescout(*arguments, cwd) -> subprocess.CompletedProcess:
    code = "from probescout.cli.main import run; run()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(12)
    np.savez(tmp_path / "file.npz", cube=rng.random((5, 6, 9)), height=rng.random((5, 6)))
    return tmp_path


def test_list_writes_nothing_and_shows_everything(folder):
    done = probescout("convert", "file.npz", "--list", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)
    assert [(s["name"], s["shape"]) for s in listed["signals"]] == [("cube", [5, 6, 9]), ("height", [5, 6])]
    assert "cube" in done.stderr
    assert [p.name for p in folder.iterdir()] == ["file.npz"]


def test_convert_says_what_it_read_and_wrote(folder):
    done = probescout(
        "convert",
        "file.npz",
        "out.nc",
        "--image",
        "file.npz:height",
        "--targets",
        "height",
        "--json",
        "r.json",
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    assert "(5, 6, 9)" in done.stdout and "out.nc" in done.stdout
    result = json.loads((folder / "r.json").read_text())
    assert result["spectrum"]["shape"] == [5, 6, 9]
    assert (result["image"]["name"], list(result["targets"]), result["n_recorded"]) == ("height", ["height"], 30)
    recording = Recording.load(folder / "out.nc")
    with np.load(folder / "file.npz") as archive:
        np.testing.assert_array_equal(recording.image, archive["height"])
        np.testing.assert_array_equal(recording.loaded().spectrum, archive["cube"])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["convert", "file.npz"], "error FIELD_MISSING (out)"),
        (["convert", "none.npz", "--list"], "error FILE_UNREADABLE (path)"),
        (["convert", "file.npz", "out.nc", "--image-from", "median"], "error FIELD_INVALID (image_from)"),
        (["convert", "file.npz", "out.nc", "--select", "channel"], "error FIELD_INVALID (select)"),
    ],
)
def test_errors_are_one_line_and_exit_two(folder, arguments, text):
    done = probescout(*arguments, cwd=folder)
    assert done.returncode == 2
    assert done.stderr.startswith(text) and done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_the_command_line_starts_without_heavy_imports(tmp_path):
    code = (
        "import sys; import probescout.cli.convert, probescout.cli.json_output; "
        "print(sorted({'numpy', 'xarray', 'h5py', 'torch', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
