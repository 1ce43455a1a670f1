"""The committee: several GPs that look at the same candidates differently, weighed by honest evidence.

This is the answering path: numpy and scipy only. The heavy fit runs elsewhere (`fitting.fit`) on what `fit_request`
returns, and its result comes back through `swap`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.surrogates import exchange
from probescout.surrogates.belief import CommitteeBelief, Posterior
from probescout.surrogates.features import Features
from probescout.surrogates.model import Model, build_model
from probescout.surrogates.noise import Scale, is_constant
from probescout.surrogates.schedule import FitSchedule
from probescout.surrogates.scores import NO_SCORE, Calibration, Observation, Score, calibration_of, carry_over
from probescout.surrogates.view import View

FloatArray = NDArray[np.float64]

FAR = 8.0
"""A value so many SD out means that the frozen scale is wrong: fit soon."""
RESTANDARDISE_UP_TO = 16
LARGEST_VALUE = 1e100


class Committee:
    """The model of one campaign on one frame: tell it measurements, ask it for beliefs.

    Example:
        >>> import numpy as np
        >>> from probescout.surrogates.features import compute_features
        >>> image = np.random.default_rng(0).normal(size=(12, 12))
        >>> committee = Committee(compute_features(image), seed=0)
        >>> for index in range(0, 144, 20):
        ...     committee.tell(index, float(image.flat[index]), 0.01)
        >>> committee.n_observed, committee.needs_fit()
        (8, True)
        >>> committee.belief(np.ones(144, dtype=bool), pending=[3]).member_mean.shape
        (4, 144)
    """

    def __init__(self, features: Features, *, seed: int, use_deep: bool = True) -> None:
        """Start without data.

        Args:
            features: Of all candidates.
            seed: Of the fits.
            use_deep: Whether fits try a deep member.
        """
        self.features = features
        self.seed = seed
        self.use_deep = use_deep
        self._observations: list[Observation] = []
        self._scores: list[Score] = []
        self._schedule = FitSchedule()
        self._n_base = 0
        self._model = build_model(features, Scale(), None, {})
        self._view = View(self._model, self._scores)

    # What was measured

    @property
    def n_observed(self) -> int:
        """Measurements told."""
        return len(self._observations)

    @property
    def n_since_fit(self) -> int:
        """Measurements told since the last fit saw the data."""
        return max(self.n_observed - self._schedule.n_at_fit, 0)

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
        observation = self._checked(index, value, variance)
        index, value, variance = observation
        scale = self._model.scale
        y, noise = float(scale.standardise(np.array(value))), float(scale.noise(np.array(variance)))
        score = NO_SCORE if scale.is_constant else self._view.assessment.score(index, y, scale)
        observations = [*self._observations, observation]
        if self._is_scale_stale(observations):
            self._model = self._model.rebuilt(*_columns(observations), rescale=True)
            self._n_base = len(observations)
        else:
            self._model.tell(index, y, noise)
            if abs(y) > FAR:
                self._schedule = replace(self._schedule, is_urgent=True)
        self._observations = observations
        self._scores.append(score)
        self._set_model(self._model)

    def rebuild(self, observations: Sequence[Observation]) -> None:
        """Replace all measurements, after one was retracted or amended or all were scalarized anew.

        Hyperparameters stay (they are in standardised units), the scale is taken anew, and a fit becomes due. An
        observation that did not change keeps the score of its prediction.

        Args:
            observations: Candidate, value and variance (NaN: unknown) of each, in the order measured.

        Raises:
            InvalidInput: As `tell`; nothing has then changed.
        """
        checked = [self._checked(*observation) for observation in observations]
        model = self._model.rebuilt(*_columns(checked), rescale=True)
        self._scores = carry_over(self._observations, self._scores, checked)
        self._observations, self._n_base = checked, len(checked)
        self._schedule = self._schedule.unsettled(len(checked))
        self._set_model(model)

    def _checked(self, index: int, value: float, variance: float) -> Observation:
        n = self.features.n_candidates
        if not 0 <= index < n:
            raise InvalidInput(
                Reason.FIELD_INVALID, f"candidate {index} does not exist; there are 0..{n - 1}", field="index"
            )
        if not abs(value) <= LARGEST_VALUE:
            raise InvalidInput(
                Reason.NON_FINITE,
                f"value {value} is not finite or beyond {LARGEST_VALUE:g}; report the measurement as failed instead",
                field="value",
            )
        if variance < 0 or variance == float("inf"):
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"variance {variance} is not a finite number >= 0; give NaN when it is unknown",
                field="variance",
            )
        return int(index), float(value), float(variance)

    def _is_scale_stale(self, observations: Sequence[Observation]) -> bool:
        """Whether to take the scale anew: while data are few, then at every doubling until the first fit."""
        n = len(observations)
        if self._schedule.n_fits == 0 and (n <= RESTANDARDISE_UP_TO or n >= 2 * self._n_base):
            return True
        return self._model.scale.is_constant and not is_constant(_columns(observations)[1])

    # Fits

    def needs_fit(self) -> bool:
        """Return whether a fit should be started now; false while one is under way."""
        return self._schedule.is_due(self.n_observed, is_constant=is_constant(_columns(self._observations)[1]))

    def fit_request(self) -> dict[str, Any]:
        """Return what `fitting.fit` needs: JSON values and arrays only."""
        self._schedule = self._schedule.requested(self.n_observed)
        return exchange.fit_request(
            self.features,
            self._model,
            *_columns(self._observations),
            seed=self.seed + self._schedule.n_fits,
            is_warm=self._schedule.n_fits > 0,
            use_deep=self.use_deep,
        )

    def swap(self, result: Mapping[str, Any]) -> None:
        """Take over a fit; measurements told since its request are replayed on it.

        Raises:
            InvalidInput: SHAPE_MISMATCH, NON_FINITE or FIELD_INVALID for a garbage result; the model before stays.
        """
        self._adopt(result, result.get("arrays", {}), self._schedule.n_fits + 1)

    def hyperparameters(self) -> dict[str, Any]:
        """Return what the last fit found, JSON values only; `arrays` holds the embedding that goes with it."""
        return {
            "scale": self._model.scale.to_json(),
            "members": {name: hyper.to_json() for name, hyper in self._model.hyper.items()},
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
        self._adopt(data, arrays or {}, int(data.get("n_fits", 1)))

    def _adopt(self, data: Mapping[str, Any], arrays: Mapping[str, Any], n_fits: int) -> None:
        scale, hyper, learnt = exchange.read_fit(self.features, data, arrays)
        fresh = build_model(self.features, scale, hyper, learnt)
        model = fresh.rebuilt(*_columns(self._observations), rescale=False)
        n_at_fit = min(int(data.get("n_observed", self.n_observed)), self.n_observed)
        self._schedule = self._schedule.done(n_fits, n_at_fit)
        self._n_base = self.n_observed
        self._set_model(model)

    # Answers

    def belief(self, available: NDArray[np.bool_], pending: Sequence[int] = ()) -> CommitteeBelief:
        """Return what a planner sees.

        Args:
            available: (candidate,) where a suggestion may be made.
            pending: Candidates that are leased and not yet measured, oldest first.
        """
        return self._view.belief(available, tuple(int(j) for j in pending))

    def posterior(self) -> Posterior:
        """Return mean and calibrated SD of every candidate; pending points play no part."""
        return self._view.posterior

    def predict(self, index: int) -> tuple[float, float, float]:
        """Return mean, calibrated SD of the target and calibrated SD of the next measured value at a candidate."""
        return self._view.predict(index)

    def calibration(self) -> Calibration:
        """Return how well predictions made before the value was known have covered it lately."""
        return calibration_of(self._scores, is_deep_alarmed=self._view.assessment.is_deep_alarmed)

    def weights(self) -> dict[str, float]:
        """Return the weight of each member."""
        view = self._view.assessment
        return {m.name: float(w) for m, w in zip(view.members, view.weights, strict=True)}

    def explain(self, index: int) -> dict[str, Any]:
        """Return why the committee believes what it does at a candidate, JSON values only."""
        _, values, _ = _columns(self._observations)
        return {**self._view.explain(index, values), "n_since_fit": self.n_since_fit}

    # Snapshots

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs: JSON values and arrays."""
        index, values, variances = _columns(self._observations)
        scores = np.array([(s.z, s.log_shallow, s.log_deep, s.deep_z) for s in self._scores]).reshape(-1, 4)
        return {
            "version": exchange.STATE_VERSION,
            "seed": self.seed,
            "use_deep": self.use_deep,
            **self.hyperparameters(),
            **self._schedule.to_json(),
            "n_base": self._n_base,
            "arrays": {
                "index": index.astype(np.int64),
                "value": values,
                "variance": variances,
                "scores": scores,
                **{f"learnt.{name}": array for name, array in self._model.learnt.items()},
            },
        }

    @classmethod
    def restore(cls, features: Features, state: Mapping[str, Any]) -> Committee:
        """Return a committee whose next belief is bit for bit that of the one that was saved.

        A fit that was under way when it was saved is taken as lost and becomes due again.

        Raises:
            InvalidInput: When the state is of another version or does not fit the features; rebuild from the journal.
        """
        exchange.check_state(state)
        committee = cls(features, seed=int(state["seed"]), use_deep=bool(state["use_deep"]))
        arrays = state["arrays"]
        learnt = {name[7:]: array for name, array in arrays.items() if name.startswith("learnt.")}
        scale, hyper, learnt = exchange.read_fit(features, state, learnt)
        columns = zip(arrays["index"], arrays["value"], arrays["variance"], strict=True)
        observations = [committee._checked(int(i), float(y), float(v)) for i, y, v in columns]
        # One batch, then one by one, as it happened: only the same order of operations gives the same bits.
        n_base = int(state["n_base"])
        model = build_model(features, scale, hyper, learnt)
        model = model.rebuilt(*_columns(observations[:n_base]), rescale=False)
        for index, value, variance in observations[n_base:]:
            y, noise = scale.standardise(np.array(value)), scale.noise(np.array(variance))
            model.tell(index, float(y), float(noise))
        committee._n_base, committee._observations = n_base, observations
        committee._scores = [Score(*(float(v) for v in row)) for row in arrays["scores"]]
        committee._schedule = FitSchedule.from_json(state)
        committee._set_model(model)
        return committee

    def _set_model(self, model: Model) -> None:
        """Take a model that knows all observations; what was computed from the one before is forgotten."""
        self._model = model
        self._view = View(model, self._scores)


def _columns(observations: Sequence[Observation]) -> tuple[NDArray[np.intp], FloatArray, FloatArray]:
    """Return candidates, values and variances, each (n,)."""
    index = np.array([o[0] for o in observations], dtype=np.intp)
    return (
        index,
        np.array([o[1] for o in observations], dtype=float),
        np.array([o[2] for o in observations], dtype=float),
    )
