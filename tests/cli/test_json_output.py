"""The option --json [PATH] in every position, and what it writes."""

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from probescout.cli.json_output import JsonOption, OptionalJsonPath, complete_json, text_stream, write_json
from probescout.core.errors import InvalidInput

app = typer.Typer(cls=OptionalJsonPath)


@app.callback()
def main() -> None:
    pass


@app.command()
def read(file: str, out: str | None = typer.Argument(None), n: int = 1, json_to: JsonOption = None) -> None:
    print(json.dumps([file, out, n, json_to]))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("read F", ["F", None, 1, None]),
        ("read F --json", ["F", None, 1, "-"]),
        ("read F --json -", ["F", None, 1, "-"]),
        ("read F --json out.json", ["F", None, 1, "out.json"]),
        ("read F --json=out.json", ["F", None, 1, "out.json"]),
        ("read --json out.json F O", ["F", "O", 1, "out.json"]),
        ("read --json - F O --n 4", ["F", "O", 4, "-"]),
        ("read F --json --n 4", ["F", None, 4, "-"]),
        ("read --json --n 4 F", ["F", None, 4, "-"]),
        ("read F --n 4 --json", ["F", None, 4, "-"]),
        ("read -- F --json", ["F", "--json", 1, None]),
    ],
)
def test_every_way_to_write_it(line, expected):
    result = CliRunner().invoke(app, line.split())
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == expected


def test_other_arguments_are_left_alone():
    assert complete_json(["a", "--jsonx", "-", "--json=x"]) == ["a", "--jsonx", "-", "--json=x"]


def test_numbers_that_json_lacks_become_null(tmp_path, capsys):
    result = {
        "a": np.float64("nan"),
        "b": np.arange(3),
        "c": (1, float("inf")),
        "d": None,
        "e": tmp_path,
        "f": np.True_,
    }
    write_json(result, str(tmp_path / "deep" / "out.json"))
    written = json.loads((tmp_path / "deep" / "out.json").read_text())
    assert written == {"a": None, "b": [0, 1, 2], "c": [1, None], "d": None, "e": str(tmp_path), "f": True}
    write_json(result, "-")
    assert json.loads(capsys.readouterr().out) == written


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InvalidInput, match="cannot be written"):
        write_json({}, str(tmp_path / "file" / "out.json"))


def test_text_leaves_standard_output_to_the_json(capsys):
    print("for a person", file=text_stream("-"))
    print("also", file=text_stream("out.json"))
    captured = capsys.readouterr()
    assert (captured.err, captured.out) == ("for a person\n", "also\n")
