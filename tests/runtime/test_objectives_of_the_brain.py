"""What a campaign worker does with several targets, asked directly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from probescout.core.errors import InvalidInput, Reason
from probescout.core.jsonable import to_json
from probescout.core.specs import CampaignSpec, Objective, PluginSpec
from probescout.runtime.brain import Brain
from probescout.surrogates.fitting import fit

SIZE = 10
SECOND = Objective(PluginSpec("band_sum", {"low": 0.0, "high": 4.0}))


def loaded(spec: CampaignSpec) -> Brain:
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    image = np.sin(7 * y + 2) * np.cos(5 * x)
    places = np.random.default_rng(0).choice(SIZE * SIZE, 12, replace=False)
    rows = [[float(c), float(image.ravel()[c]), 0.01] for c in places]
    brain = Brain()
    brain.handle(
        {"op": "load", "image": image, "taught": rows, "further_taught": [rows], "snapshot": None,
         "hyperparameters": {}, "spec": to_json(spec)}
    )  # fmt: skip
    return brain


def fitted(brain: Brain, objective: int) -> Any:
    return brain.handle({"op": "fitted", "objective": objective})["hyperparameters"]


def test_the_sign_of_the_first_target_is_none_of_the_others(lab: Any) -> None:
    spec = lab.spec(objectives=(SECOND,), members=("xy",))
    brain = loaded(spec)
    start = fitted(brain, 1)
    for _ in range(2):
        request = brain.handle({"op": "fit_request"})
        brain.handle({"op": "swap", "result": fit(request), "objective": request["objective"]})
        while not brain.handle({"op": "advance"})["is_done"]:
            pass
    learnt = fitted(brain, 1)
    assert learnt != start
    turned = replace(spec, is_minimizing=True)
    brain.handle({"op": "configure", "spec": to_json(turned)})
    assert fitted(brain, 1) == learnt, "the journal keeps them, and a restart would load them"
    assert fitted(brain, 0) != fitted(brain, 1)
    brain.handle({"op": "configure", "spec": to_json(replace(turned, members=("xy", "bank")))})
    assert set(fitted(brain, 1)["members"]) != set(learnt["members"])


WRONG = {"name": "pareto", "params": {"reference": [0.0, 0.0, 0.0]}}


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        (WRONG, "spec.policy.params.reference"),
        ({"name": "per_second", "params": {"policy": WRONG}}, "spec.policy.params.policy.params.reference"),
        (
            {"name": "staged", "params": {"stages": [{"policy": {"name": "ucb"}, "until": {"n_observed": 9}},
                                                     {"policy": WRONG}]}},
            "spec.policy.params.stages[1].policy.params.reference",
        ),
    ],
)  # fmt: skip
def test_a_reference_point_of_another_number_of_targets_is_refused_at_once(policy: Any, field: str) -> None:
    message = {"op": "validate", "scalarizer": {"name": "band_sum", "params": {"low": 0.0, "high": 9.0}},
               "policy": policy}  # fmt: skip
    with pytest.raises(InvalidInput) as caught:
        Brain().handle({**message, "objectives": [to_json(SECOND)]})
    assert (caught.value.reason, caught.value.field) == (Reason.PARAM_INVALID, field)
    assert Brain().handle({**message, "objectives": [to_json(SECOND)] * 2})["n_dims"] == 1


def test_a_policy_that_cannot_plan_leaves_the_maps_of_the_model(lab: Any) -> None:
    brain = loaded(lab.spec(objectives=(SECOND,), policy=PluginSpec("pareto", WRONG["params"])))
    told = brain.handle({"op": "maps", "pending": [], "blocked": np.zeros(0, np.int64), "ordinal": 0, "at": None})
    assert {"mean", "std", "novelty"} <= set(told["maps"]) and "acquisition" not in told["maps"]
    [why] = told["degraded"]
    assert "acquisition" in why and "targets" in why
