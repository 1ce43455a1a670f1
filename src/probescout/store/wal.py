"""Looks for commits that SQLite would drop from a damaged write-ahead log without a word.

On opening, SQLite takes the log up to the first frame whose checksum is wrong and forgets the rest, because after a
crash a broken tail is normal. But only the last transaction can be broken by a crash: each one is synced before the
next begins. Frames of this log's generation beyond the first commit after the break therefore were committed once.

File format: https://www.sqlite.org/fileformat2.html#walformat (section 4.1 to 4.3).
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_MAGIC = 0x377F0682  # the lowest bit says whether checksums read words as big-endian


@dataclass(frozen=True)
class WalDamage:
    """Committed frames that lie behind a broken one."""

    frame: int
    """First broken frame, from 1; 0 when it is the header of the log."""
    n_commits: int
    """Commits in and behind the broken part that SQLite will not see; 0 when unknown."""

    def __str__(self) -> str:
        """Say it to a person."""
        if self.frame == 0:
            return "the header of the write-ahead log is damaged, and SQLite ignores the whole log"
        return (
            f"frame {self.frame} of the write-ahead log is damaged, and commits behind it are lost ({self.n_commits})"
        )


def inspect(path: Path) -> WalDamage | None:
    """Return what a log has lost, or None when it is whole, absent or only torn by a crash.

    Raises:
        OSError: When the file cannot be read.
    """
    if not path.exists() or path.stat().st_size <= _HEADER.size:
        return None  # SQLite syncs the header before it writes the first frame
    with open(path, "rb") as file:
        header = file.read(_HEADER.size)
        magic, _, page_size, _, *salts, sum0, sum1 = _HEADER.unpack(header)
        is_plausible = magic & ~1 == _MAGIC and 512 <= page_size <= 65536 and page_size & (page_size - 1) == 0
        if not is_plausible or checksum(header[:24], (0, 0), is_big=bool(magic & 1)) != (sum0, sum1):
            return WalDamage(0, 0)
        return _lost(file, page_size, tuple(salts), (sum0, sum1), is_big=bool(magic & 1))


def _lost(
    file: BinaryIO, page_size: int, salts: tuple[int, ...], running: tuple[int, int], *, is_big: bool
) -> WalDamage | None:
    """Follow the frames to the first broken one, then count the commits behind it."""
    first_bad, n_commits, is_beyond = 0, 0, False
    for number, (head, page) in enumerate(_frames(file, page_size), start=1):
        _, size_after_commit, salt0, salt1, sum0, sum1 = _FRAME.unpack(head)
        is_ours = (salt0, salt1) == salts
        if not first_bad:
            running = checksum(head[:8] + page, running, is_big=is_big)
            if is_ours and running == (sum0, sum1):
                continue
            first_bad = number
        if is_ours:
            is_beyond = is_beyond or n_commits > 0
            n_commits += size_after_commit > 0
    return WalDamage(first_bad, n_commits) if is_beyond else None


def _frames(file: BinaryIO, page_size: int) -> Iterator[tuple[bytes, bytes]]:
    while len(frame := file.read(_FRAME.size + page_size)) == _FRAME.size + page_size:
        yield frame[: _FRAME.size], frame[_FRAME.size :]


def checksum(data: bytes, start: tuple[int, int], *, is_big: bool) -> tuple[int, int]:
    """Return the checksum of section 4.2 over whole pairs of 32-bit words.

    The rule (s0 += x0 + s1; s1 += x1 + s0, modulo 2^32) is linear, so it is a dot product with fixed weights.
    """
    words = np.frombuffer(data, ">u4" if is_big else "<u4").astype(np.uint32)
    weights, carry = _weights(words.size // 2)
    begin = np.array(start, np.uint32)
    s0, s1 = ((weights * words).sum(axis=1, dtype=np.uint32) + (carry * begin).sum(axis=1, dtype=np.uint32)).tolist()
    return s0, s1


@functools.lru_cache(maxsize=8)
def _weights(n_pairs: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return weights (sum, word) of the words and (sum, sum) of the running checksum."""
    modulus = 1 << 32
    power = (1, 0, 0, 1)  # [[1, 1], [1, 2]] ** 0
    weights = np.empty((2, 2 * n_pairs), np.uint32)
    for pair in reversed(range(n_pairs)):
        a, b, c, d = power
        weights[:, 2 * pair] = ((a + b) % modulus, (c + d) % modulus)
        weights[:, 2 * pair + 1] = (b, d)
        power = ((a + b) % modulus, (a + 2 * b) % modulus, (c + d) % modulus, (c + 2 * d) % modulus)
    return weights, np.array([power[:2], power[2:]], np.uint32)
