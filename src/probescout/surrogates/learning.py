"""Learning: measurements come in one by one, versions of the model come and go.

At any time one version answers. Another may be on its way, because a fit found better hyperparameters, because a
measurement was retracted or because other candidates are to be kept: it is taught in bites (`advance`), and takes over
when it knows all that was told meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.surrogates import exchange
from probescout.surrogates.building import Build
from probescout.surrogates.doubts import NO_DOUBTS, Doubts
from probescout.surrogates.features import Features
from probescout.surrogates.field import Field, draw, limit
from probescout.surrogates.measurements import Measurements, checked
from probescout.surrogates.members.catalogue import check_members
from probescout.surrogates.members.definition import Hyperparameters
from probescout.surrogates.model import Model, build_model
from probescout.surrogates.noise import Scale, is_constant
from probescout.surrogates.schedule import FitSchedule
from probescout.surrogates.scores import NO_SCORE, Observation, Score, carry_over
from probescout.surrogates.view import View

Learnt = Mapping[str, NDArray[np.float32]]

FAR = 8.0
"""A value so many SD out means that the frozen scale is wrong: fit soon."""
RESTANDARDISE_UP_TO = 16
REBUILT_AT_ONCE = 1_500_000
"""Entries of V, measurements times candidates, up to which a correction is worked in at once: about 0.1 s."""


class Learner:
    """What a committee knows, and how it comes to know it."""

    def __init__(
        self,
        features: Features,
        *,
        seed: int,
        use_deep: bool = True,
        members: Sequence[str] = (),
        allowed: NDArray[np.bool_] | None = None,
    ) -> None:
        """Start without data.

        Args:
            features: Of all candidates.
            seed: Of the fits, and of the choice of candidates on a large frame.
            use_deep: Whether fits try a deep member.
            members: Names of those that take part, of `members.catalogue`; none: all.
            allowed: (candidate,) where a suggestion may be made; None: everywhere.

        Raises:
            InvalidInput: FIELD_INVALID for a member that is not known, or cannot be built from the features.
        """
        check_members(members, use_deep=use_deep)
        self.features = features
        self.seed = seed
        self.use_deep = use_deep
        self.members = tuple(members)
        self.allowed = allowed
        self._data = Measurements.of([])
        self._scores: list[Score] = []
        self._schedule = FitSchedule()
        self._build: Build | None = None
        self._set_model(self._empty(Scale(), None, {}, self._draw(0)))

    # What was measured

    @property
    def n_observed(self) -> int:
        """Measurements told."""
        return len(self._data)

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
        y, noise = float(scale.standardise(np.array(value))), float(scale.noise(np.array(value), np.array(variance)))
        score = NO_SCORE if scale.is_constant else self._view.score(row[0], y)
        data = self._data.and_one(row)
        if self._is_scale_stale(data):
            # While data are few only: later the scale changes with a fit.
            model = self._empty(
                exchange.scale_without(data, self._model.doubts, scale.warp),
                self._model.hyper,
                self._model.learnt,
                self.field,
                self._model.doubts,
            )
            model.learn(data)
        else:
            model = self._model
            model.tell(row[0], y, noise)
            if abs(y) > FAR:
                self._schedule = replace(self._schedule, is_urgent=True)
        self._data = data
        self._scores.append(score)
        self._set_model(model)

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
            old = self._model
            scale = exchange.scale_without(data, old.doubts, old.scale.warp)
            fresh = self._empty(scale, old.hyper, old.learnt, self._draw(len(data)), old.doubts)
            build = Build(fresh, None, is_correction=True)
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
        if self.field.is_whole or (before is not None and np.array_equal(before, allowed)):
            return
        old = self._build.model if self._build is not None else self._model
        fresh = self._empty(old.scale, old.hyper, old.learnt, self._draw(self.n_observed), old.doubts)
        if self._build is None:
            self._build = Build(fresh, None)
        else:
            self._build = replace(self._build, model=fresh, _end=0, _member=0)

    def _is_scale_stale(self, data: Measurements) -> bool:
        """Whether to take the scale anew: while data are few, then at every doubling until the first fit."""
        n, n_base = len(data), self._model.edges[-1] if self._model.edges else 0
        if self._schedule.n_fits == 0 and (n <= RESTANDARDISE_UP_TO or n >= 2 * n_base):
            return True
        return self._model.scale.is_constant and not is_constant(data.values)

    # Fits and versions

    def needs_fit(self) -> bool:
        """Return whether a fit should be started now; false while one is under way."""
        return self._schedule.is_due(self.n_observed, is_constant=is_constant(self._data.values))

    def fit_request(self) -> dict[str, Any]:
        """Return what `fitting.fit` needs: JSON values and arrays only."""
        self._schedule = self._schedule.requested(self.n_observed)
        return exchange.fit_request(
            self.features,
            self._model,
            self._data,
            seed=self.seed + self._schedule.n_fits,
            is_warm=self._schedule.n_fits > 0,
            use_deep=self.use_deep,
        )

    def swap(self, result: Mapping[str, Any]) -> None:
        """Take over a fit; measurements told since its request are replayed on it.

        Raises:
            InvalidInput: SHAPE_MISMATCH, NON_FINITE or FIELD_INVALID for a garbage result; the model before stays.
        """
        self.begin_swap(result)
        self._finish()

    def begin_swap(self, result: Mapping[str, Any]) -> None:
        """Start to build the version that a fit found; it takes over once `advance` has returned true.

        Raises:
            InvalidInput: As `swap`.
        """
        self._begin(result, result.get("arrays", {}), self._schedule.n_fits + 1)

    def advance(self) -> bool:
        """Do some milliseconds of work on the next version of the model; return whether none is being built (any more).

        Raises:
            InvalidInput: FIELD_INVALID when it cannot be built; the model before stays.
        """
        build = self._build
        if build is None:
            return True
        try:
            if not build.bite(self._data):
                return False
        except BaseException:
            self._build = None
            raise
        self._build = None
        if build.n_fits is not None:
            self._schedule = self._schedule.done(build.n_fits, build.n_at_fit)
        self._set_model(build.model)
        return True

    @property
    def is_building(self) -> bool:
        """Whether a version is being built that `advance` brings on."""
        return self._build is not None

    @property
    def is_outdated(self) -> bool:
        """Whether answers still rest on measurements that were retracted or amended."""
        return self._build is not None and self._build.is_correction

    def _finish(self) -> None:
        while not self.advance():
            pass

    def hyperparameters(self) -> dict[str, Any]:
        """Return what the last fit found, JSON values only; `arrays` holds the embedding that goes with it."""
        return {
            **exchange.found(self._model),
            "n_observed": self._schedule.n_at_fit,
            "n_fits": self._schedule.n_fits,
        }

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the learnt representations (candidate, dim) by name."""
        return dict(self._model.learnt)

    def apply_hyperparameters(
        self, data: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float32]] | None = None
    ) -> None:
        """Take over journalled hyperparameters, for the measurements told so far.

        Args:
            data: As `hyperparameters` returned.
            arrays: As `arrays` returned; without them a deep member stays out until the next fit.

        Raises:
            InvalidInput: As `swap`.
        """
        self._begin(data, arrays or {}, int(data.get("n_fits", 1)))
        self._finish()

    def _begin(self, data: Mapping[str, Any], arrays: Mapping[str, Any], n_fits: int) -> None:
        scale, hyper, learnt, doubts = exchange.read_fit(self.features, data, arrays, self.members)
        model = self._empty(scale, hyper, learnt, self._draw(self.n_observed), doubts)
        n_at_fit = min(int(data.get("n_observed", self.n_observed)), self.n_observed)
        is_correction = self.is_outdated
        self._build = Build(model, n_fits, n_at_fit, is_correction)

    def _draw(self, n: int) -> Field:
        """Choose the candidates to keep with n measurements."""
        n_members = len(self._model.members) if n else 1
        features = self.features
        return draw(features.n_candidates, features.shape, self.allowed, limit(n, n_members), [self.seed])

    def _empty(
        self,
        scale: Scale,
        hyper: Mapping[str, Hyperparameters] | None,
        learnt: Learnt,
        where: Field,
        doubts: Doubts = NO_DOUBTS,
    ) -> Model:
        return build_model(self.features, where, scale, hyper, learnt, self.members, doubts)

    def _set_model(self, model: Model) -> None:
        """Take a model that knows all observations; what was computed from the one before is forgotten."""
        self._model = model
        self._view = View(model, self._scores)
