"""One state of the data, looked at with theory: members twice, once as they are and once informed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from probescout.surrogates.assessment import Assessment
from probescout.surrogates.field import Field
from probescout.surrogates.interval import variance_factor
from probescout.surrogates.kernel import Points
from probescout.surrogates.model import Model
from probescout.surrogates.prior.gate import Verdict, judge
from probescout.surrogates.prior.informed import InformedGP
from probescout.surrogates.prior.theory import Theory
from probescout.surrogates.scores import Score
from probescout.surrogates.view import View
from probescout.surrogates.weights import point_weights

FloatArray = NDArray[np.float64]
Index = NDArray[np.intp]
SUFFIX = "+theory"
"""Of the name of an informed member."""
BITE_WORK = 25_000
"""Candidates times simulations that are worked out in one bite: some milliseconds that an answer waits."""


class Columns:
    """Theory at the candidates that are looked at all the time: it changes only with the evidence."""

    def __init__(self, theory: Theory, field: Field) -> None:
        """Prepare; `bite` or `finish` works them out.

        Args:
            theory: What simulations say.
            field: The candidates that are kept up to date.
        """
        self.theory = theory
        self.over = field
        self.field, self.doubt = np.empty((2, len(field), len(theory.engines)))
        """Mean and variance (point, engine) over the field, in SD of the simulated values."""
        self._n_done = 0
        self._rows: dict[int, FloatArray] = {}

    @property
    def is_done(self) -> bool:
        """Whether all candidates of the field are worked out."""
        return self._n_done == len(self.over)

    @property
    def work(self) -> int:
        """Candidates times simulations that are worked out in all."""
        return len(self.over) * self.theory.n_learnt

    def bite(self) -> bool:
        """Work out some milliseconds' worth of candidates; return whether all are done.

        The pieces depend on theory and field alone, so that a restart gives the same bits.
        """
        end = min(self._n_done + max(BITE_WORK // max(self.theory.n_learnt, 1), 1), len(self.over))
        part = slice(self._n_done, end)
        self.field[part], self.doubt[part] = self.theory.at(self.over.candidates[part])
        self._n_done = end
        return self.is_done

    def finish(self) -> None:
        """Work out all that is left."""
        while not self.is_done:
            self.bite()

    def fits(self, field: Field) -> bool:
        """Return whether these are the columns over a field; versions of a model have fields of their own."""
        return field is self.over or np.array_equal(field.candidates, self.over.candidates)

    def measured(self, candidates: Index) -> FloatArray:
        """Return the mean (n, engine) where measurements were made; each candidate is worked out once.

        Those of the field are taken from there, the others worked out alone: the bits must not depend on what was
        measured together with them, or a restart would not go on as before.
        """
        places = self.over.places(candidates)
        found = np.empty((len(candidates), self.field.shape[1]))
        found[places >= 0] = self.field[places[places >= 0]]
        for i in np.flatnonzero(places < 0):
            c = int(candidates[i])
            if c not in self._rows:
                self._rows[c] = self.theory.at(np.array([c]))[0][0]
            found[i] = self._rows[c]
        return found


class InformedModel(Model):
    """A model whose second half of members is the first half, informed; learns nothing itself."""

    theory: Theory
    n_plain: int
    informed: tuple[InformedGP, ...]
    """The second half."""
    _last: tuple[Index, FloatArray, FloatArray] | None = None
    """Candidates that were asked for last, with mean and variance of the theory."""

    @classmethod
    def of(cls, plain: Model, columns: Columns) -> InformedModel:
        """Inform every member of a model, which must not be told anything while this is used."""
        found = cls(**{f.name: getattr(plain, f.name) for f in fields(Model)})
        measured = columns.measured(plain.measured)
        found.theory, found.n_plain = columns.theory, len(plain.gps)
        found.informed = tuple(InformedGP(gp, columns.field, columns.doubt, measured) for gp in plain.gps)
        found.gps = (*plain.gps, *cast("Iterable[Any]", found.informed))
        found.members = (*plain.members, *(replace(m, name=m.name + SUFFIX) for m in plain.members))
        return found

    def points(self, k: int, candidates: Index) -> Points:
        """Return candidates (m,) as member k sees them."""
        own = k % self.n_plain
        plain = self.gps[own].kernel.points(self.rows(self.members[own], candidates))
        if k == own:
            return plain
        # Every informed member asks for the same candidates in turn.
        if self._last is None or not np.array_equal(self._last[0], candidates):
            self._last = candidates, *self.theory.at(candidates)
        return self.informed[own].points(plain, *self._last[1:])


class InformedView(View):
    """What the committee believes once theory has a say."""

    def __init__(self, plain: View, model: Model, reported: list[Score], columns: Columns, verdict: Verdict) -> None:
        """Keep what to look at.

        Args:
            plain: The same without theory.
            model: The plain model.
            reported: Scores of what was reported, one per measurement.
            columns: Theory.
            verdict: What it has earned.
        """
        self.model = InformedModel.of(model, columns)
        super().__init__(self.model, reported)
        self._plain = plain
        self._verdict = verdict

    @cached_property
    def assessment(self) -> Assessment:
        """Weights and corrections, of the informed members by their own left-out errors."""
        plain, model, share = self._plain.assessment, self.model, self._verdict.weight
        informed = model.informed
        loo = [gp.leave_one_out() for gp in informed]
        is_trusted = model.extra == 0.0
        shallow = [k for k, member in enumerate(plain.members) if not member.is_deep]
        centre = np.mean([loo[k][0] for k in shallow], axis=0)
        omega = point_weights(np.mean([informed[k].mean for k in shallow], axis=0), centre, is_trusted)
        # Left-out errors flatter a representation learnt from the same values: a deep member keeps its own factor.
        factors = list(plain.factors)
        for k in shallow:
            gp, (mean, var) = informed[k], loo[k]
            z2 = (model.y - mean) ** 2 / var
            factors[k] = variance_factor(mean, z2, omega, float(gp.mean.min()), float(gp.mean.max()))
        return Assessment(
            model.members,
            model.gps,
            np.concatenate([(1.0 - share) * plain.weights, share * plain.weights]),
            (*plain.factors, *factors),
            plain.quantile,
            plain.is_deep_alarmed,
        )

    def explain(self, index: int) -> dict[str, Any]:
        """Return why a candidate is believed to be as it is, JSON values only; "theory" says what that adds."""
        return {**super().explain(index), "theory": self._told(index)}

    def _told(self, index: int) -> list[dict[str, Any]]:
        model = self.model
        mean, var = model.theory.at(np.array([index]))
        found = []
        for j, engine in enumerate(model.theory.engines):
            emulator = model.theory.emulator(engine)
            found.append(
                {
                    "engine": engine,
                    "value": emulator.mean + emulator.sd * float(mean[0, j]),
                    "std": emulator.sd * float(np.sqrt(var[0, j])),
                    **slope_of(model, self._plain.assessment.weights, j),
                }
            )
        return found


def slope_of(model: InformedModel, weights: FloatArray, j: int) -> dict[str, float]:
    """Return "slope" and "slope_std" of engine j, in target units per unit of its quantity.

    Args:
        model: Informed.
        weights: (member,) of the plain members.
        j: Which engine.
    """
    informed = model.informed
    unit = model.scale.target_sd / model.theory.emulator(model.theory.engines[j]).sd
    mean = float(weights @ np.array([gp.slope[j] for gp in informed]))
    spread = np.array([gp.slope_sd[j] ** 2 + (gp.slope[j] - mean) ** 2 for gp in informed])
    return {"slope": unit * mean, "slope_std": abs(unit) * float(np.sqrt(weights @ spread))}


def verdict_on(plain: View, model: Model, columns: Columns) -> Verdict:
    """Return what theory has earned with a model."""
    return judge(model.gps, plain.assessment.weights, columns.measured(model.measured))
