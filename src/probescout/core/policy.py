"""What a planner sees, and what it must offer; plug-in authors find both in `core.ports`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Json = Mapping[str, Any]
FloatArray = NDArray[np.float64]


class Calibrated(Protocol):
    """How honest the model has been: its latest predictions against what was then measured."""

    @property
    def n(self) -> int:
        """Return the number of predictions scored."""

    @property
    def coverage95(self) -> float:
        """Return the share inside their 95 % interval; NaN when n is 0."""

    @property
    def is_alarmed(self) -> bool:
        """Return whether the intervals cannot be trusted."""


class Belief(Protocol):
    """What a planner sees: the committee's posterior over all candidates, pending points already conditioned on.

    All values are in target units; "larger is better" always holds (a minimising campaign is negated before).
    """

    @property
    def positions(self) -> FloatArray:
        """Return (candidate, 2) fractional (y, x)."""

    @property
    def shape(self) -> tuple[int, int] | None:
        """Return (height, width) in pixels when the candidates are pixels of one frame."""

    @property
    def available(self) -> NDArray[np.bool_]:
        """Return (candidate,) true where a suggestion may be made (allowed, not measured, not pending)."""

    @property
    def member_mean(self) -> FloatArray:
        """Return the mean of each member (member, candidate)."""

    @property
    def member_var(self) -> FloatArray:
        """Return the variance (member, candidate) of the noise-free target."""

    @property
    def weights(self) -> FloatArray:
        """Return the weight of each member (member,); they sum to 1."""

    @property
    def mean(self) -> FloatArray:
        """Return (candidate,) mean of the mixture."""

    @property
    def std(self) -> FloatArray:
        """Return (candidate,) standard deviation of the mixture."""

    @property
    def incumbent(self) -> float:
        """Return the largest mixture mean over measured candidates; -inf when none is measured."""

    @property
    def n_observed(self) -> int:
        """Return the number of observations that the model has learnt."""

    @property
    def n_budget(self) -> int | None:
        """Return how many probes the campaign may make in all; None: no limit."""

    @property
    def measured(self) -> NDArray[np.intp]:
        """Return (n,) the candidate of each observation; -1 where it is none of the candidates of this belief."""

    @property
    def values(self) -> FloatArray:
        """Return (n,) measured values, in the order of `measured`."""

    @property
    def noise_var(self) -> FloatArray:
        """Return (candidate,) expected variance of the noise of the next measurement; neutral: zeros."""

    @property
    def novelty(self) -> FloatArray:
        """Return (candidate,) 0..1, share of the prior variance that no measured patch explains; neutral: zeros."""

    @property
    def cost_s(self) -> FloatArray | None:
        """Return (candidate,) seconds to travel there, settle and dwell; None: not declared, all cost the same."""

    @property
    def last_position(self) -> tuple[float, float] | None:
        """Return the fractional (y, x) where the probe was last; None: unknown."""

    @property
    def calibration(self) -> Calibrated | None:
        """Return how well predictions have covered what was then measured; None: unknown."""

    @property
    def objectives(self) -> tuple[Belief, ...]:
        """Return one belief per target over the same candidates, this one first; only this one for a single target."""

    def sample(self, rng: np.random.Generator, index: NDArray[np.intp]) -> FloatArray:
        """Draw one joint sample (m,) of the noise-free target at candidates `index` (m,)."""

    def covariance(self, index_a: NDArray[np.intp], index_b: NDArray[np.intp]) -> FloatArray:
        """Return each member's posterior covariance (member, a, b) of the noise-free target between two sets.

        With the moments of the members this is the mixture's: sum of w_k (C_k + (m_k - m)(m_k - m)').
        """

    def fantasise(self, index: int) -> Belief:
        """Return the belief with one more pending candidate: its variance is gone, the mean stays, it is not free.

        Raises:
            IndexError: For an index that is no candidate.
        """


@runtime_checkable
class Planner(Protocol):
    """A policy: scores candidates; the largest score among the available ones is proposed.

    Entry-point group `probescout.planners`; built like a scalarizer. What a policy may offer beside:

    - `JointPlanner.score_batch`, when it chooses several points together. Without it batches are greedy: score,
      propose, `fantasise`, again.
    - `DelegatingPlanner.present`, when others answer for it in turn.
    - `chosen_by: str`, the name of who answered the last `score`, when that is not its own name.
    - `is_gain = True`, when its scores are never negative: `per_second` then divides them by the seconds.
    - `is_split = True`, when the score of a candidate follows from the candidate's own means and SDs, so that it has
      a part due to the mean and one due to the uncertainty, which are shown with every suggestion.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    params_schema: ClassVar[Json]
    needs_model: ClassVar[bool]
    """False for space-filling rules, which then answer before any data."""

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return scores (candidate,), finite where `belief.available`; larger is better."""


@runtime_checkable
class JointPlanner(Planner, Protocol):
    """A policy that can choose several points together."""

    def score_batch(self, belief: Belief, rng: np.random.Generator, count: int) -> NDArray[np.intp]:
        """Return up to `count` different available candidates, best first; fewer only when fewer are available."""


@runtime_checkable
class DelegatingPlanner(Planner, Protocol):
    """A policy for which others answer, which one depending on the belief."""

    @property
    def chosen_by(self) -> str:
        """Return who answered last, after its own name; empty before anybody did."""

    def present(self, belief: Belief) -> Planner:
        """Return who answers for this belief; `chosen_by` names it from then on.

        What it says of itself (`needs_model` and the rest) counts, and it alone is asked, maybe about more candidates
        than those of this belief.
        """


def present(policy: Planner, belief: Belief) -> Planner:
    """Return who answers for a belief: the policy itself, or the one that it hands over to."""
    return policy.present(belief) if isinstance(policy, DelegatingPlanner) else policy
