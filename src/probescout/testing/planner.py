"""The conformance suite for planners: subclass it in your tests, name your class, and run pytest.

class TestMine(PlannerConformance):
    planner = Mine
    params = {"beta": 2.0}
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, ClassVar

import jsonschema
import numpy as np
import pytest

from probescout.core.ports import DelegatingPlanner, JointPlanner, Planner
from probescout.core.registry import PLANNERS, find
from probescout.testing.fake_belief import FakeBelief, fake_belief, hard_beliefs, told, with_moments

__all__ = ["FakeBelief", "PlannerConformance", "fake_belief", "hard_beliefs", "told", "with_moments"]


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
        for name in ("is_gain", "is_split"):
            assert isinstance(getattr(self.build(), name, False), bool), name

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

    def test_scores_are_finite_where_available(self) -> None:
        """One finite float per available candidate, whatever the belief, without a warning."""
        planner = self.build()
        for case, belief in hard_beliefs().items():
            scores = planner.score(belief, np.random.default_rng(0))
            assert scores.shape == belief.available.shape, case
            assert np.issubdtype(scores.dtype, np.floating), case
            assert np.isfinite(scores[belief.available]).all(), case

    def test_belief_is_left_alone(self) -> None:
        """The belief belongs to the caller."""
        planner = self.build()
        for case, belief in hard_beliefs().items():
            before = copy.deepcopy(belief)
            planner.score(belief, np.random.default_rng(0))[:] = 0.0
            for now, then in zip(belief.objectives, before.objectives, strict=True):
                for entry in fields(now):
                    if entry.name != "further":
                        found, expected = getattr(now, entry.name), getattr(then, entry.name)
                        np.testing.assert_array_equal(found, expected, f"{case}: {entry.name}")

    def test_batch_holds_different_available_candidates(self) -> None:
        """A joint batch is as large as asked or as there is room for, and the same for the same seed."""
        planner = self.build()
        if not isinstance(planner, JointPlanner):
            pytest.skip("it chooses one point at a time")
        for case, belief in hard_beliefs().items():
            for count in (1, 4, 100):
                batch = planner.score_batch(belief, np.random.default_rng(3), count)
                assert np.issubdtype(batch.dtype, np.integer), case
                assert len(set(batch.tolist())) == len(batch) == min(count, int(belief.available.sum())), case
                assert belief.available[batch].all(), case
                again = self.build().score_batch(belief, np.random.default_rng(3), count)
                np.testing.assert_array_equal(batch, again, case)

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

    def test_score_with_parts_is_of_each_candidate_alone(self) -> None:
        """With `is_split` a score moves with the candidate's own moments only, not with those of others."""
        planner = self.build()
        if not getattr(planner, "is_split", False):
            pytest.skip("it does not say that its scores follow from means and SDs")
        belief = fake_belief(lengthscale=0.2)
        scores = planner.score(belief, np.random.default_rng(0))
        alone = int(np.flatnonzero(belief.available)[np.argmax(scores[belief.available])])
        mean, var = 0.9 * belief.member_mean, 1.1 * belief.member_var
        mean[:, alone], var[:, alone] = belief.member_mean[:, alone], belief.member_var[:, alone]
        other = replace(with_moments(belief, mean, var), lengthscale=0.1, novelty=belief.novelty[::-1].copy())
        found = planner.score(other, np.random.default_rng(1))
        np.testing.assert_allclose(found[alone], scores[alone], rtol=1e-9)

    def test_who_answers_scores_the_same(self) -> None:
        """A policy that delegates scores as the one does that it hands over to, and names it."""
        planner = self.build()
        if not isinstance(planner, DelegatingPlanner):
            pytest.skip("it answers itself")
        for case, belief in hard_beliefs().items():
            answering = planner.present(belief)
            assert isinstance(answering, Planner) and planner.chosen_by, case
            scores = answering.score(belief, np.random.default_rng(0))
            np.testing.assert_array_equal(planner.score(belief, np.random.default_rng(0)), scores, case)
