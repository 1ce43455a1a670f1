"""Engines that do as they are told, mostly wrong; the jobs of the conformance suite for executors name them.

They are no entry points: an executor under test is built so that it allows these classes, by the names `GATED` and
`MISBEHAVING`.
"""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from probescout.core.errors import MissingExtra, Reason
from probescout.core.theory import EngineFailure, Failure, Quantity, Report, TheoryPatch

GATED = "probescout.testing.bad_engines:Gated"
MISBEHAVING = "probescout.testing.bad_engines:Misbehaving"
ENGINES = (GATED, MISBEHAVING)
"""What an executor under test allows."""
ENERGY = Quantity("energy", 1.5, "eV", 0.1)
"""What an engine that behaves returns."""
_PORT = {"type": "integer", "title": "Port", "description": "Of the lookout of the test, on this computer; 0: none."}
_KEPT: list[socket.socket] = []
"""Open until the process and all its children are gone: that is how the lookout sees it."""


def announce(port: int) -> socket.socket:
    """Tell the lookout of a test who runs here."""
    line = socket.create_connection(("127.0.0.1", port))
    line.sendall(json.dumps({"pid": os.getpid(), "parent": os.getppid()}).encode() + b"\n")
    _KEPT.append(line)
    return line


class _Plain:
    """What is the same for both engines."""

    quantities: ClassVar[Mapping[str, str]] = {"energy": "eV", "gap": "eV"}

    def version(self) -> str:
        """Return a version."""
        return "1"

    def prepare(self, patch: TheoryPatch) -> Mapping[str, Any]:
        """Return a structure that tells of the patch: shape and sum of its image."""
        return {
            "shape": list(patch.image.shape),
            "sum": float(patch.image.sum()),
            "pixel_size_m": patch.pixel_size_m,
            "place": list(patch.place),
        }


@dataclass(frozen=True)
class Gated(_Plain):
    """Tells the lookout that it runs, and waits, deaf to polite signals, for the value that it is to return."""

    name: ClassVar[str] = "gated"
    summary: ClassVar[str] = "waits for a test"
    params_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"port": _PORT},
        "required": ["port"],
        "additionalProperties": False,
    }

    port: int

    def run(self, structure: Mapping[str, Any], report: Report) -> Sequence[Quantity]:
        """Return the value that the lookout sends as the energy."""
        for polite in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(polite, signal.SIG_IGN)
        line = announce(self.port)
        report(0.5, "waiting at the gate")
        told = line.makefile("rb").readline()
        return [Quantity("energy", json.loads(told), "eV", 0.25)]


@dataclass(frozen=True)
class Misbehaving(_Plain):
    """Does one thing wrong, or nothing."""

    name: ClassVar[str] = "misbehaving"
    summary: ClassVar[str] = "does one thing wrong"
    params_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"act": {"type": "string", "title": "Act", "description": "What it does."}, "port": _PORT},
        "required": ["act"],
        "additionalProperties": False,
    }

    act: str
    port: int = 0

    def version(self) -> str:
        """Return a version, or miss a library.

        Raises:
            MissingExtra: When it is told to.
        """
        if self.act == "miss":
            raise MissingExtra(Reason.MISSING_EXTRA, 'the engine needs nothing.real; run: pip install "nothing[real]"')
        return super().version()

    def prepare(self, patch: TheoryPatch) -> Mapping[str, Any]:
        """Return a structure, or refuse, or return 100 MB.

        Raises:
            EngineFailure: REFUSED when it is told to.
        """
        if self.act == "refuse":
            raise EngineFailure(Failure.REFUSED, "AMORPHOUS: 12 % of the columns lie on the lattice; at least 70 %")
        if self.act == "swell":
            return {"atoms": "C" * 100_000_000}
        return super().prepare(patch)

    def run(self, structure: Mapping[str, Any], report: Report) -> Sequence[Quantity]:
        """Do what it is told."""
        if self.port:
            announce(self.port)
        report(0.5, f"about to {self.act}")
        returned: Sequence[Quantity] = ACTS[self.act]()
        return returned


def _raise() -> Sequence[Quantity]:
    raise RuntimeError("the engine has a bug")


def _fail() -> Sequence[Quantity]:
    raise EngineFailure(Failure.NOT_CONVERGED, "forces of 0.3 eV/angstrom after 200 steps; at most 0.05")


def _print() -> Sequence[Quantity]:
    """Print megabytes, by Python and past it, also what looks like a result."""
    for _ in range(2000):
        print('{"result": {"state": "failed"}} and so on, ' * 20)
    sys.stdout.flush()
    os.write(1, b'\n{"end": {"code": 0}}\n')
    os.write(2, b"\xff\xfe not text\n")
    return [ENERGY]


def _hog() -> Sequence[Quantity]:
    kept = []
    while True:
        kept.append(bytearray(64 << 20))


def _segfault() -> Sequence[Quantity]:
    os.kill(os.getpid(), signal.SIGSEGV)
    return [ENERGY]


def _leave() -> Sequence[Quantity]:
    """Leave children behind that nothing polite ends: in the group, out of it, and orphans."""
    for is_leader in (False, True, False, True):
        if os.fork() == 0:
            if is_leader:
                os.setsid()
                if os.fork():
                    os._exit(0)
            while True:
                signal.pause()
    return [ENERGY]


def _leave_and_stay() -> Sequence[Quantity]:
    """Leave children behind and never come back."""
    _leave()
    while True:
        signal.pause()


def _return_twice() -> Sequence[Quantity]:
    """Come back from the engine in two processes."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return [ENERGY]


def _write_everywhere(data: bytes) -> Sequence[Quantity]:
    """Write to every descriptor that is open, whatever it is for."""
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, data)
        except OSError:
            continue  # not open, or not for writing
    return [ENERGY]


def _spin() -> Sequence[Quantity]:
    while True:
        pass


ACTS: Mapping[str, Callable[[], Any]] = {
    "behave": lambda: [ENERGY],
    "raise": _raise,
    "fail": _fail,
    "print": _print,
    "hog": _hog,
    "segfault": _segfault,
    "leave": _leave,
    "leave_and_stay": _leave_and_stay,
    "return_twice": _return_twice,
    "spin": _spin,
    "exit": lambda: os._exit(0),
    "sys_exit": lambda: sys.exit(3),
    "scribble": lambda: _write_everywhere(b"what is this?\n"),
    "flood": lambda: _write_everywhere(b"x" * 100_000_000),
    "swell": lambda: [ENERGY],
    "nan": lambda: [Quantity("energy", math.nan, "eV")],
    "infinite": lambda: [Quantity("energy", -math.inf, "eV")],
    "no_unit": lambda: [Quantity("energy", 1.5, "")],
    "wrong_unit": lambda: [Quantity("energy", 1.5, "Ry")],
    "undeclared": lambda: [Quantity("luck", 1.5, "eV")],
    "twice": lambda: [ENERGY, ENERGY],
    "unconverged": lambda: [ENERGY, Quantity("gap", 0.5, "eV", is_converged=False)],
    "negative_std": lambda: [Quantity("energy", 1.5, "eV", -0.1)],
    "nothing": lambda: [],
    "none": lambda: None,
    "rubbish": lambda: ["rubbish"],
}
