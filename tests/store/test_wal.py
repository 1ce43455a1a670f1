"""The inspection of the write-ahead log, against SQLite's own checksums and a slow copy of the rule."""

import random
import sqlite3
import struct

import pytest

from probescout.store import wal


def slow_checksum(data, start, *, is_big):
    s0, s1 = start
    words = struct.unpack(f"{'>' if is_big else '<'}{len(data) // 4}I", data)
    for x0, x1 in zip(words[::2], words[1::2], strict=True):
        s0 = (s0 + x0 + s1) % 2**32
        s1 = (s1 + x1 + s0) % 2**32
    return s0, s1


@pytest.mark.parametrize("is_big", [False, True])
@pytest.mark.parametrize("size", [8, 24, 520, 4104, 65544])
def test_checksum_follows_the_rule(size, is_big):
    rng = random.Random(size)
    data, start = rng.randbytes(size), (rng.getrandbits(32), rng.getrandbits(32))
    assert wal.checksum(data, start, is_big=is_big) == slow_checksum(data, start, is_big=is_big)


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_a_log_of_sqlite_is_whole_and_a_broken_one_is_not(tmp_path, page_size):
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    connection.execute(f"PRAGMA page_size = {page_size}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t (x)")
    for i in range(5):
        connection.execute("INSERT INTO t VALUES (?)", (bytes([i]) * 50,))
    log = tmp_path / "a.db-wal"
    raw = bytearray(log.read_bytes())
    assert wal.inspect(log) is None
    assert wal.inspect(tmp_path / "none") is None
    connection.close()
    (copy := tmp_path / "copy").write_bytes(raw)
    n_frames = (len(raw) - 32) // (24 + page_size)
    for frame in range(1, n_frames + 1):
        broken = raw.copy()
        broken[32 + (frame - 1) * (24 + page_size) + 24 + page_size // 2] ^= 4
        copy.write_bytes(broken)
        found = wal.inspect(copy)
        if frame == n_frames:
            assert found is None  # the last commit may have been torn by a crash
        else:
            assert found is not None
            assert found.frame == frame
    raw[30] ^= 1
    copy.write_bytes(raw)
    assert wal.inspect(copy) == wal.WalDamage(0, 0)
    copy.write_bytes(raw[:32])
    assert wal.inspect(copy) is None
