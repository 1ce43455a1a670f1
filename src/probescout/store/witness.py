"""The head witness: how far the journal had come, kept outside the database.

A database whose tail was cut off cleanly looks whole. The witness says that there was more.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from probescout.core.errors import HistoryMismatch, Reason
from probescout.core.ports import Head
from probescout.store import durable
from probescout.store.chain import sha256

NAME = "head.json"


@dataclass(frozen=True)
class Witness:
    """Where both chains stood when it was written."""

    events: Head
    receipts: Head


def save(directory: Path, witness: Witness) -> None:
    """Replace the witness of a campaign.

    Raises:
        OSError: When the disk refuses; the old witness stays.
    """
    body = _body(witness)
    text = json.dumps({**body, "check": _check(body)}, indent=1)
    # Without a directory sync: after a power loss the older witness may come back, and that one is true as well.
    durable.write(directory / NAME, text.encode(), scratch=directory / f"{NAME}.new")


def load(directory: Path) -> Witness | None:
    """Return the witness of a campaign, or None when there is none.

    Raises:
        HistoryMismatch: JOURNAL_CORRUPT when it is damaged.
        OSError: When it cannot be read.
    """
    path = directory / NAME
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        found = json.loads(raw)
        witness = Witness(
            Head(int(found["events"]["seq"]), str(found["events"]["hash"])),
            Head(int(found["receipts"]["seq"]), str(found["receipts"]["hash"])),
        )
        check = found["check"]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, f"it cannot be read ({error})") from error
    if check != _check(_body(witness)):
        raise _damaged(path, "its content does not match its check sum")
    return witness


def _body(witness: Witness) -> dict[str, dict[str, int | str]]:
    chains = {"events": witness.events, "receipts": witness.receipts}
    return {name: {"seq": head.seq, "hash": head.hash} for name, head in chains.items()}


def _check(body: dict[str, dict[str, int | str]]) -> str:
    return sha256(json.dumps(body, sort_keys=True).encode())


def _damaged(path: Path, what: str) -> HistoryMismatch:
    return HistoryMismatch(
        Reason.JOURNAL_CORRUPT,
        f"the head witness {path} is damaged: {what}; without it a lost tail cannot be seen: compare the newest event "
        "with what the clients saw, then restore the file from a copy, or salvage the journal into a new campaign",
        field=NAME,
    )
