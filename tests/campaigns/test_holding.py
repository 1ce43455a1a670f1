"""One process drives an instrument: the lock names its holder, and dies with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from probescout.campaigns.holding import holding, lock_path
from probescout.core.errors import Reason, WrongState

HOLDER = """
import sys
from probescout.campaigns.holding import holding
with holding(["titan"], "campaign file night in /lab"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_process_that_is_killed_leaves_the_instrument_free() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(WrongState) as refused, holding(["titan"], "another"):
            pass
        assert refused.value.reason is Reason.INSTRUMENT_HELD
        assert f"process {holder.pid}, campaign file night in /lab" in refused.value.message
        with holding(["stem"], "another instrument is free"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with holding(["titan"], "another"):
            pass


def test_all_instruments_or_none() -> None:
    with holding(["b"], "one"):
        with pytest.raises(WrongState), holding(["a", "b"], "both"):
            pass
        with holding(["a"], "the first was given back"):
            pass


def test_every_user_may_lock_and_names_keep_apart() -> None:
    before = os.umask(0o077)
    try:
        with holding(["a/b"], "x" * 10_000):
            pass
    finally:
        os.umask(before)
    assert lock_path("a/b").stat().st_mode & 0o777 == 0o666 and lock_path("a/b").stat().st_size <= 512
    assert lock_path("a/b") != lock_path("a_b") and lock_path("ä" * 200).name.isascii()


def test_a_lock_whose_file_was_tidied_away_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    path = lock_path("titan")
    real, opened = os.open, []

    def tidied(*arguments: object) -> int:
        descriptor = real(*arguments)  # type: ignore[arg-type]
        if not opened:
            opened.append(descriptor)
            Path(path).unlink()
        return descriptor

    path.touch()
    monkeypatch.setattr(os, "open", tidied)
    with holding(["titan"], "one"):
        assert path.read_text().startswith(str(os.getpid()))
