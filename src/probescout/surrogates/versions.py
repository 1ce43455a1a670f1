"""Versions of the model: one answers, another may be on its way.

A fit found better hyperparameters, a measurement was retracted, or other candidates are to be kept: the next version is
taught in bites (`advance`), and takes over when it knows all that was told meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.surrogates import exchange
from probescout.surrogates.building import Build
from probescout.surrogates.doubts import NO_DOUBTS, Doubts
from probescout.surrogates.features import Features
from probescout.surrogates.field import Field, draw, limit
from probescout.surrogates.measurements import Measurements
from probescout.surrogates.members.catalogue import check_members
from probescout.surrogates.members.definition import Hyperparameters
from probescout.surrogates.model import Model, build_model
from probescout.surrogates.noise import Scale, is_constant
from probescout.surrogates.sampling import fitted_on
from probescout.surrogates.schedule import FitSchedule
from probescout.surrogates.scores import Score
from probescout.surrogates.view import View

Learnt = Mapping[str, NDArray[np.float32]]


class Versions:
    """The version that answers, the one that is being built, and the fits that versions come from."""

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

    @property
    def n_observed(self) -> int:
        """Measurements told."""
        return len(self._data)

    def needs_fit(self) -> bool:
        """Return whether a fit should be started now; false while one is under way."""
        return self._is_due(is_eager=self._is_pretraining)

    def fit_request(self) -> dict[str, Any]:
        """Return what `fitting.fit` needs: JSON values and arrays only."""
        # Pretraining alone leaves the rest of the model as it is, and the fits due when they would be without it.
        is_beside = self._is_pretraining and not self._is_due()
        kept = exchange.kept(self._model, self._schedule.n_at_fit) if is_beside else {}
        self._schedule = self._schedule.requested(self.n_observed)
        request = exchange.fit_request(
            self.features,
            self._model,
            self._data,
            seed=self._fit_seed,
            is_warm=self._schedule.n_fits > 0,
            use_deep=self.use_deep,
            network_seed=self.seed,
        )
        return {**request, **kept}

    @property
    def _fit_seed(self) -> int:
        return self.seed + self._schedule.n_fits

    @property
    def _is_pretraining(self) -> bool:
        return self.use_deep and self._schedule.n_fits > 0 and exchange.is_pretraining(self.features, self._model)

    def _is_due(self, *, is_eager: bool = False) -> bool:
        is_flat = is_constant(self._data.values)
        return self._schedule.is_due(self.n_observed, is_constant=is_flat, is_eager=is_eager)

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
        assert self._build is not None
        seen = self._data.first(int(result.get("n_observed", self.n_observed)))
        which = fitted_on(seen, self._fit_seed)
        if len(which) < len(seen):
            # It says nothing of measurements that it was not shown: those doubted before stay doubted.
            shown = zip(seen.index[which].tolist(), seen.values[which].tolist(), strict=True)
            fresh = self._build.model
            fresh.doubts = fresh.doubts.and_those_of(self._model.doubts, set(shown))

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
        """Return the learnt representations (candidate, dim) by name, and the weights of their networks."""
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
