"""`probescout model`: the registry of a data directory, by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from probescout.cli.main import EXIT_CODES, app
from probescout.core.errors import HistoryMismatch, InvalidInput, NotFound, ProbescoutError, Reason, WrongState
from probescout.core.specs import CampaignSpec, PluginSpec
from probescout.core.transfer_spec import schema_of
from probescout.store.model_files import pack
from probescout.surrogates.committee import Committee
from probescout.surrogates.components import FEATURE_SET
from probescout.surrogates.features import compute_features
from probescout.surrogates.transfer import hand_on


def model(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["model", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def made(path: Path, seed: int, **schema: Any) -> Path:
    """Write the file of a model that learnt from another image for each seed."""
    image = np.random.default_rng(seed).normal(size=(12, 12))
    committee = Committee(compute_features(image), seed=0, use_deep=False)
    for index in range(0, 144, 12):
        committee.tell(index, float(image.flat[index]), 0.01)
    header, arrays = hand_on(committee).parts()
    spec = CampaignSpec(PluginSpec("band_sum", {"low": 0.0, "high": 9.0}))
    about = {
        "schema": {**schema_of(spec, (1,), "counts", FEATURE_SET), **schema},
        "lineage": {"campaign": f"night-{seed}", "sample": f"alloy {seed}"},
        "metrics": {"n_observations": 12, "rmse": 0.25, "coverage95": 0.9},
    }
    path.write_bytes(pack({**header, "about": about}, arrays))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with two versions of steel, the first of them current."""
    for seed in (1, 2):
        model("import", "steel", made(tmp_path / f"{seed}.npz", seed), "--data", tmp_path, "--note", f"batch {seed}")
    model("promote", "steel@1", "--data", tmp_path)
    return tmp_path


def test_listing_and_searching(data: Path) -> None:
    lines = model("list", "--data", data).splitlines()
    assert [line.split()[0] for line in lines] == ["steel@1", "steel@2"]
    assert "current" in lines[0] and "current" not in lines[1]
    assert "12 observations of night-2; RMSE 0.25, coverage 90%  batch 2" in lines[1]
    for words, n in ((["alloy", "BAND_SUM"], 1), (["gold"], 0)):
        assert len(json.loads(model("list", *words, "--data", data, "--json"))["models"]) == n
    assert model("list", "--data", data / "elsewhere") == ""


def test_promoting_and_rolling_back(data: Path) -> None:
    assert model("promote", "steel@2", "--data", data, "--reason", "more data") == "current  steel@2\n"
    assert model("rollback", "steel", "--data", data, "--reason", "it was drifting") == "current  steel@1\n"
    shown = model("show", "steel", "--data", data)
    assert shown.startswith("steel@1") and '"campaign": "night-1"' in shown
    assert [line.split("UTC")[1].split()[0] for line in shown.splitlines() if "UTC" in line] == [
        "register", "register", "promote", "promote", "rollback",
    ]  # fmt: skip
    assert "it was drifting" in shown
    told = json.loads(model("show", "steel@2", "--data", data, "--json"))
    assert (told["current"], told["shown"], told["promoted"]) == (1, 2, [1])


def test_sharing(data: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out.npz", tmp_path / "other"
    model("export", "steel@2", "--out", out, "--data", data)
    assert out.read_bytes() == (tmp_path / "2.npz").read_bytes()
    with pytest.raises(InvalidInput, match="cannot be written") as caught:
        model("export", "steel@1", "--out", out, "--data", data)
    assert caught.value.reason is Reason.FILE_UNREADABLE and out.read_bytes() == (tmp_path / "2.npz").read_bytes()
    told = json.loads(model("import", "shared", out, "--data", other, "--promote", "--json"))
    [version] = told["versions"]
    assert told["current"] == 1 and version["about"]["lineage"]["campaign"] == "night-2"
    assert json.loads(model("verify", "--data", other, "--json")) == {"n_versions": 1, "problems": []}


def test_damage_is_found_and_mended(data: Path, tmp_path: Path) -> None:
    digest = json.loads(model("show", "steel@2", "--data", data, "--json"))["versions"][1]["digest"]
    path = data / "models" / "blobs" / digest[:2] / digest
    path.write_bytes(path.read_bytes().replace(b"alloy 2", b"alloy 3"))
    done = CliRunner().invoke(app, ["model", "verify", "--data", str(data)])
    assert done.exit_code == 1 and "steel@2 is damaged" in done.output and "1 of 2 versions are sound" in done.output
    refused(HistoryMismatch, Reason.DIGEST_MISMATCH, "export", "steel@2", "--out", tmp_path / "x", "--data", data)
    assert not (tmp_path / "x").exists()
    model("import", "steel", tmp_path / "2.npz", "--data", data)
    assert model("verify", "--data", data) == "2 of 2 versions are sound\n"


def refused(kind: type[ProbescoutError], reason: Reason, *arguments: object) -> None:
    with pytest.raises(kind) as caught:
        model(*arguments)
    assert caught.value.reason is reason


def test_what_is_refused(data: Path, tmp_path: Path) -> None:
    there = ("--data", data)
    text = tmp_path / "text.npz"
    text.write_text("no model")
    refused(InvalidInput, Reason.MODEL_INCOMPATIBLE, "import", "steel", text, *there)
    refused(InvalidInput, Reason.FILE_UNREADABLE, "import", "steel", tmp_path / "nowhere.npz", *there)
    for name, schema in (("look", {"look": [3]}), ("shape", {"look": "wide"})):
        wrong = made(tmp_path / f"{name}.npz", 5, **schema)
        refused(InvalidInput, Reason.MODEL_INCOMPATIBLE, "import", "steel", wrong, *there)
    refused(InvalidInput, Reason.ID_INVALID, "import", "../steel", tmp_path / "1.npz", *there)
    refused(InvalidInput, Reason.FIELD_MISSING, "promote", "steel", *there)
    refused(NotFound, Reason.MODEL_NOT_FOUND, "show", "iron", *there)
    refused(WrongState, Reason.MODEL_NOT_FOUND, "rollback", "steel", *there)
    refused(NotFound, Reason.CAMPAIGN_NOT_FOUND, "register", "steel", "--campaign", "none", *there)
    assert len(json.loads(model("list", *there, "--json"))["models"][0]["versions"]) == 2
    assert EXIT_CODES[InvalidInput] == 2
