"""Learning: measurements come in one by one, and are sometimes taken back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from probescout.surrogates import exchange
from probescout.surrogates.building import Build
from probescout.surrogates.field import Field, limit
from probescout.surrogates.measurements import Measurements, checked
from probescout.surrogates.model import Model
from probescout.surrogates.noise import is_constant
from probescout.surrogates.scores import NO_SCORE, Observation, carry_over
from probescout.surrogates.versions import Versions

THIN_EVERY = 32
"""Measurements after which it is looked at whether fewer candidates should be kept."""
FAR = 8.0
"""A value so many SD out means that the frozen scale is wrong: fit soon."""
RESTANDARDISE_UP_TO = 16
REBUILT_AT_ONCE = 1_500_000
"""Entries of V, measurements times candidates, up to which a correction is worked in at once: about 0.1 s."""


class Learner(Versions):
    """What a committee knows, and how it comes to know it."""

    @property
    def n_since_fit(self) -> int:
        """Measurements told since the last fit saw the data."""
        return max(self.n_observed - self._schedule.n_at_fit, 0)

    @property
    def field(self) -> Field:
        """The candidates whose posterior is kept up to date."""
        return self._model.field

    @property
    def n_allowed(self) -> int:
        """Candidates where suggestions may be made."""
        return self.features.n_candidates if self.allowed is None else int(np.count_nonzero(self.allowed))

    def tell(self, index: int, value: float, variance: float = float("nan")) -> None:
        """Learn from one measurement; what was predicted for it is scored first.

        Args:
            index: Candidate.
            value: Target units.
            variance: Squared target units; NaN when unknown.

        Raises:
            InvalidInput: FIELD_INVALID for an index that is no candidate or a negative variance; NON_FINITE for a value
                that is not finite.
        """
        row = checked(index, value, variance, self.features.n_candidates)
        scale = self._model.scale
        y = float(scale.standardise(np.array(row[1])))
        score = NO_SCORE if scale.is_constant else self._view.score(row[0], y)
        data = self._data.and_one(row)
        model = self._model
        # Before the first fit only: later the scale changes with a fit.
        is_stale = self._is_scale_stale(data)
        if is_stale and len(data) * len(self.field) <= REBUILT_AT_ONCE:
            model = self._rescaled(data, self.field)
            model.learn(data)
            if self._build is not None and self._build.n_fits is None:
                # What was being built has the scale of before.
                build = self._build
                self._build = build.anew(self._rescaled(data, build.model.field))
        else:
            model.tell(*row)
            if abs(y) > FAR:
                self._schedule = replace(self._schedule, is_urgent=True)
            if is_stale and self._build is None:
                self._build = Build(self._rescaled(data, self.field), None)
        self._data = data
        self._scores.append(score)
        self._set_model(model)
        if self._build is None and self._keeps_too_many():
            self._build = Build(self._anew(model), None)

    def prepare(self, index: int) -> None:
        """Work out in advance what a `tell` of that candidate will need; see `Model.prepare`."""
        self._model.prepare(index)

    def _rescaled(self, data: Measurements, where: Field) -> Model:
        """Return a model like the present one that has learnt nothing, with the scale of `data`."""
        old = self._model
        scale = exchange.scale_without(data, old.doubts, old.scale.warp)
        return self._empty(scale, old.hyper, old.learnt, where, old.doubts)

    def _keeps_too_many(self) -> bool:
        """Whether no fit has come for so long that the rows of the candidates kept take too much memory."""
        n = self.n_observed
        return n % THIN_EVERY == 0 and len(self.field) > limit(n, len(self._model.members))

    def _anew(self, old: Model) -> Model:
        """Return a model like another one that has learnt nothing, over the candidates that are to be kept now."""
        return self._empty(old.scale, old.hyper, old.learnt, self._draw(self.n_observed), old.doubts)

    def rebuild(self, observations: Sequence[Observation]) -> None:
        """Replace all measurements, as `begin_rebuild`, and wait until it is done.

        Raises:
            InvalidInput: As `tell`; nothing has then changed.
        """
        self.begin_rebuild(observations)
        self._finish()

    def begin_rebuild(self, observations: Sequence[Observation]) -> None:
        """Replace all measurements, after one was retracted or amended or all were scalarized anew.

        Hyperparameters stay (they are in standardised units), the scale is taken anew, and a fit becomes due. An
        observation that did not change keeps the score of its prediction. With much data the model before answers until
        `advance` has returned true.

        Args:
            observations: Candidate, value and variance (NaN: unknown) of each, in the order measured.

        Raises:
            InvalidInput: As `tell`; nothing has then changed.
        """
        data = Measurements.of(checked(*row, self.features.n_candidates) for row in observations)
        under_way = self._build
        if under_way is not None and under_way.n_fits is not None:
            # What a fit found holds for the corrected data too; it is only taught anew.
            fitted = under_way.model
            build = Build(
                self._empty(fitted.scale, fitted.hyper, fitted.learnt, fitted.field, fitted.doubts),
                under_way.n_fits,
                min(under_way.n_at_fit, len(data)),
                is_correction=True,
            )
        else:
            build = Build(self._rescaled(data, self._draw(len(data))), None, is_correction=True)
        self._scores = carry_over(self._data.rows(), self._scores, data.rows())
        self._data, self._build = data, build
        self._schedule = self._schedule.unsettled(len(data))
        if build.n_fits is not None:
            # It saw what is now corrected.
            self._schedule = replace(self._schedule, is_urgent=True)
        if len(data) * len(build.model.field) <= REBUILT_AT_ONCE:
            self._finish()

    def allow(self, allowed: NDArray[np.bool_]) -> None:
        """Take note of where suggestions may be made; on a large frame other candidates are then chosen to be kept.

        They replace those before once `advance` has returned true.

        Args:
            allowed: (candidate,).
        """
        before, self.allowed = self.allowed, allowed
        if before is not None and np.array_equal(before, allowed):
            return
        if self._build is None:
            if self.field.is_whole:
                return
            self._build = Build(self._anew(self._model), None)
        else:
            self._build = self._build.anew(self._anew(self._build.model))

    def _is_scale_stale(self, data: Measurements) -> bool:
        """Whether to take the scale anew: while data are few, then at every doubling until the first fit."""
        n, n_base = len(data), self._model.edges[-1] if self._model.edges else 0
        if self._model.scale.is_constant and is_constant(data.values):
            return n <= RESTANDARDISE_UP_TO
        if self._schedule.n_fits == 0 and (n <= RESTANDARDISE_UP_TO or n >= 2 * n_base):
            return True
        return self._model.scale.is_constant
