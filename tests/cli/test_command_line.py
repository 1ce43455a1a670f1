"""What every command shares: a quick start, help, and exit codes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from probescout.cli.main import app

COMMANDS = sorted(str(command.name) for command in app.registered_commands)
HEAVY = ("torch", "gpytorch", "botorch", "xarray", "scipy", "matplotlib", "h5py", "grpc")


def probescout(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "probescout.cli", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_help_names_every_command() -> None:
    done = probescout("--help")
    assert done.returncode == 0
    assert all(command in done.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", [*([c] for c in COMMANDS), []])
def test_help_loads_nothing_heavy(command: list[str]) -> None:
    code = (
        "import sys; from probescout.cli.main import app; "
        f"app([*{command!r}, '--help'], standalone_mode=False); "
        f"print('loaded', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip().endswith("loaded []"), done.stdout + done.stderr


def test_every_command_of_this_version_is_there() -> None:
    assert {"convert", "demo", "doctor", "inspect", "plugins", "replay", "serve", "watch"} <= set(COMMANDS)


@pytest.mark.parametrize(
    "arguments", [("unheard",), ("watch",), ("inspect", "--unheard"), ("watch", "c", "--after", "x")]
)
def test_wrong_use_exits_with_two(arguments: tuple[str, ...]) -> None:
    done = probescout(*arguments)
    assert done.returncode == 2 and done.stdout == "" and "Usage" in done.stderr
