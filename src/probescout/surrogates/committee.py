"""The committee: several GPs that look at the same candidates differently, weighed by honest evidence.

This is the answering path: numpy and scipy only. The heavy fit runs elsewhere (`fitting.fit`) on what `fit_request`
returns, and its result comes back through `swap`, or in bites through `begin_swap` and `advance`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.surrogates import saving
from probescout.surrogates.belief import CommitteeBelief, Posterior
from probescout.surrogates.building import Build
from probescout.surrogates.features import Features
from probescout.surrogates.field import Field, nearest
from probescout.surrogates.informing import Informed
from probescout.surrogates.members.catalogue import LEARNT
from probescout.surrogates.model import Model
from probescout.surrogates.noise import Scale
from probescout.surrogates.scores import Calibration

FloatArray = NDArray[np.float64]


class Committee(Informed):
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

    _nearest: tuple[Field, NDArray[np.intp]] | None = None

    def belief(
        self,
        available: NDArray[np.bool_],
        pending: Sequence[int] = (),
        *,
        also: NDArray[np.intp] | None = None,
        has_field: bool = True,
    ) -> CommitteeBelief:
        """Return what a planner sees: the candidates kept up to date, and others on request.

        Args:
            available: (candidate,) of the whole frame, where a suggestion may be made.
            pending: Candidates that are leased and not yet measured, oldest first.
            also: Further candidates (m,) to work out, none of them in `field`.
            has_field: Whether those of `field` are wanted; without them only `also` is seen.
        """
        return self._shown.belief(available, tuple(int(j) for j in pending), also, has_field=has_field)

    def belief_like(
        self, other: CommitteeBelief, available: NDArray[np.bool_], pending: Sequence[int] = ()
    ) -> CommitteeBelief:
        """Return what a planner sees of the very candidates of another committee's belief.

        Args:
            other: About another target on the same frame.
            available: As for `belief`.
            pending: As for `belief`.
        """
        is_alike = other.n_field > 0 and np.array_equal(other.model.field.candidates, self.field.candidates)
        also = other.candidates[other.n_field :] if is_alike else other.candidates
        return self.belief(available, pending, also=also if len(also) else None, has_field=is_alike)

    def posterior(self) -> Posterior:
        """Return mean and calibrated SD of every candidate; pending points play no part."""
        return self._shown.posterior

    def predict(self, index: int) -> tuple[float, float, float]:
        """Return mean, calibrated SD of the target and calibrated SD of the next measured value at a candidate."""
        return self._shown.predict(index)

    def describe(self, candidates: NDArray[np.intp]) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return mean, calibrated SD and calibrated predictive SD, in target units, and novelty, all (m,).

        Novelty is the share of the prior variance, the constant mean left out, that no measured patch explains: 0 is as
        good as measured, 1 means that nothing like it was measured.
        """
        return self._shown.describe(candidates)

    def nearest_kept(self) -> NDArray[np.intp]:
        """Return where the candidate of `field` that is nearest to each candidate (candidate,) stands in the field."""
        if self._nearest is None or self._nearest[0] is not self.field:
            self._nearest = self.field, nearest(self.field, self.features.positions, self.features.shape)
        return self._nearest[1]

    def calibration(self) -> Calibration:
        """Return how well predictions made before the value was known have covered it lately."""
        return self._shown.calibration

    def weights(self) -> dict[str, float]:
        """Return the weight of each member."""
        view = self._shown.assessment
        return {m.name: float(w) for m, w in zip(view.members, view.weights, strict=True)}

    def latent(self) -> tuple[str, NDArray[np.float32]]:
        """Return the name and the values (candidate, dim) of the representation that was learnt.

        Before one is learnt it is that of the texture features, which most members see, or of the coordinates where
        there are no others.
        """
        learnt, arrays = self._model.learnt, self.features.arrays
        name = next((m.name for m in LEARNT if m.name in learnt), "bank" if "bank" in arrays else "xy")
        return name, learnt[name] if name in learnt else arrays[name]

    @property
    def plain(self) -> Model:
        """The members' posteriors as measurements alone have made them."""
        return self._model

    def plain_weights(self) -> FloatArray:
        """Return the weight (member,) of each member of `plain`."""
        return self._view.assessment.weights

    def explain(self, index: int) -> dict[str, Any]:
        """Return why the committee believes what it does at a candidate, JSON values only."""
        return {**self._shown.explain(index), "n_since_fit": self.n_since_fit}

    # Snapshots

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs: JSON values and arrays.

        A version on its way is left out, unless the present one is outdated: it comes again with the next fit, or is
        begun again where it was to keep other candidates or another scale.
        """
        build = self._build
        model = build.model if build is not None and build.is_correction else self._model
        is_begun_again = build is not None and build.n_fits is None and not build.is_correction
        return {
            "seed": self.seed,
            "use_deep": self.use_deep,
            "members_chosen": list(self.members),
            "is_outdated": self.is_outdated,
            "scale_being_built": build.model.scale.to_json() if build is not None and is_begun_again else None,
            **saving.saved(model, self._data, self._scores, self._schedule),
            **self._informed_state(),
        }

    @classmethod
    def restore(
        cls, features: Features, state: Mapping[str, Any], *, allowed: NDArray[np.bool_] | None = None
    ) -> Committee:
        """Return a committee whose next belief is bit for bit that of the one that was saved.

        A fit that was under way when it was saved is taken as lost and becomes due again.

        Args:
            features: Of all candidates, as they were.
            state: As `state` returned.
            allowed: (candidate,) where a suggestion may be made; None: everywhere.

        Raises:
            InvalidInput: When the state is of another version or does not fit the features; rebuild from the journal.
        """
        saving.check_state(state)
        chosen = [str(name) for name in state.get("members_chosen", ())]
        seed, use_deep = int(state["seed"]), bool(state["use_deep"])
        committee = cls(features, seed=seed, use_deep=use_deep, members=chosen, allowed=allowed)
        model, data, scores, schedule = saving.read(features, state, committee.members)
        committee._data, committee._scores, committee._schedule = data, scores, schedule
        committee._set_model(model)
        committee._restore_informed(state)
        if state.get("scale_being_built") is not None:
            scale = Scale.from_json(state["scale_being_built"])
            where = committee._draw(committee.n_observed)
            committee._build = Build(committee._empty(scale, model.hyper, model.learnt, where, model.doubts), None)
        return committee
