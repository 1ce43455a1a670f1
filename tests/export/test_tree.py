"""The DataTree of a campaign: what it holds, and what it says of itself."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probescout.core.errors import InvalidInput, NotFound, Reason
from probescout.export import campaign_tree
from probescout.export.about import root_attributes
from probescout.export.history import read_history
from probescout.store.journal import Journal


def test_the_overview_has_unit_and_pixel_size(measured: Path, wire: Any) -> None:
    overview = campaign_tree(measured)["overview"]
    assert np.array_equal(overview["image"], wire.scene(16).astype(np.float32)[:12])
    assert overview["image"].dims == ("y", "x") and overview["image"].attrs["units"] == "nA"
    assert (overview.attrs["pixel_size"], overview.attrs["pixel_unit"]) == (2.0, "nm")
    assert overview["x"].attrs["units"] == "m"
    assert overview["x"].values == pytest.approx((np.arange(16) + 0.5) * 2e-9)
    assert overview.sizes == {"y": 12, "x": 16}


def test_steps_are_what_was_told(measured: Path, wire: Any) -> None:
    steps = campaign_tree(measured)["steps"]
    assert list(steps["observation"].values) == [f"o-{i}" for i in range(7)]
    assert list(steps["status"].values) == ["complete"] * 4 + ["failed"] + ["complete"] * 2
    assert list(steps["origin"].values[:3]) == ["seed_design"] * 3
    assert steps["origin"].values[-1] == "unsolicited"
    assert steps["time"].values == pytest.approx(1.7e9 + np.arange(7))
    assert steps["spectrum"].dims == ("step", "channel") and steps["spectrum"].attrs["units"] == "counts"
    assert np.array_equal(steps["channel"], np.arange(10.0)) and steps["channel"].attrs["units"] == "eV"
    for i in range(7):
        at = (float(steps["y"][i]), float(steps["x"][i]))
        message = wire.observation("campaigns/gold", "o", at, seed=i).spectrum
        counts = np.frombuffer(message.data, np.uint16)
        row = steps["spectrum"].values[i]
        if i == 4:
            assert np.isnan(row).all() and np.isnan(steps["target"][i])
        else:
            assert np.array_equal(row, counts)
            # The scalarizer sums all ten channels of counts, whose variance is their number.
            assert steps["target"][i] == counts.sum()
            assert steps["target_std"][i] == pytest.approx(max(1.0, float(counts.sum())) ** 0.5, rel=0.2)
    assert steps["target"].attrs["units"] == "counts"
    assert (steps["y"].values[-1], steps["x"].values[-1]) == (0.5, 0.25)
    # The model predicts what the planner chose, and says nothing of a point that nobody asked for.
    assert np.isnan(steps["mean_at_ask"].values[[0, -1]]).all()


def test_the_root_says_who_what_and_under_which_licence(measured: Path) -> None:
    root = campaign_tree(measured, strict=True).attrs
    assert root["experiment_id"] == "gold" and root["title"] == "Gold on carbon"
    assert (root["sample"], root["instrument"], root["operator"]) == ("gold", "STEM", "0000-0002-1825-0097")
    assert (root["licence"], root["seed"], root["missing_metadata"], root["problems"]) == ("CC-BY-4.0", 5, "", "")
    assert root["software"].startswith("probescout ")
    assert root["config_sha256"] == hashlib.sha256(root["config_json"].encode()).hexdigest()
    assert json.loads(root["config_json"])["metadata"]["detector"] == {"gain": 2.0}
    assert all(isinstance(value, str | int | float) and not isinstance(value, bool) for value in root.values())


def test_events_are_the_journal_without_lease_tokens(measured: Path) -> None:
    lines = [json.loads(line) for line in campaign_tree(measured)["events"]["line"].values]
    records = list(Journal.salvage(measured))
    assert [(e["seq"], e["kind"], e["hash"]) for e in lines] == [(r.seq, r.kind, r.hash) for r in records]
    tokens = [s["token"] for r in records if r.kind == "Leased" for s in r.payload["suggestions"]]
    text = json.dumps(lines)
    assert len(tokens) >= 6 and not any(token in text for token in tokens)


def test_the_model_is_named_by_its_hyperparameters(measured: Path) -> None:
    model = campaign_tree(measured)["model"].attrs
    assert model["hyperparameters_sha256"] == hashlib.sha256(model["hyperparameters_json"].encode()).hexdigest()


def test_what_is_missing_is_named(bare: Path) -> None:
    root = campaign_tree(bare).attrs
    assert root["missing_metadata"] == "instrument, sample, operator, licence"
    with pytest.raises(InvalidInput) as caught:
        campaign_tree(bare, licence="CC0-1.0", strict=True)
    assert caught.value.reason is Reason.FIELD_MISSING
    assert "instrument, sample, operator. Set instrument by UpdateCampaign" in caught.value.message


def test_no_journal_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        campaign_tree(tmp_path)


def test_strict_refuses_damage(measured: Path) -> None:
    state = read_history(measured).state
    with pytest.raises(InvalidInput, match="is damaged: a blob is lost. Restore"):
        root_attributes(state, ("a blob is lost",), licence="", strict=True)
    assert root_attributes(state, ("a blob is lost",), licence="", strict=False)["problems"] == "a blob is lost"
