"""Exports for sidpy, HyperSpy and bluesky, opened by their own libraries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from probescout.core.errors import InvalidInput, MissingExtra
from probescout.export import campaign_tree, write


@pytest.fixture(scope="module")
def tree(measured: Path) -> xr.DataTree:
    return campaign_tree(measured)


def test_sidpy_reads_overview_and_spectra(tree: xr.DataTree, tmp_path: Path, sidpy_quiet: Any) -> None:
    import h5py
    from pyNSID.io.hdf_utils import get_all_main, read_h5py_dataset

    [path] = write(tree, tmp_path / "gold.hf5", "sidpy")
    with h5py.File(path) as file:
        found = {d.title.split("/")[-1]: d for d in map(read_h5py_dataset, get_all_main(file))}
        assert file.attrs["licence"] == "CC-BY-4.0"
        coordinates = np.asarray(found["spectrum"].point_cloud["coordinates"])
    overview, spectra = found["overview"], found["spectrum"]
    assert (overview.data_type.name, spectra.data_type.name) == ("IMAGE", "POINT_CLOUD")
    assert np.array_equal(np.asarray(overview), tree["overview/image"]) and overview.units == "nA"
    assert overview.x.units == "m" and overview.x.values == pytest.approx(tree["overview/x"].values)
    assert np.array_equal(np.asarray(spectra), tree["steps/spectrum"], equal_nan=True) and spectra.units == "counts"
    assert np.array_equal(spectra.channel.values, np.arange(10.0)) and spectra.channel.units == "eV"
    assert np.array_equal(coordinates[:, 1], tree["steps/y"]) and spectra.metadata["sample"] == "gold"
    assert list(spectra.metadata["is_good"]) == [1, 1, 1, 1, 0, 1, 1]


@pytest.mark.parametrize("dim", ["units", "shape"])
def test_sidpy_takes_dimensions_named_like_its_attributes(
    tree: xr.DataTree, tmp_path: Path, sidpy_quiet: Any, dim: str
) -> None:
    import h5py
    from pyNSID.io.hdf_utils import get_all_main, read_h5py_dataset

    named = tree.copy()
    named["steps"] = xr.DataTree(tree["steps"].to_dataset().rename(channel=dim))
    [path] = write(named, tmp_path / "x.hf5", "sidpy")
    with h5py.File(path) as file:
        found = {d.title.split("/")[-1]: d for d in map(read_h5py_dataset, get_all_main(file))}
        assert np.array_equal(getattr(found["spectrum"], f"signal_{dim}").values, np.arange(10.0))
    assert found["spectrum"].units == "counts"


def test_hyperspy_reads_spectra_and_overview(tree: xr.DataTree, tmp_path: Path) -> None:
    rsciio = pytest.importorskip("rsciio.hspy")
    path, beside = write(tree, tmp_path / "gold.hspy", "hyperspy")
    assert beside.name == "gold.overview.hspy"
    [spectra] = rsciio.file_reader(str(path))
    assert np.array_equal(spectra["data"], tree["steps/spectrum"], equal_nan=True)
    step, channel = spectra["axes"]
    assert (step["name"], step["navigate"], step["size"]) == ("step", True, 7)
    assert (channel["name"], channel["units"], channel["navigate"]) == ("channel", "eV", False)
    assert (channel["offset"], channel["scale"]) == (0.0, 1.0)
    assert "counts" in spectra["metadata"]["Signal"]["quantity"]
    kept = spectra["original_metadata"]["steps"]
    assert np.array_equal(kept["target"], tree["steps/target"], equal_nan=True)
    [overview] = rsciio.file_reader(str(beside))
    assert np.array_equal(overview["data"], tree["overview/image"])
    assert [a["units"] for a in overview["axes"]] == ["m", "m"]
    assert overview["axes"][0]["scale"] == pytest.approx(2e-9)


def test_hyperspy_itself_opens_it(tree: xr.DataTree, tmp_path: Path) -> None:
    hyperspy = pytest.importorskip("hyperspy.api")
    path, _ = write(tree, tmp_path / "gold.hspy", "hyperspy")
    signal = hyperspy.load(str(path))
    assert np.array_equal(signal.data, tree["steps/spectrum"], equal_nan=True)
    assert signal.axes_manager["channel"].units == "eV"


def test_bluesky_documents_hold_every_measurement(tree: xr.DataTree, tmp_path: Path) -> None:
    [path] = write(tree, tmp_path / "gold.jsonl", "bluesky")
    told = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    names = [name for name, _ in told]
    assert names == ["start", "descriptor", "event", "descriptor", *["event"] * 7, "stop"]
    start, picture, image, primary = (document for _, document in told[:4])
    events, stop = [d for n, d in told[4:] if n == "event"], told[-1][1]
    assert start["experiment_id"] == "gold" and start["config"]["seed"] == 5
    assert stop["run_start"] == start["uid"] and stop["num_events"] == {"overview": 1, "primary": 7}
    assert picture["data_keys"]["image"]["shape"] == [12, 16] and picture["data_keys"]["image"]["units"] == "nA"
    assert np.array_equal(np.array(image["data"]["image"], np.float32), tree["overview/image"])
    assert primary["data_keys"]["spectrum"] == {
        "source": "probescout", "dtype": "array", "shape": [10], "dims": ["channel"], "units": "counts",
    }  # fmt: skip
    assert primary["configuration"]["probescout"]["data"]["channel"] == list(range(10))
    targets = [np.nan if e["data"]["target"] is None else e["data"]["target"] for e in events]
    assert np.array_equal(targets, tree["steps/target"], equal_nan=True)
    assert [e["time"] for e in events] == list(tree["steps/time"].values)
    again, _ = write(tree, tmp_path / "again.jsonl", "bluesky"), None
    assert again[0].read_bytes() == path.read_bytes()


def test_event_model_takes_the_documents(tree: xr.DataTree) -> None:
    model = pytest.importorskip("event_model")
    from probescout.export.bluesky import documents

    for name, document in documents(tree):
        model.schema_validators[model.DocumentNames[name]].validate(document)


@pytest.mark.parametrize("name", ["sidpy", "hyperspy"])
def test_a_campaign_with_nothing_to_show_is_refused(bare: Path, tmp_path: Path, name: str, sidpy_quiet: Any) -> None:
    with pytest.raises(InvalidInput, match="--format netcdf"):
        write(campaign_tree(bare), tmp_path / "bare", name)
    assert not [p for p in tmp_path.iterdir() if p.name != "campaigns"]


@pytest.mark.parametrize("name, module", [("sidpy", "pyNSID.io.hdf_io"), ("hyperspy", "rsciio.hspy"), ("zarr", "zarr")])
def test_what_is_not_installed_is_named_with_the_install_line(
    tree: xr.DataTree, tmp_path: Path, name: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingExtra, match="pip install"):
        write(tree, tmp_path / "x", name)
