"""Exports read back by the libraries that they are meant for, and files that appear whole or not at all."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr

from probescout.core.errors import AlreadyExists, InvalidInput
from probescout.export import EXPORTERS, campaign_tree, read, write


@pytest.fixture(scope="module")
def tree(measured: Path) -> xr.DataTree:
    return campaign_tree(measured)


@pytest.mark.parametrize("name", ["netcdf", "zarr"])
def test_the_tree_comes_back_identical(tree: xr.DataTree, bare: Path, tmp_path: Path, name: str) -> None:
    for told, stem in ((tree, "gold"), (campaign_tree(bare), "bare")):
        [path] = write(told, tmp_path / f"{stem}{EXPORTERS[name].suffix}", name)
        xr.testing.assert_identical(read(path), told)


def test_xarray_reads_netcdf_with_dates(tree: xr.DataTree, tmp_path: Path) -> None:
    [path] = write(tree, tmp_path / "gold.nc", "netcdf")
    with xr.open_datatree(path, engine="h5netcdf") as found:
        assert found["steps/time"].values[0] == np.datetime64(1_700_000_000, "s")
        assert np.array_equal(found["steps/target"], tree["steps/target"], equal_nan=True)


def test_zarr_reads_its_store(tree: xr.DataTree, tmp_path: Path) -> None:
    [path] = write(tree, tmp_path / "gold.zarr", "zarr")
    group = zarr.open_group(path, mode="r", zarr_format=3)
    assert group.attrs["licence"] == "CC-BY-4.0"
    found = group["steps/spectrum"]
    assert isinstance(found, zarr.Array) and found.attrs["units"] == "counts"
    assert np.array_equal(np.asarray(found[:]), tree["steps/spectrum"].values, equal_nan=True)


def test_nexus_plots_by_its_default_chain(tree: xr.DataTree, tmp_path: Path) -> None:
    [path] = write(tree, tmp_path / "gold.nxs", "nxdata")
    with h5py.File(path) as file:
        assert file.attrs["NX_class"] == "NXroot"
        entry = file[file.attrs["default"]]
        assert entry.attrs["NX_class"] == "NXentry" and entry["user/name"].asstr()[()] == "0000-0002-1825-0097"
        data = entry[entry.attrs["default"]]
        assert (data.attrs["NX_class"], data.attrs["signal"], list(data.attrs["axes"])) == (
            "NXdata",
            "target",
            ["step"],
        )
        assert np.array_equal(data["target"], tree["steps/target"], equal_nan=True)
        assert data["target"].attrs["units"] == "counts" and list(data["step"]) == list(range(7))
        assert list(data.attrs["y_indices"]) == [0]
        # A default plot shows what is in the unit of the target, and no dose beside it.
        assert sorted(data.attrs["auxiliary_signals"]) == ["mean_at_ask", "std_at_ask", "target_std"]
        spectra, overview = entry["spectra"], entry["overview"]
        assert list(spectra.attrs["axes"]) == ["step", "channel"]
        assert np.array_equal(spectra["spectrum"], tree["steps/spectrum"], equal_nan=True)
        assert np.array_equal(spectra["channel"], np.arange(10.0)) and spectra["channel"].attrs["units"] == "eV"
        assert list(overview.attrs["axes"]) == ["y", "x"] and overview["image"].attrs["units"] == "nA"
        assert np.array_equal(overview["x"], tree["overview/x"])
        assert list(entry["events/line"].asstr()) == list(tree["events/line"].values)


def test_csv_has_a_schema_for_every_column(tree: xr.DataTree, tmp_path: Path) -> None:
    path, beside = write(tree, tmp_path / "gold.csv", "csv")
    schema = json.loads(beside.read_text())
    assert beside.name == "gold.schema.json" and schema["attributes"]["experiment_id"] == "gold"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [f["name"] for f in schema["fields"]] == list(rows[0]) and len(rows) == 7
    fields = {f["name"]: f for f in schema["fields"]}
    assert (fields["target"]["unit"], fields["target"]["type"]) == ("counts", "number")
    assert all(f["description"] for f in schema["fields"])
    for name in ("y", "x", "time", "target", "std_at_ask"):
        found = [float(row[name]) if row[name] else np.nan for row in rows]
        assert np.array_equal(found, tree["steps"][name].values, equal_nan=True)
    assert [row["origin"] for row in rows] == list(tree["steps/origin"].values)


@pytest.mark.parametrize("name", ["nxdata", "csv"])
def test_a_campaign_without_measurements_can_be_written(bare: Path, tmp_path: Path, name: str) -> None:
    assert all(p.stat().st_size for p in write(campaign_tree(bare), tmp_path / f"bare.{name}", name))


@pytest.mark.parametrize("name", ["csv", "zarr"])
def test_nothing_is_replaced_unless_forced(tree: xr.DataTree, tmp_path: Path, name: str) -> None:
    path = tmp_path / "out"
    made = write(tree, path, name)
    with pytest.raises(AlreadyExists, match="--force"):
        write(tree, path, name)
    assert write(tree, path, name, force=True) == made
    assert sorted(tmp_path.iterdir()) == sorted(made)


def test_a_folder_that_is_no_store_is_never_replaced(tree: xr.DataTree, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(AlreadyExists, match="no Zarr store"):
        write(tree, tmp_path / "mine", "zarr", force=True)


def test_a_write_that_fails_leaves_what_was_there(
    tree: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gold.csv"
    write(tree, path, "csv")
    before = path.read_bytes()

    def fail(self: Any, tree: xr.DataTree, path: Path) -> None:
        path.write_text("half")
        raise OSError("no space left")

    monkeypatch.setattr(type(EXPORTERS["csv"]), "write", fail)
    with pytest.raises(InvalidInput, match="no space left"):
        write(tree, path, "csv", force=True)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


def test_what_a_library_cannot_hold_is_told_with_the_other_formats(
    tree: xr.DataTree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Any, tree: xr.DataTree, path: Path) -> None:
        raise ValueError("embedded NULLs")

    monkeypatch.setattr(type(EXPORTERS["netcdf"]), "write", fail)
    with pytest.raises(InvalidInput, match="'netcdf' cannot hold this campaign .embedded NULLs.; choose another: zarr"):
        write(tree, tmp_path / "x.nc", "netcdf")
    assert not list(tmp_path.iterdir())


def test_an_unknown_format_names_those_there_are(tree: xr.DataTree, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="netcdf, zarr"):
        write(tree, tmp_path / "x", "xls")


def test_what_is_no_export_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.nc").write_text("no")
    with pytest.raises(InvalidInput, match="no campaign in NetCDF or Zarr"):
        read(tmp_path / "x.nc")
