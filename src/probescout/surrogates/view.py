"""One state of the data, looked at from all sides: everything costly is computed once, when first asked for."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.surrogates.assessment import Assessment, assess
from probescout.surrogates.belief import CommitteeBelief, Posterior, mixture
from probescout.surrogates.incremental import LEAST_VARIANCE
from probescout.surrogates.model import Model
from probescout.surrogates.scores import Score

FloatArray = NDArray[np.float64]
Rows = list[NDArray[np.floating]]


class View:
    """What the committee believes until its next tell."""

    def __init__(self, model: Model, scores: list[Score]) -> None:
        """Keep what to look at.

        Args:
            model: The members; not told anything while this view is used.
            scores: One per measurement.
        """
        self._model = model
        self._scores = scores
        self._pending: tuple[int, ...] = ()
        self._rows: Rows | None = None

    @cached_property
    def assessment(self) -> Assessment:
        """Weights and corrections."""
        model = self._model
        return assess(
            model.members, model.gps, model.y, model.measured, self._scores, is_constant=model.scale.is_constant
        )

    @cached_property
    def posterior(self) -> Posterior:
        """Mean and calibrated SDs (candidate,) in target units."""
        scale = self._model.scale
        mean, std, predictive = self.assessment.reported(scale)
        return Posterior(scale.mean + scale.sd * mean, scale.sd * std, scale.sd * predictive)

    def predict(self, index: int) -> tuple[float, float, float]:
        """Return mean, calibrated SD and calibrated predictive SD of one candidate, in target units."""
        scale = self._model.scale
        found = self.assessment.reported(scale, np.array([index]))
        mean, std, predictive = (float(a[0]) for a in found)
        return scale.mean + scale.sd * mean, scale.sd * std, scale.sd * predictive

    def belief(self, available: NDArray[np.bool_], pending: tuple[int, ...]) -> CommitteeBelief:
        """Return what a planner sees, pending points conditioned on."""
        model, scale = self._model, self._model.scale
        rows = self._fantasies(pending)
        mean, var = self.assessment.moments()
        if pending:
            for k, fantasy in enumerate(rows):
                var[k] -= np.einsum("pc,pc->c", fantasy, fantasy)
            np.maximum(var, LEAST_VARIANCE, out=var)
        mean *= scale.sd
        mean += scale.mean
        var *= scale.sd * scale.sd
        centre, spread = mixture(self.assessment.weights, mean, var)
        return CommitteeBelief(
            positions=model.features.positions,
            shape=model.features.shape,
            available=np.asarray(available, dtype=np.bool_),
            member_mean=mean,
            member_var=var,
            weights=self.assessment.weights,
            mean=centre,
            std=np.sqrt(spread),
            incumbent=float(centre[model.measured].max()) if len(model.measured) else float("-inf"),
            n_observed=len(model.measured),
            scale=scale.sd,
            gps=model.gps,
            fantasies=rows,
        )

    def explain(self, index: int, values: FloatArray) -> dict[str, Any]:
        """Return why a candidate is believed to be as it is, JSON values only.

        Args:
            index: Candidate.
            values: (n,) measured, target units.
        """
        mean, std, predictive = self.predict(index)
        found = {"mean": mean, "std": std, "predictive_std": predictive}
        return {**found, "members": self._opinions(index), "nearest": self._nearest(index, values)}

    def _opinions(self, index: int) -> list[dict[str, Any]]:
        mean, var = self.assessment.moments(np.array([index]))
        scale = self._model.scale
        return [
            {
                "name": member.name,
                "weight": float(weight),
                "mean": scale.mean + scale.sd * float(m[0]),
                "std": scale.sd * float(np.sqrt(v[0])),
            }
            for member, weight, m, v in zip(self._model.members, self.assessment.weights, mean, var, strict=True)
        ]

    def _nearest(self, index: int, values: FloatArray, n_most: int = 5) -> list[dict[str, Any]]:
        measured = self._model.measured
        each = np.stack([gp.correlation(index)[measured] for gp in self._model.gps])
        correlation = self.assessment.weights @ each
        return [
            {"index": int(measured[i]), "value": float(values[i]), "correlation": float(correlation[i])}
            for i in np.argsort(-correlation, kind="stable")[:n_most]
        ]

    def _fantasies(self, pending: tuple[int, ...]) -> Rows:
        """Return the rows of pending points per member, reusing those of the same first ones."""
        n_same = 0
        while n_same < min(len(self._pending), len(pending)) and self._pending[n_same] == pending[n_same]:
            n_same += 1
        if self._rows is None:
            self._rows = [gp.fantasies(pending) for gp in self._model.gps]
        elif pending != self._pending:
            old = zip(self._model.gps, self._rows, strict=True)
            self._rows = [gp.fantasies(pending, rows[:n_same]) for gp, rows in old]
        self._pending = pending
        return self._rows
