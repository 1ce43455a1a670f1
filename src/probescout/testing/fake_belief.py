"""Beliefs made of plain arrays, for tests of planners: ordinary ones, and those on which careless formulas fail."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from probescout.core.geometry import pixel_centers

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class FakeCalibration:
    """How well predictions have held."""

    n: int = 0
    coverage95: float = float("nan")
    is_alarmed: bool = False


@dataclass(frozen=True)
class FakeBelief:
    """A belief made of plain arrays; a squared-exponential correlation, or none, ties candidates together."""

    positions: FloatArray
    shape: tuple[int, int] | None
    available: NDArray[np.bool_]
    member_mean: FloatArray
    member_var: FloatArray
    weights: FloatArray
    mean: FloatArray
    std: FloatArray
    incumbent: float
    n_observed: int
    measured: NDArray[np.intp]
    values: FloatArray
    noise_var: FloatArray
    novelty: FloatArray
    lengthscale: float = 0.0
    """Of the correlation, in fractions of the frame; 0: candidates are independent."""
    n_budget: int | None = None
    cost_s: FloatArray | None = None
    last_position: tuple[float, float] | None = None
    calibration: FakeCalibration | None = None
    further: tuple[FakeBelief, ...] = ()
    """Beliefs about further targets."""
    first_var: FloatArray | None = None
    """(member, candidate) variance before any pending point; None: `member_var`."""
    rows: FloatArray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    """(pending, member, candidate) what each pending point took from the covariance."""

    @property
    def objectives(self) -> tuple[FakeBelief, ...]:
        """Return one belief per target, this one first."""
        return (self, *self.further)

    def sample(self, rng: np.random.Generator, index: NDArray[np.intp]) -> FloatArray:
        """Draw one joint sample (m,) from the mixture, or from its independent moments without a correlation."""
        if self.lengthscale == 0.0:
            return np.asarray(self.mean[index] + self.std[index] * rng.standard_normal(len(index)))
        k = int(rng.choice(len(self.weights), p=self.weights))
        values, vectors = np.linalg.eigh(self.covariance(index, index)[k])
        draw = vectors @ (np.sqrt(np.maximum(values, 0.0)) * rng.standard_normal(len(index)))
        return np.asarray(self.member_mean[k, index] + draw)

    def covariance(self, index_a: NDArray[np.intp], index_b: NDArray[np.intp]) -> FloatArray:
        """Return each member's covariance (member, a, b)."""
        a, b = self.positions[index_a], self.positions[index_b]
        if self.lengthscale > 0.0:
            squared = ((a[:, None] - b[None]) ** 2).sum(axis=2)
            correlation = np.exp(-0.5 * squared / self.lengthscale**2)
        else:
            correlation = (np.asarray(index_a)[:, None] == np.asarray(index_b)[None]).astype(np.float64)
        sd = np.sqrt(self.member_var if self.first_var is None else self.first_var)
        found = sd[:, index_a, None] * correlation * sd[:, None, index_b]
        for row in self.rows:
            found = found - row[:, index_a, None] * row[:, None, index_b]
        return np.asarray(found)

    def fantasise(self, index: int) -> FakeBelief:
        """Return the belief with one more pending candidate."""
        everyone = np.arange(len(self.mean))
        column = self.covariance(np.array([index]), everyone)[:, 0]
        total = np.maximum(column[:, index] + self.noise_var[index], 1e-300)
        row = column / np.sqrt(total)[:, None]
        available = self.available.copy()
        available[index] = False
        fresh = replace(
            self,
            available=available,
            first_var=self.member_var if self.first_var is None else self.first_var,
            rows=np.concatenate([self.rows.reshape(-1, *row.shape), row[None]]),
            further=tuple(other.fantasise(index) for other in self.further),
        )
        var = np.maximum(self.member_var - row**2, 0.0)
        spread = self.weights @ (var + (self.member_mean - self.mean) ** 2)
        return replace(fresh, member_var=var, std=np.sqrt(spread))


