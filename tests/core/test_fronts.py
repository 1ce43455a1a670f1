"""The best compromises, against their definition and against botorch."""

from __future__ import annotations

from dataclasses import replace
from time import process_time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from probescout.core.campaign import create
from probescout.core.events import Created
from probescout.core.fronts import nondominated, pareto_front
from probescout.core.observations import FurtherScore, Observation, ScoreState
from probescout.core.specs import CampaignSpec, Objective, PluginSpec
from probescout.core.state import Campaign


@settings(max_examples=200, deadline=None)
@given(hnp.arrays(float, st.tuples(st.integers(0, 20), st.integers(1, 4)), elements=st.sampled_from([0.0, 1.0, 2.0])))
def test_it_is_what_no_other_row_beats(values: np.ndarray) -> None:
    beaten = [
        any((other >= row).all() and (other > row).any() for other in values) for row in values
    ]  # fmt: skip
    kept = nondominated(values)
    assert sorted(kept.tolist()) == [i for i, is_beaten in enumerate(beaten) if not is_beaten]
    assert list(values[kept, 0]) == sorted(values[kept, 0], reverse=True)


@pytest.mark.filterwarnings("ignore")
def test_botorch_agrees() -> None:
    torch = pytest.importorskip("torch")
    from botorch.utils.multi_objective.pareto import is_non_dominated

    values = np.random.default_rng(3).normal(size=(400, 3))
    wanted = np.flatnonzero(is_non_dominated(torch.as_tensor(values), deduplicate=False).numpy())
    np.testing.assert_array_equal(np.sort(nondominated(values)), wanted)


def campaign(*rows: tuple[float, float], **spec: Any) -> Campaign:
    base = CampaignSpec(PluginSpec("band_sum"), objectives=(Objective(PluginSpec("edge"), True),), **spec)
    told = {
        f"o{i}": Observation(
            f"o{i}", "f1", 0.5, 0.5, score_state=ScoreState.SCORED, target=a, further=(FurtherScore(b, 0.1),)
        )
        for i, (a, b) in enumerate(rows)
    }
    return replace(create(Created("c", base, 0.0)), observations=told)


def names(state: Campaign) -> list[str]:
    return [o.id for o in pareto_front(state)[0]]


def test_the_sign_of_each_target_counts() -> None:
    rows = ((3.0, 3.0), (2.0, 2.0), (1.0, 1.0), (1.0, 2.0))
    assert names(campaign(*rows)) == ["o0", "o1", "o2"]
    assert names(campaign(*rows, is_minimizing=True)) == ["o2"]


def test_only_what_has_all_targets_is_compared() -> None:
    state = campaign((1.0, 1.0), (9.0, 9.0), (8.0, 0.0), (7.0, 0.0))
    o = dict(state.observations)
    o["o1"] = replace(o["o1"], further=(FurtherScore(0.0, 0.0, error="no edge there"),))
    o["o2"] = replace(o["o2"], score_state=ScoreState.RETRACTED)
    o["o3"] = replace(o["o3"], score_state=ScoreState.FAILED)
    state = replace(state, observations=o)
    assert pareto_front(state) == ((o["o0"],), 1)
    assert o["o3"].is_taught_further(0), "its model learns from it all the same"
    assert pareto_front(replace(state, observations={})) == ((), 0)


@pytest.mark.parametrize(("n_targets", "most_s"), [(2, 0.25), (3, 2.5)])
def test_ten_thousand_compromises_are_compared_quickly(n_targets: int, most_s: float) -> None:
    values = np.abs(np.random.default_rng(5).normal(size=(10_000, n_targets)))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    values[5_000:] = values[:5_000]
    started = process_time()
    kept = nondominated(values)
    assert process_time() - started < most_s
    assert len(kept) == 10_000, "all lie on a sphere, and those that are there twice stay twice"
    worse = np.concatenate([0.999 * values, values])
    assert set(nondominated(worse[::10])) <= set(range(1_000, 2_000))


def test_all_ties_of_the_best_stay() -> None:
    state = campaign((1.0, 1.0), (3.0, 2.0), (3.0, 2.0), (2.0, 4.0))
    assert names(state) == ["o1", "o2", "o0"]
    alone = replace(state, spec=replace(state.spec, objectives=()))
    assert names(alone) == ["o1", "o2"]
