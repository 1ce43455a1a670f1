"""The models of a campaign's further objectives: one committee each, on the features of the first."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput
from probescout.core.ports import Scalarizer
from probescout.core.specs import Objective
from probescout.runtime.plugins import build
from probescout.runtime.scalarizing import scalarize
from probescout.surrogates.belief import CommitteeBelief
from probescout.surrogates.committee import Committee
from probescout.surrogates.features import Features

Rows = Sequence[Sequence[float]]
Message = Mapping[str, Any]
MakeCommittee = Callable[[Features], Committee]
_log = logging.getLogger(__name__)


class Further:
    """Scalarizes, learns and believes for every objective but the first; one that fails leaves the others alone.

    Rows are (candidate, value, variance), as measured; models see values whose sign makes larger better.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        """Build the scalarizers.

        Args:
            objectives: Those beside the first.

        Raises:
            InvalidInput: As `runtime.plugins.build`.
        """
        self._objectives = tuple(objectives)
        self.scalarizers: list[Scalarizer] = [
            build(
                "probescout.scalarizers",
                {"name": o.scalarizer.name, "params": o.scalarizer.params},
                field=f"spec.objectives[{i}].scalarizer",
            )
            for i, o in enumerate(self._objectives)
        ]
        self._committees: list[Committee] = []
        self._taught: list[list[list[float]]] = [[] for _ in self._objectives]
        self._fresh: dict[str, list[list[float] | None]] = {}
        """Rows learnt since the last rebuilding, one an objective, by observation."""

    # ------------------------------------------------------------ data

    def load(
        self, features: Features, make: MakeCommittee, taught: Sequence[Rows], fitted: Mapping[str, Any], saved: Any
    ) -> None:
        """Start models that know what the journal holds.

        Args:
            features: Of all candidates.
            make: Makes a committee.
            taught: Rows of each objective.
            fitted: Journalled hyperparameters by number, from "1".
            saved: What `state` returned for an earlier part of the same rows; None: nothing is saved.
        """
        self._fresh = {}
        self._committees = [make(features) for _ in self._objectives]
        for k in range(len(self._objectives)):
            rows = [[float(v) for v in row] for row in taught[k]]
            copy = saved[k] if saved is not None and len(saved) == len(self._objectives) else None
            if copy is not None and is_of(copy, rows) and self._restore(k, features, copy, rows):
                continue
            self._rebuild(k, rows)
            if str(k + 1) in fitted:
                take_fitted(self._committees[k], fitted[str(k + 1)])

    def renew(self, features: Features, make: MakeCommittee) -> None:
        """Start models of another make that learn the same rows."""
        self._committees = [make(features) for _ in self._objectives]
        for k, rows in enumerate(self._taught):
            self._rebuild(k, rows)

    def _restore(self, k: int, features: Features, copy: Message, rows: list[list[float]]) -> bool:
        restored = restore(features, copy["state"], self._committees[k].allowed)
        if restored is None:
            return False
        self._committees[k] = restored
        known = len(copy["taught"])
        self._taught[k] = rows[:known]
        for row in rows[known:]:
            self._tell(k, row)
        return True

    def score(self, message: Message) -> list[dict[str, Any]]:
        """Return what each objective makes of an observation's signal; see `scalarizing.scalarize`.

        A ready value that came with it is one of the first target.
        """
        bare = {**message, "value": None}
        pairs = zip(self._objectives, self.scalarizers, strict=True)
        return [scalarize(o.scalarizer.name, scalarizer, bare) for o, scalarizer in pairs]

    def learn(self, observation: str, candidate: int, scores: list[dict[str, Any]]) -> None:
        """Teach the models; a score that a model refuses gets the reason as its error."""
        learnt: list[list[float] | None] = []
        for k, score in enumerate(scores):
            row = [candidate, score["value"], score["variance"]]
            learnt.append(None)
            if score["error"]:
                continue
            try:
                self._tell(k, row)
                learnt[k] = row
            except InvalidInput as error:
                score["error"] = f"the model refused the value: {error.message}"
        self._fresh[observation] = learnt

    def prepare(self, index: int) -> None:
        """Work out in advance what learning from that candidate will need; see `Committee.prepare`."""
        for committee in self._committees:
            committee.prepare(index)

    def relearn(self, taught: Sequence[Rows], keep: Collection[str]) -> None:
        """Rebuild the models from the journal's rows and from those on their way into it, by observation."""
        self._fresh = {name: rows for name, rows in self._fresh.items() if name in keep}
        for k in range(len(self._objectives)):
            rows = [*taught[k], *(row for fresh in self._fresh.values() if (row := fresh[k]) is not None)]
            self._committees[k].begin_rebuild(self._signed(k, rows))
            self._taught[k] = [list(row) for row in rows]

    def _sign(self, k: int) -> float:
        return -1.0 if self._objectives[k].is_minimizing else 1.0

    def _signed(self, k: int, rows: Sequence[Any]) -> list[tuple[int, float, float]]:
        return [(int(i), self._sign(k) * float(v), float(var)) for i, v, var in rows]

    def _tell(self, k: int, row: Sequence[float]) -> None:
        self._committees[k].tell(int(row[0]), self._sign(k) * float(row[1]), float(row[2]))
        self._taught[k].append(list(row))

    def _rebuild(self, k: int, rows: Sequence[Any]) -> None:
        self._committees[k].rebuild(self._signed(k, rows))
        self._taught[k] = [list(row) for row in rows]

    # ------------------------------------------------------------ fits and answers

    @property
    def due(self) -> int | None:
        """Number, from 1, of an objective whose model wants a fit; None when none does."""
        return next((k for k, c in enumerate(self._committees, 1) if c.needs_fit()), None)

    def committee(self, objective: int) -> Committee:
        """Return the model of an objective, by its number from 1."""
        return self._committees[objective - 1]

    def beliefs(
        self, first: CommitteeBelief, available: NDArray[np.bool_], pending: Sequence[int]
    ) -> tuple[CommitteeBelief, ...]:
        """Return one belief each over the candidates of the first target's; see `Committee.belief`."""
        return tuple(committee.belief_like(first, available, pending) for committee in self._committees)

    @property
    def building(self) -> Committee | None:
        """A model of which another version is being built; None when there is none."""
        return next((c for c in self._committees if c.is_building), None)

    def allow(self, allowed: NDArray[np.bool_]) -> None:
        """Tell the models where suggestions may be made."""
        for committee in self._committees:
            committee.allow(allowed)

    def state(self) -> list[dict[str, Any]]:
        """Return what `load` takes as `saved`."""
        return [{"state": c.state(), "taught": t} for c, t in zip(self._committees, self._taught, strict=True)]


