"""G9: a sync that fails is not retried and then acknowledged."""

import os
import shutil
import subprocess
import sys

import pytest

from probescout.store.journal import Journal

LIBRARY = """
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
static int fail(void) { errno = EIO; return -1; }
static int is_sick(void) { return access(getenv("SICK_DISK"), F_OK) == 0; }
#include <sys/syscall.h>
int fsync(int file) { return is_sick() ? fail() : syscall(SYS_fsync, file); }
int fdatasync(int file) { return is_sick() ? fail() : syscall(SYS_fdatasync, file); }
"""

CHILD = """
import os, signal, sys
from pathlib import Path
from probescout.core.errors import Unavailable
from probescout.core.ports import NewEvent, Receipt
from probescout.store.journal import Journal

sick = Path(os.environ["SICK_DISK"])
journal = Journal.open(Path(sys.argv[1]))

def append(i):
    event = NewEvent("Observed", {"i": i}, bytes(3000 * (3 - i % 3)))
    return journal.append([event], time=0.0, principal="p", receipts=[Receipt(f"r{i}", "d", b"")])[0].hash

hashes = [append(i) for i in range(20)]
for _ in range(3):
    sick.touch()
    for i in (20, 21, 20):
        try:
            append(i)
        except Unavailable as error:
            assert "disk I/O error" in str(error), error
        else:
            raise AssertionError("acknowledged without a sync")
        assert [r.hash for r in journal.read()] == hashes
        assert journal.receipt(f"r{i}") is None
    sick.unlink()
for i in range(20, 25):
    hashes.append(append(i))
assert [r.hash for r in journal.read()] == hashes
if sys.argv[2] == "sick at the end":
    sick.touch()
    try:
        append(25)
    except Unavailable:
        pass
print(*hashes, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    compiler = shutil.which("gcc")
    if not (compiler and sys.platform == "linux"):
        pytest.skip("making fsync fail needs Linux and gcc")
    folder = tmp_path_factory.mktemp("library")
    (folder / "sick.c").write_text(LIBRARY)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", "sick.so", "sick.c"], cwd=folder, check=True)
    return folder / "sick.so"


@pytest.mark.parametrize("end", ["well at the end", "sick at the end"])
def test_nothing_is_acknowledged_without_a_sync_and_nothing_acknowledged_is_lost(library, tmp_path, end):
    environment = {**os.environ, "LD_PRELOAD": str(library), "SICK_DISK": str(tmp_path / "sick")}
    command = [sys.executable, "-c", CHILD, str(tmp_path / "campaign"), end]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    hashes = child.stdout.split()
    assert len(hashes) == 25, child.stderr
    with Journal.open(tmp_path / "campaign") as journal:
        found = [(r.payload["i"], r.hash) for r in journal.read()]
        assert found[:25] == list(enumerate(hashes))
        # An event that was refused when the process died may have reached the disk, then with its receipt.
        assert [i for i, _ in found[25:]] in ([], [25])
        assert (journal.receipt("r25") is not None) == (len(found) == 26)
