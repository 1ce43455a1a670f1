"""Disposable copies of the model on disk, tied to the journal that they were learnt from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import probescout
from probescout.core.errors import Unavailable
from probescout.core.state import Campaign
from probescout.runtime.ledger import Ledger
from probescout.store import snapshots

_log = logging.getLogger(__name__)


def _versions(state: Campaign) -> dict[str, str]:
    """Return everything that must be the same for a snapshot to be of use."""
    spec, frame = state.spec, state.frame
    added = frame.added if frame is not None else None
    picture = (added.image or added.patches) if added is not None else None
    return {
        "probescout": probescout.__version__,
        "stride": str(spec.candidates.stride),
        "is_minimizing": str(spec.is_minimizing),
        "seed": str(spec.seed),
        "is_deep_member_disabled": str(spec.is_deep_member_disabled),
        "members": " ".join(spec.members),
        "image": picture.blob if picture is not None else "",
        **({"transfer": spec.transfer.blob} if spec.transfer is not None else {}),
    }


def save(ledger: Ledger, told: Mapping[str, Any]) -> None:
    """Write what a brain told of its state; a disk that refuses costs only time at the next start."""
    assert ledger.directory is not None
    head = ledger.head
    try:
        snapshots.save(
            ledger.directory, seq=head.seq, event_hash=head.hash, versions=_versions(ledger.state), state=dict(told)
        )
    except Unavailable as error:
        _log.warning("campaign %s: %s", ledger.state.id, error)


def load(directory: Path | None, state: Campaign, hash_at: Callable[[int], str]) -> dict[str, Any] | None:
    """Return the newest copy that fits the journal, or None.

    Args:
        directory: Of the campaign; None when it keeps no copies.
        state: What the journal leads to.
        hash_at: Returns the hash of an event in the journal; empty when there is no such event.
    """
    if directory is None:
        return None
    found = snapshots.load_latest(directory, seq_hash_of=hash_at, versions=_versions(state))
    return found[1] if found is not None else None