def is_of(snapshot: Message, rows: Rows) -> bool:
    """Return whether a snapshot has learnt exactly the first of these rows of (candidate, value, variance)."""
    taught = snapshot["taught"]
    if len(taught) > len(rows) or len(snapshot["state"]["arrays"]["index"]) != len(taught):
        return False
    known = np.asarray(rows[: len(taught)], float).reshape(-1, 3)
    # Unknown variances are NaN.
    return np.array_equal(known, np.asarray(taught, float).reshape(-1, 3), equal_nan=True)


def restore(features: Features, state: Message, allowed: NDArray[np.bool_] | None) -> Committee | None:
    """Return a saved committee; None for a copy that another version of this program made."""
    try:
        return Committee.restore(features, state, allowed=allowed)
    except InvalidInput as error:
        # The journal holds all that it knew.
        _log.warning("the snapshot is passed over: %s", error.message)
        return None


def take_fitted(committee: Committee, hyperparameters: Message) -> None:
    """Take over journalled hyperparameters, unless they are of a version of this program with other members."""
    try:
        committee.apply_hyperparameters(hyperparameters)
    except InvalidInput as error:
        # A fit is due then anyway, as if nothing had ever been fitted.
        _log.warning("the journalled hyperparameters are passed over: %s", error.message)
