"""One state of the data, looked at from all sides: everything costly is computed once, when first asked for."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.surrogates.assessment import Assessment, assess
from probescout.surrogates.belief import CommitteeBelief, Posterior
from probescout.surrogates.fantasies import Fantasies
from probescout.surrogates.model import Model
from probescout.surrogates.noise import Scale
from probescout.surrogates.scores import Calibration, Score, calibration_of

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]
TILE = 65_536
"""Candidates whose exact posterior is worked out at a time: bounds the memory at a megapixel."""


class View:
    """What the committee believes until its next tell."""

    def __init__(self, model: Model, scores: list[Score], reported: list[Score] | None = None) -> None:
        """Keep what to look at.

        Args:
            model: The members; not told anything while this view is used.
            scores: Of the members alone, one per measurement.
            reported: Of what was reported, one per measurement; None: the same.
        """
        self._model = model
        self._scores = scores
        self._reported = scores if reported is None else reported
        self._pending: tuple[int, ...] = ()
        self._fantasies: tuple[Fantasies, ...] = ()

    @cached_property
    def assessment(self) -> Assessment:
        """Weights and corrections."""
        model = self._model
        return assess(
            model.members,
            model.gps,
            model.y,
            self._scores,
            is_trusted=model.extra == 0.0,
            scale=model.scale,
        )

    @cached_property
    def calibration(self) -> Calibration:
        """How well the latest predictions covered what was then measured."""
        mean = self.assessment.weights @ np.stack([gp.mean for gp in self._model.gps])
        return calibration_of(
            self._reported, self._model.scale.restored(mean), is_deep_alarmed=self.assessment.is_deep_alarmed
        )

    @cached_property
    def posterior(self) -> Posterior:
        """Mean and calibrated SDs (candidate,) of every candidate in target units; exact, in tiles."""
        n = self._model.features.n_candidates
        out = np.empty((4, n))
        for start in range(0, n, TILE):
            part = np.arange(start, min(start + TILE, n))
            out[:, part] = self.describe(part)
        return Posterior(*out)

    def reported(self, candidates: Index) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return mean, calibrated SD and calibrated predictive SD (m,) of candidates (m,), in target units."""
        scale = self._model.scale
        return _in_target_units(scale, *self.assessment.reported(scale, *self._model.moments(candidates)))

    def predict(self, index: int) -> tuple[float, float, float]:
        """Return mean, calibrated SD and calibrated predictive SD of one candidate, in target units."""
        mean, std, predictive = (float(a[0]) for a in self.reported(np.array([index])))
        return mean, std, predictive

    def score(self, index: int, y: float) -> Score:
        """Score the prediction of a standardised value that was just measured and not yet learnt from."""
        return self.assessment.score(y, self._model.scale, *self._model.moments(np.array([index])))

    def describe(self, candidates: Index) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return mean, calibrated SD and predictive SD, in target units, and novelty (m,) of candidates (m,)."""
        scale, moments = self._model.scale, self._model.moments(candidates)
        novelty = self.assessment.novelty(moments[1])
        return *_in_target_units(scale, *self.assessment.reported(scale, *moments)), novelty

    def belief(
        self, available: NDArray[np.bool_], pending: tuple[int, ...], also: Index | None, *, has_field: bool
    ) -> CommitteeBelief:
        """Return what a planner sees, pending points conditioned on.

        Args:
            available: (candidate,) of the whole frame, where a suggestion may be made.
            pending: Candidates leased, oldest first.
            also: Candidates (m,) beyond those of the field.
            has_field: Whether the candidates of the field are among what is seen; they come first.
        """
        field = self._model.field
        rest = np.empty(0, dtype=np.intp) if also is None else np.asarray(also, dtype=np.intp)
        parts = [field.candidates, rest] if has_field else [rest]
        candidates = np.concatenate(parts) if len(rest) else parts[0]
        is_whole = has_field and field.is_whole and not len(rest)
        return CommitteeBelief(
            model=self._model,
            assessment=self.assessment,
            fantasies=self._pending_rows(pending),
            candidates=candidates,
            n_field=len(field) if has_field else 0,
            calibration=self.calibration,
            available=np.array(available, dtype=np.bool_)[candidates] if not is_whole else np.array(available, bool),
        )

    def explain(self, index: int) -> dict[str, Any]:
        """Return why a candidate is believed to be as it is, JSON values only."""
        mean, std, predictive, novelty = (float(a[0]) for a in self.describe(np.array([index])))
        return {
            "mean": mean,
            "std": std,
            "predictive_std": predictive,
            "novelty": novelty,
            "members": self._opinions(index),
            "nearest": self._nearest(index),
        }

    def _opinions(self, index: int) -> list[dict[str, Any]]:
        mean, var = self._model.scale.moments(*self._model.moments(np.array([index])))
        return [
            {
                "name": member.name,
                "weight": float(weight),
                "mean": float(m[0]),
                "std": float(np.sqrt(v[0])),
            }
            for member, weight, m, v in zip(self._model.members, self.assessment.weights, mean, var, strict=True)
        ]

    def _nearest(self, index: int, n_most: int = 5) -> list[dict[str, Any]]:
        model = self._model
        at = np.array([index])
        each = [gp.correlation(model.points(k, at)) for k, gp in enumerate(model.gps)]
        correlation = self.assessment.weights @ np.stack(each)
        return [
            {"index": int(model.measured[i]), "value": float(model.values[i]), "correlation": float(correlation[i])}
            for i in np.argsort(-correlation, kind="stable")[:n_most]
        ]

    def _pending_rows(self, pending: tuple[int, ...]) -> tuple[Fantasies, ...]:
        """Return the rows of pending points per member, reusing those of the same first ones."""
        if not self._fantasies:
            self._fantasies = tuple(Fantasies.none(gp) for gp in self._model.gps)
        n_same = 0
        while n_same < min(len(self._pending), len(pending)) and self._pending[n_same] == pending[n_same]:
            n_same += 1
        found = [known.first(n_same) for known in self._fantasies]
        for index in pending[n_same:]:
            at = np.array([index])
            noise = self.assessment.member_noise(self._model.scale, self._model.moments(at)[0])
            found = [f.and_one(self._model.points(k, at), float(noise[k, 0])) for k, f in enumerate(found)]
        self._pending, self._fantasies = pending, tuple(found)
        return self._fantasies


def _in_target_units(
    scale: Scale, mean: FloatArray, std: FloatArray, predictive: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return mean, SD and predictive SD in target units, from standardised ones (any shape)."""
    centre, var = scale.moments(mean, std * std)
    _, predictive_var = scale.moments(mean, predictive * predictive)
    return centre, np.sqrt(var), np.sqrt(predictive_var)
