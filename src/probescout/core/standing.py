"""How every candidate of a campaign stands towards the next suggestion, all at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probescout.core.regions import allowed
from probescout.core.specs import Limits
from probescout.core.state import Campaign

BoolArray = NDArray[np.bool_]
TOLERANCE = 1 + 1e-9
"""Rounding errors of sums and distances must not refuse what just fits a limit."""


@dataclass(frozen=True)
class Standing:
    """Which candidates each rule of the guard lets through; one by one takes seconds on a large frame.

    Every array is (candidate,).
    """

    is_allowed: BoolArray
    """In the allowed region and on the mask."""
    is_inside: BoolArray
    """Not drifted out of the frame."""
    is_done: BoolArray
    """Measured, infeasible, or failed too often."""
    is_leased: BoolArray
    has_dose_left: BoolArray
    """Another probe is expected to stay within the dose per area."""
    is_near: BoolArray
    """Within the client's reach."""

    @classmethod
    def of(cls, state: Campaign, mask: BoolArray | None, client_id: str) -> Standing:
        """Return how the candidates of a campaign with a frame stand.

        Args:
            state: The campaign.
            mask: (y, x) where probing is allowed; None: everywhere.
            client_id: Whose reach counts.
        """
        assert state.candidates is not None and state.frame is not None
        n, positions, limits = state.candidates.n, state.candidates.positions(), state.spec.limits
        m = state.frame.maps[-1]
        drifted = positions @ np.array([[m.yy, m.xy], [m.yx, m.xx]]) + [m.y0, m.x0]
        is_near = np.ones(n, dtype=bool)
        if limits.max_step and client_id in state.last_at:
            gaps = np.hypot(*(positions - state.last_at[client_id]).T) / np.sqrt(2.0)
            is_near = gaps <= limits.max_step * TOLERANCE
        return cls(
            is_allowed=allowed(limits, mask, positions),
            is_inside=np.all((drifted >= 0.0) & (drifted <= 1.0), axis=1),
            is_done=_among(state.done, n),
            is_leased=_among(state.pending.values(), n),
            has_dose_left=_with_dose_left(state, n),
            is_near=is_near,
        )

    @property
    def may_be_probed(self) -> BoolArray:
        """Return (candidate,) what the guard lets through now, or would once leases end and the probe moves."""
        return self.is_allowed & self.is_inside & ~self.is_done & self.has_dose_left

    @property
    def is_open(self) -> BoolArray:
        """Return (candidate,) what the guard lets through now."""
        return self.may_be_probed & ~self.is_leased & self.is_near


def has_dose_left(limits: Limits, dose: float, expected: float) -> bool:
    """Return whether a candidate that has had a dose may take the expected one more."""
    return not limits.dose_per_area or dose + expected <= limits.dose_per_area * TOLERANCE


def _with_dose_left(state: Campaign, n: int) -> BoolArray:
    limits, expected = state.spec.limits, state.use.dose_per_probe
    result = np.full(n, has_dose_left(limits, 0.0, expected))
    if limits.dose_per_area:
        full = (c for c, dose in state.doses.items() if not has_dose_left(limits, dose, expected))
        result &= ~_among(full, n)
    return result


def _among(candidates: Iterable[int], n: int) -> BoolArray:
    result = np.zeros(n, dtype=bool)
    result[np.fromiter(candidates, dtype=np.intp)] = True
    return result
