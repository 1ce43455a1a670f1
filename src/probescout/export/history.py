"""A campaign as its journal tells it, read beside a server at work; nothing on the disk is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.campaign import apply, create
from probescout.core.candidates import CandidateSet
from probescout.core.errors import HistoryMismatch, ProbescoutError, Reason
from probescout.core.events import Created, Event, FrameAdded, Observed, decode
from probescout.core.observations import Observation, SignalRecord
from probescout.core.ports import Record
from probescout.core.spectra import Spectrum
from probescout.core.state import Campaign
from probescout.store.blobs import MAX_BLOB_BYTES, Blobs
from probescout.store.journal import Journal
from probescout.store.verify import verify


@dataclass(frozen=True)
class History:
    """Everything that an export is made of."""

    state: Campaign
    lines: tuple[str, ...]
    """The events as JSON, oldest first."""
    blobs: Blobs
    problems: tuple[str, ...] = ()
    """What is damaged; the rest was read."""
    signals: dict[str, bytes] = field(default_factory=dict)
    """Bytes that lie beside an event, by observation."""
    hashes: tuple[str, ...] = ()
    """Of the events, oldest first."""
    time: float = 0.0
    """Of the newest event, seconds since 1970 UTC."""

    def hash_at(self, seq: int) -> str:
        """Return the hash of an event, the first one being 1; empty when there is no such event."""
        return self.hashes[seq - 1] if 0 < seq <= len(self.hashes) else ""

    def signal(self, observation: Observation) -> Spectrum | None:
        """Return the raw signal of a measurement; None when there is none, or it is among the problems."""
        if observation.signal is None:
            return None
        data = self.signals.get(observation.id)
        if data is None:
            data = self._blob(observation.signal)
        return None if data is None else observation.signal.spectrum(data)

    def image(self) -> NDArray[Any] | None:
        """Return the overview (y, x) or (channel, y, x); None when there is none, or it is among the problems."""
        record = self.state.frame.added.image if self.state.frame is not None else None
        data = self._blob(record) if record is not None else None
        return None if record is None or data is None else np.asarray(record.spectrum(data).values)

    def _blob(self, record: SignalRecord) -> bytes | None:
        if not record.blob:
            return None
        try:
            return self.blobs.get(record.blob)
        except ProbescoutError:
            # `problems` names a lost or damaged blob; everything else is still worth exporting.
            return None


def folded(directory: Path) -> Iterator[tuple[Record, Event, Campaign | None]]:
    """Yield the events of a journal up to the first bad one, and the state that each leads to; changes nothing.

    Raises:
        NotFound: CAMPAIGN_NOT_FOUND when there is no journal.
        HistoryMismatch: JOURNAL_CORRUPT at an event that this program does not know.
    """
    blobs = blobs_of(directory)
    state: Campaign | None = None
    for record in Journal.salvage(directory):
        event = decode(record)
        if isinstance(event, Created):
            state = create(event)
        elif state is not None:
            state = apply(state, event)[0]
            if isinstance(event, FrameAdded):
                state = _with_positions(state, event, blobs)
        yield record, event, state


def blobs_of(directory: Path) -> Blobs:
    """Return the blobs of a campaign, for reading."""
    return Blobs(directory, max_blob_bytes=MAX_BLOB_BYTES, max_uploads=0)


def read_history(directory: Path) -> History:
    """Read the campaign in a directory, up to the first bad event.

    Raises:
        NotFound: CAMPAIGN_NOT_FOUND when there is no journal.
        HistoryMismatch: JOURNAL_CORRUPT when not even the first event can be read.
    """
    problems = list(verify(directory).problems)
    state: Campaign | None = None
    lines: list[str] = []
    hashes: list[str] = []
    time = 0.0
    signals: dict[str, bytes] = {}
    try:
        for record, event, reached in folded(directory):
            state = reached
            if isinstance(event, Observed) and record.data is not None:
                signals[event.observation.id] = record.data
            lines.append(_line(record))
            hashes.append(record.hash)
            time = record.time
    except HistoryMismatch as error:
        problems.append(error.message)
    if state is None:
        raise HistoryMismatch(
            Reason.JOURNAL_CORRUPT,
            f"{directory} holds no campaign: its first event is missing or damaged; `probescout inspect` tells more",
            field="path",
        )
    return History(state, tuple(lines), blobs_of(directory), tuple(problems), signals, tuple(hashes), time)


def _with_positions(state: Campaign, event: FrameAdded, blobs: Blobs) -> Campaign:
    """Return the state with the candidates of given patches, which lie in a blob, in place."""
    if event.positions is None:
        return state
    try:
        positions = event.positions.spectrum(blobs.get(event.positions.blob)).values
    except ProbescoutError:
        # `verify` names a lost or damaged blob; what is told of the rest needs no positions.
        return state
    return replace(state, candidates=CandidateSet.of_positions(np.asarray(positions)))


def _line(record: Record) -> str:
    """Return an event as one line of JSON, without the tokens that prove who holds a lease."""
    told = {
        "seq": record.seq,
        "time": record.time,
        "kind": record.kind,
        "principal": record.principal,
        "hash": record.hash,
        "payload": _without_tokens(record.payload),
    }
    return json.dumps(told, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _without_tokens(payload: Any) -> Any:
    leases = payload.get("suggestions")
    if not isinstance(leases, list) or not all(isinstance(lease, dict) for lease in leases):
        return payload
    return {**payload, "suggestions": [{k: v for k, v in s.items() if k != "token"} for s in leases]}