def fake_belief(
    height: int = 6, width: int = 7, *, seed: int = 0, n_members: int = 3, lengthscale: float = 0.0, n_targets: int = 1
) -> FakeBelief:
    """Return a belief with random moments, a quarter of the candidates measured.

    Args:
        height: Rows of candidates.
        width: Columns.
        seed: Of the moments.
        n_members: Members of the mixture.
        lengthscale: Of the correlation between candidates, in fractions of the frame; 0: none.
        n_targets: Beliefs in `objectives`.
    """
    rng = np.random.default_rng(seed)
    n = height * width
    mean, var = rng.normal(size=(n_members, n)), rng.uniform(0.1, 1.0, size=(n_members, n))
    available = np.ones(n, dtype=bool)
    measured = rng.choice(n, n // 4, replace=False)
    available[measured] = False
    belief = FakeBelief(
        pixel_centers(height, width), (height, width), available, mean, var,
        np.full(n_members, 1.0 / n_members), np.zeros(n), np.zeros(n), 0.0, len(measured), measured,
        np.zeros(len(measured)), np.full(n, 0.05), rng.uniform(size=n), lengthscale,
    )  # fmt: skip
    belief = with_moments(belief, mean, var)
    further = []
    for t in range(1, n_targets):
        other = np.random.default_rng([seed, t])
        moments = other.normal(size=(n_members, n)), other.uniform(0.1, 1.0, size=(n_members, n))
        further.append(told(with_moments(belief, *moments)))
    return replace(told(belief), further=tuple(further))


def told(belief: FakeBelief) -> FakeBelief:
    """Return the belief with the values and the incumbent that its mixture has at its measured candidates."""
    values = belief.mean[belief.measured]
    return replace(belief, values=values, incumbent=float(values.max()) if len(values) else float("-inf"))


def with_moments(belief: FakeBelief, mean: FloatArray, var: FloatArray) -> FakeBelief:
    """Return the belief with other member moments (member, candidate) and the mixture that follows from them."""
    centre = belief.weights @ mean
    spread = belief.weights @ (var + (mean - centre) ** 2)
    return replace(
        belief, member_mean=mean, member_var=var, mean=centre, std=np.sqrt(spread), first_var=None,
        rows=np.zeros((0, 0, 0)),
    )  # fmt: skip


def in_units(belief: FakeBelief, unit: float) -> FakeBelief:
    """Return the belief with the same target in other units."""
    scaled = with_moments(belief, unit * belief.member_mean, unit**2 * belief.member_var)
    return replace(
        scaled, values=unit * belief.values, incumbent=unit * belief.incumbent, noise_var=unit**2 * belief.noise_var,
        further=tuple(in_units(other, unit) for other in belief.further),
    )  # fmt: skip


def hard_beliefs() -> dict[str, FakeBelief]:
    """Return beliefs on which careless formulas divide by zero, overflow or find nothing to choose."""
    base = fake_belief()
    mean, var, zeros = base.member_mean, base.member_var, np.zeros_like(base.member_mean)
    one = replace(_unmeasured(fake_belief(1, 1)), available=np.array([True]))
    cost = np.random.default_rng(2).uniform(0.5, 20.0, len(base.mean))
    tied = fake_belief(lengthscale=0.3)
    return {
        "ordinary": base,
        "tied together": tied,
        "tied together and without noise": replace(tied, noise_var=np.zeros_like(tied.noise_var)),
        "some pending": tied.fantasise(int(np.flatnonzero(tied.available)[0])),
        "certain": told(with_moments(base, mean, zeros)),
        "certain and without noise": replace(
            told(with_moments(base, mean, zeros)), noise_var=np.zeros_like(base.noise_var)
        ),
        "certain and flat": told(with_moments(base, zeros, zeros)),
        "flat": told(with_moments(base, zeros, np.ones_like(var))),
        "nothing measured": _unmeasured(replace(base, available=np.ones_like(base.available))),
        "measured elsewhere": replace(base, measured=np.full_like(base.measured, -1)),
        "hopeless": replace(base, incumbent=1e6, values=base.values + 1e6),
        "hopeless and almost certain": replace(with_moments(base, mean, 1e-20 * var), incumbent=1e6),
        "tiny units": in_units(base, 1e-12),
        "huge units": in_units(base, 1e12),
        "one member only": replace(base, weights=np.eye(len(base.weights))[0]),
        "one candidate": one,
        "one left": replace(base, available=np.arange(len(base.mean)) == 3),
        "none left": replace(base, available=np.zeros_like(base.available)),
        "unknown where taken": _unknown_where_taken(base),
        "no grid": replace(base, shape=None),
        "a line": replace(
            base, shape=None, positions=np.column_stack([base.positions[:, 1], 0 * base.positions[:, 0]])
        ),
        "three parameters": replace(
            base, shape=None, positions=np.random.default_rng(1).uniform(size=(len(base.mean), 3))
        ),
        "costs time": replace(base, cost_s=cost, last_position=(0.1, 0.9)),
        "costs nothing": replace(base, cost_s=np.zeros(len(base.mean))),
        "budget spent": replace(base, n_budget=base.n_observed, calibration=FakeCalibration(60, 0.5, True)),
        "novel nowhere": replace(base, novelty=np.zeros_like(base.novelty)),
        "two targets": fake_belief(n_targets=2),
        "three targets in different units": replace(
            fake_belief(n_targets=3), further=tuple(in_units(b, 1e9) for b in fake_belief(n_targets=3).further)
        ),
    }


def _unmeasured(belief: FakeBelief) -> FakeBelief:
    """Return the belief as it is before any measurement."""
    nothing = np.empty(0, dtype=np.intp)
    return replace(belief, incumbent=float("-inf"), n_observed=0, measured=nothing, values=np.empty(0))


def _unknown_where_taken(base: FakeBelief) -> FakeBelief:
    """Return the belief with NaN wherever nothing may be proposed."""
    free = base.available

    def hidden(array: FloatArray) -> FloatArray:
        return np.where(free, array, np.nan)

    return replace(
        base, member_mean=hidden(base.member_mean), member_var=hidden(base.member_var), mean=hidden(base.mean),
        std=hidden(base.std), noise_var=hidden(base.noise_var), novelty=hidden(base.novelty),
    )  # fmt: skip
