"""The main claim on recorded experiments: more of the top 1 % than random, over a real server."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from probescout.replay.case import recorded_case
from probescout.replay.convert import convert
from probescout.replay.experiment import Plan, run_experiment
from probescout.replay.opening import open_campaigns

DATA = Path(os.environ.get("PROBESCOUT_DATA", Path(__file__).parents[3] / "shared" / "data"))
SIO2 = "eds_sio2_haadf/SiO2_EDS_SI.hspy"
BFO = "cafm_iv_bfo/bfo_iv_final.hf5"
P45 = "eds_sem_p45/P45_the_default_job.bcf"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"recorded data not found at {DATA}; set PROBESCOUT_DATA"),
]


@pytest.mark.parametrize(
    ("file", "image", "scalarizer", "params"),
    [
        (SIO2, {"image": str(DATA / "eds_sio2_haadf/SiO2_HAADF.hspy")}, "band_sum", {"low": 1.65, "high": 1.83}),
        (BFO, {"image_from": "channel:0"}, "value_at", {}),
        (P45, {"image": f"{DATA / P45}:BSE"}, "band_sum", {"low": 6.25, "high": 6.55}),
    ],
    ids=["eds_sio2_haadf", "cafm_iv_bfo", "eds_sem_p45"],
)
def test_the_planner_finds_more_of_the_top_than_random(
    file: str, image: dict[str, str], scalarizer: str, params: dict[str, float], tmp_path: Path
) -> None:
    pytest.importorskip("rsciio", reason='the readers are not installed: pip install "probescout[readers]"')
    convert(DATA / file, tmp_path / "case.nc", **image)
    case = recorded_case(tmp_path / "case.nc", scalarizer=scalarizer, params=params)
    plan = Plan(budget=60, seeds=(0,), compare=("random",), use_deep=False)
    with open_campaigns() as open_session:
        experiment = run_experiment(case, plan, open_session)
    planner, random = (experiment.of(arm)[0] for arm in ("planner", "random"))
    assert planner.scores.top1_found >= random.scores.top1_found + 4
    assert planner.scores.best_fraction >= random.scores.best_fraction
    assert planner.scores.coverage95 > 0.85
    # Far beyond what a step takes, so that only a server that waits for a fit fails here.
    assert planner.scores.step_ms_p50 < 200.0
