"""What every command shares: a quick start, help, and exit codes."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from probescout.cli.main import app

COMMANDS = sorted(str(command.name) for command in app.registered_commands)
HEAVY = ("torch", "gpytorch", "botorch", "xarray", "scipy", "matplotlib", "h5py", "grpc")


def probescout(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "probescout.cli", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_help_answers_at_once() -> None:
    times = []
    for _ in range(3):
        began = time.perf_counter()
        assert probescout("--help").returncode == 0
        times.append(time.perf_counter() - began)
    # The best of three: other work on the computer may hold one up.
    assert min(times) < 0.5


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_loads_nothing_heavy(command: str) -> None:
    code = (
        "import sys; from probescout.cli.main import app; "
        f"app([{command!r}, '--help'], standalone_mode=False); "
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
