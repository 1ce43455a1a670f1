"""The conformance suite for planners: subclass it in your tests, name your class, and run pytest.

class TestMine(PlannerConformance):
    planner = Mine
    params = {"beta": 2.0}
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray

from probescout.core.geometry import pixel_centers
from probescout.core.ports import Planner
from probescout.core.registry import PLANNERS, find

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class FakeBelief:
    """A belief made of plain arrays; candidates are independent in `sample`."""

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

    def sample(self, rng: np.random.Generator, index: NDArray[np.intp]) -> FloatArray:
        """Draw one sample (m,) at candidates `index` (m,)."""
        return np.asarray(self.mean[index] + self.std[index] * rng.standard_normal(len(index)))


def fake_belief(height: int = 6, width: int = 7, *, seed: int = 0, n_members: int = 3) -> FakeBelief:
    """Return a belief with random moments, a quarter of the candidates measured.

    Args:
        height: Rows of candidates.
        width: Columns.
        seed: Of the moments.
        n_members: Members of the mixture.
    """
    rng = np.random.default_rng(seed)
    n = height * width
    mean, var = rng.normal(size=(n_members, n)), rng.uniform(0.1, 1.0, size=(n_members, n))
    available = np.ones(n, dtype=bool)
    measured = rng.choice(n, n // 4, replace=False)
    available[measured] = False
    belief = FakeBelief(
        pixel_centers(height, width), (height, width), available, mean, var,
        np.full(n_members, 1.0 / n_members), np.zeros(n), np.zeros(n), 0.0, len(measured),
    )  # fmt: skip
    belief = with_moments(belief, mean, var)
    return replace(belief, incumbent=float(belief.mean[measured].max()) if len(measured) else float("-inf"))


def with_moments(belief: FakeBelief, mean: FloatArray, var: FloatArray) -> FakeBelief:
    """Return the belief with other member moments (member, candidate) and the mixture that follows from them."""
    centre = belief.weights @ mean
    spread = belief.weights @ (var + (mean - centre) ** 2)
    return replace(belief, member_mean=mean, member_var=var, mean=centre, std=np.sqrt(spread))


def hard_beliefs() -> dict[str, FakeBelief]:
    """Return beliefs on which careless formulas divide by zero, overflow or find nothing to choose."""
    base = fake_belief()
    mean, var, zeros = base.member_mean, base.member_var, np.zeros_like(base.member_mean)
    one = fake_belief(1, 1)
    return {
        "ordinary": base,
        "certain": with_moments(base, mean, zeros),
        "certain and flat": replace(with_moments(base, zeros, zeros), incumbent=0.0),
        "nothing measured": replace(base, available=np.ones_like(base.available), incumbent=-np.inf, n_observed=0),
        "hopeless": replace(base, incumbent=1e6),
        "hopeless and almost certain": replace(with_moments(base, mean, 1e-20 * var), incumbent=1e6),
        "tiny units": replace(with_moments(base, 1e-12 * mean, 1e-24 * var), incumbent=1e-12),
        "huge units": replace(with_moments(base, 1e12 * mean, 1e24 * var), incumbent=1e12),
        "one member only": replace(base, weights=np.eye(len(base.weights))[0]),
        "one candidate": replace(one, available=np.array([True]), incumbent=-np.inf, n_observed=0),
        "one left": replace(base, available=np.arange(len(base.mean)) == 3),
        "none left": replace(base, available=np.zeros_like(base.available)),
        "no grid": replace(base, shape=None),
        "a line": replace(
            base, shape=None, positions=np.column_stack([base.positions[:, 1], 0 * base.positions[:, 0]])
        ),
        "three parameters": replace(
            base, shape=None, positions=np.random.default_rng(1).uniform(size=(len(base.mean), 3))
        ),
    }


class PlannerConformance:
    """What every planner must do; each test is one promise of the protocol `Planner`."""

    planner: ClassVar[type]
    """The class under test."""
    params: ClassVar[Mapping[str, Any]] = {}
    """Parameters to build it with."""
    is_installed: ClassVar[bool] = True
    """Whether it is declared as an entry point under its name."""

    def build(self) -> Any:
        """Return the planner with `params`, as they come out of JSON."""
        return self.planner(**json.loads(json.dumps(dict(self.params))))

    def test_offers_the_protocol(self) -> None:
        """All attributes of the protocol are there, with the right types."""
        assert isinstance(self.build(), Planner)
        cls: Any = self.planner
        assert cls.name and cls.name == cls.name.lower() and " " not in cls.name
        assert cls.summary and "\n" not in cls.summary
        assert isinstance(cls.needs_model, bool)

    def test_is_installed_under_its_name(self) -> None:
        """The entry point of that name is this class."""
        if not self.is_installed:
            pytest.skip("declared as not installed (is_installed = False)")
        cls: Any = self.planner
        assert find(PLANNERS, cls.name).load() is cls

    def test_schema_is_sound(self) -> None:
        """The schema is valid JSON Schema, closed, titled, and its defaults and `params` satisfy it."""
        cls: Any = self.planner
        schema = cls.params_schema
        jsonschema.Draft202012Validator.check_schema(schema)
        validator = jsonschema.Draft202012Validator(schema)
        validator.validate(dict(self.params))
        assert not validator.is_valid({**self.params, "no_such_parameter": 1}), "set additionalProperties to false"
        for name, entry in schema["properties"].items():
            assert entry.get("title") and entry.get("description"), f"{name} needs a title and a description"
            if "default" in entry:
                jsonschema.Draft202012Validator(entry).validate(entry["default"])

    def test_defaults_are_those_of_the_schema(self) -> None:
        """Building with the defaults written out gives the same scores as leaving them out."""
        cls: Any = self.planner
        defaults = {k: e["default"] for k, e in cls.params_schema["properties"].items() if "default" in e}
        belief = fake_belief()
        written = cls(**{**defaults, **self.params}).score(belief, np.random.default_rng(0))
        np.testing.assert_array_equal(written, self.build().score(belief, np.random.default_rng(0)))

    @pytest.mark.parametrize("case", sorted(hard_beliefs()))
    def test_scores_are_finite_where_available(self, case: str) -> None:
        """One finite float per available candidate, whatever the belief, without a warning."""
        belief = hard_beliefs()[case]
        scores = self.build().score(belief, np.random.default_rng(0))
        assert scores.shape == belief.available.shape
        assert np.issubdtype(scores.dtype, np.floating)
        assert np.isfinite(scores[belief.available]).all()

    @pytest.mark.parametrize("case", sorted(hard_beliefs()))
    def test_belief_is_left_alone(self, case: str) -> None:
        """The belief belongs to the caller."""
        belief = hard_beliefs()[case]
        before = copy.deepcopy(belief)
        self.build().score(belief, np.random.default_rng(0))[:] = 0.0
        for entry in fields(belief):
            np.testing.assert_array_equal(getattr(belief, entry.name), getattr(before, entry.name))

    def test_same_seed_gives_same_scores(self) -> None:
        """A decision can be replayed: the generator passed in is the only source of chance."""
        belief, planner = fake_belief(12, 40), self.build()
        first = planner.score(belief, np.random.default_rng(7))
        np.testing.assert_array_equal(planner.score(belief, np.random.default_rng(7)), first)
        np.testing.assert_array_equal(self.build().score(belief, np.random.default_rng(7)), first)

    def test_rule_without_model_ignores_the_model(self) -> None:
        """A planner that says that it needs no model scores the same whatever the model believes."""
        cls: Any = self.planner
        if cls.needs_model:
            pytest.skip("it says that it needs a model")
        one, belief = fake_belief(seed=0), fake_belief(seed=1)
        other = replace(belief, available=one.available)
        np.testing.assert_array_equal(
            self.build().score(one, np.random.default_rng(0)), self.build().score(other, np.random.default_rng(0))
        )
