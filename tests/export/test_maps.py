"""What the model shows of all candidates: as the server showed it, and reopened by the libraries it is meant for."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from probescout.core.errors import InvalidInput, Reason
from probescout.core.events import Created, Event, FrameAdded, decode, encode
from probescout.core.specs import PluginSpec
from probescout.core.theory import JobState, Quantity
from probescout.core.theory_events import TheoryEnded, TheoryLeased, TheoryQueued
from probescout.core.theory_spec import TheorySpec
from probescout.export import campaign_tree, read, write
from probescout.runtime.recalling import recall
from probescout.store.journal import Journal

UNITS = {"mean": "counts", "std": "counts", "predictive_std": "counts", "novelty": "1", "acquisition": "1"}


def test_the_maps_are_those_that_the_server_showed(live: tuple[Path, dict[str, Any]], mapped: xr.DataTree) -> None:
    _, shown = live
    maps = mapped["maps"].to_dataset()
    assert set(shown) == set(UNITS) == set(maps.data_vars)
    for name, expected in shown.items():
        assert maps[name].dims == ("snapshot", "y", "x") and maps[name].attrs["units"] == UNITS[name]
        np.testing.assert_allclose(maps[name].values[0], expected, rtol=1e-5, atol=1e-6, err_msg=name)
    # They tell one candidate from another, and a measured one is not suggested again.
    assert np.ptp(maps["mean"].values) > 1.0
    assert 0 < np.isnan(maps["acquisition"].values).sum() < maps["acquisition"].size


def test_the_maps_lie_over_the_overview_and_say_when_they_were(mapped: xr.DataTree) -> None:
    maps = mapped["maps"].to_dataset()
    for dim in ("y", "x"):
        assert np.array_equal(maps[dim], mapped["overview"][dim]) and maps[dim].attrs["units"] == "m"
    last = json.loads(mapped["events/line"].values[-1])
    assert (maps["event_seq"].item(), maps["time"].item()) == (last["seq"], last["time"])
    assert (maps["n_observed"].item(), maps["model_version"].item()) == (6, mapped["model"].attrs["model_version"])
    weights = json.loads(maps.attrs["member_weights_json"])
    assert sum(weights.values()) == pytest.approx(1.0) and "comment" not in maps.attrs


def test_the_latent_space_has_a_place_for_every_candidate(mapped: xr.DataTree) -> None:
    latent = mapped["latent"].to_dataset()
    assert latent["z"].dims == ("candidate", "dim") and latent.sizes["candidate"] == 12 * 16
    assert latent.attrs["representation"] == "bank" and np.isfinite(latent["z"]).all()
    assert (latent["y"].values[17], latent["x"].values[17]) == (1.5 / 12, 1.5 / 16)


@pytest.mark.parametrize("name", ["netcdf", "zarr"])
def test_the_tree_with_maps_comes_back_identical(mapped: xr.DataTree, tmp_path: Path, name: str) -> None:
    [path] = write(mapped, tmp_path / "gold", name)
    xr.testing.assert_identical(read(path), mapped)


def test_nexus_plots_maps_and_latent_space(mapped: xr.DataTree, tmp_path: Path) -> None:
    [path] = write(mapped, tmp_path / "gold.nxs", "nxdata")
    with h5py.File(path) as file:
        maps, latent = file["entry/maps"], file["entry/latent"]
        assert (maps.attrs["NX_class"], maps.attrs["signal"]) == ("NXdata", "mean")
        assert list(maps.attrs["axes"]) == ["snapshot", "y", "x"]
        assert sorted(maps.attrs["auxiliary_signals"]) == ["predictive_std", "std"]
        assert maps["acquisition"].attrs["units"] == "1" and list(maps.attrs["time_indices"]) == [0]
        for name in UNITS:
            assert np.array_equal(maps[name], mapped["maps"][name], equal_nan=True)
        assert np.array_equal(maps["y"], mapped["overview/y"]) and "bank" in maps.attrs["member_weights_json"]
        assert list(latent.attrs["axes"]) == ["candidate", "dim"] and latent.attrs["representation"] == "bank"
        assert np.array_equal(latent["z"], mapped["latent/z"])


def test_sidpy_reads_each_map_as_an_image(mapped: xr.DataTree, tmp_path: Path, sidpy_quiet: Any) -> None:
    from pyNSID.io.hdf_utils import get_all_main, read_h5py_dataset

    [path] = write(mapped, tmp_path / "gold.hf5", "sidpy")
    with h5py.File(path) as file:
        found = {d.title.split("/")[-1]: d for d in map(read_h5py_dataset, get_all_main(file))}
    assert set(found) == {"overview", "spectrum", *(f"map_{name}" for name in UNITS)}
    for name, unit in UNITS.items():
        image = found[f"map_{name}"]
        assert image.data_type.name == "IMAGE" and image.units == unit
        assert np.array_equal(np.asarray(image), mapped["maps"][name][0], equal_nan=True)
        assert image.y.units == "m" and image.y.values == pytest.approx(mapped["overview/y"].values)


def test_hyperspy_reads_each_map_beside_the_spectra(mapped: xr.DataTree, tmp_path: Path) -> None:
    rsciio = pytest.importorskip("rsciio.hspy")
    path, *beside = write(mapped, tmp_path / "gold.hspy", "hyperspy")
    assert path.name == "gold.hspy"
    assert {p.name for p in beside} == {"gold.overview.hspy", *(f"gold.map_{name}.hspy" for name in UNITS)}
    for name, unit in UNITS.items():
        [signal] = rsciio.file_reader(str(tmp_path / f"gold.map_{name}.hspy"))
        assert np.array_equal(signal["data"], mapped["maps"][name][0], equal_nan=True)
        assert [(a["name"], a["units"], a["navigate"]) for a in signal["axes"]] == [
            ("y", "m", False),
            ("x", "m", False),
        ]
        assert signal["metadata"]["Signal"]["quantity"].endswith(f"({unit})")


def test_event_model_takes_the_stream_of_maps(mapped: xr.DataTree) -> None:
    model = pytest.importorskip("event_model")
    from probescout.export.bluesky import documents

    told = list(documents(mapped))
    for name, document in told:
        model.schema_validators[model.DocumentNames[name]].validate(document)
    [stream] = [d for n, d in told if n == "descriptor" and d["name"] == "maps"]
    [event] = [d for n, d in told if n == "event" and d["descriptor"] == stream["uid"]]
    assert stream["data_keys"]["mean"]["units"] == "counts" and event["time"] == mapped["maps/time"].item()
    assert np.array_equal(np.array(event["data"]["mean"], np.float32), mapped["maps/mean"][0])
    assert told[-1][1]["num_events"]["maps"] == 1


def rewritten(home: Path, to: Path, **changes: Any) -> Path:
    """Write the journal of a campaign anew with another spec."""
    shutil.copytree(home / "blobs", to / "blobs")
    with Journal.open(to) as journal:
        for record in Journal.salvage(home):
            event = decode(record)
            if isinstance(event, Created):
                event = replace(event, spec=replace(event.spec, **changes))
            journal.append([encode(event, record.data)], time=record.time, principal=record.principal)
    return to


def test_a_stride_keeps_the_places_of_its_candidates(measured: Path, tmp_path: Path) -> None:
    spec = next(e.spec for r in Journal.salvage(measured) if isinstance(e := decode(r), Created))
    frame = next(e for r in Journal.salvage(measured) if isinstance(e := decode(r), FrameAdded))
    home = tmp_path / "coarse"
    shutil.copytree(measured / "blobs", home / "blobs")
    coarse = replace(spec, candidates=replace(spec.candidates, stride=3))
    with Journal.open(home) as journal:
        told = [Created("coarse", coarse, 1.0), replace(frame, n_candidates=4 * 5, seeds=())]
        journal.append([encode(e) for e in told], time=2.0, principal="me")
    tree = campaign_tree(home, look=recall)
    maps = tree["maps"].to_dataset()
    assert maps["mean"].shape == (1, 4, 5)
    assert np.array_equal(maps["y"], tree["overview/y"][1::3]) and np.array_equal(maps["x"], tree["overview/x"][1::3])
    # Without a measurement the model says the same everywhere, and the policy nothing.
    assert np.ptp(maps["mean"].values) == pytest.approx(0.0) and "acquisition" not in maps


def test_what_theory_says_is_shown_in_its_own_unit(measured: Path, tmp_path: Path) -> None:
    engine = PluginSpec("springs")
    y, x = ((np.mgrid[0:12, 0:16] + 0.5) / [[[12]], [[16]]]).reshape(2, -1)
    energies = -0.1 * np.exp(1.0 + np.sin(7 * y + 2) * np.cos(5 * x))
    home = rewritten(measured, tmp_path / "told", theory=TheorySpec(engine, "energy"))
    with Journal.open(home) as journal:
        for i, candidate in enumerate(range(5, 192, 12)):
            told: tuple[Event, ...] = (
                TheoryQueued(f"j{i}", engine, str(i), 60.0, 1, 3.0, candidate=candidate),
                TheoryLeased(f"j{i}", "w", 1, "t", 60.0, 4.0),
                TheoryEnded(
                    f"j{i}", JobState.SUCCEEDED, 1, 5.0, (Quantity("energy", float(energies[candidate]), "eV"),)
                ),
            )
            journal.append([encode(e) for e in told], time=2.0, principal="me")
    maps = campaign_tree(home, look=recall)["maps"].to_dataset()
    assert [maps[n].attrs["units"] for n in ("theory", "theory_std", "prior")] == ["eV", "eV", "counts"]
    assert (maps["theory_std"].values >= 0.0).all() and np.isfinite(maps["prior"]).all()
    assert np.corrcoef(maps["theory"].values.ravel(), energies)[0, 1] > 0.7
    assert maps["theory_weight"].dims == ("snapshot",) and 0.0 <= maps["theory_weight"].item() <= 0.9


def test_measurements_without_a_target_are_named(measured: Path, tmp_path: Path) -> None:
    home = tmp_path / "unscored"
    shutil.copytree(measured / "blobs", home / "blobs")
    with Journal.open(home) as journal:
        for record in Journal.salvage(measured):
            if record.kind in ("Scored", "ModelSwapped"):
                continue
            journal.append([encode(decode(record), record.data)], time=record.time, principal=record.principal)
    maps = campaign_tree(home, look=recall)["maps"]
    assert maps["n_observed"].item() == 0
    assert "6 measurements had no target yet" in maps.attrs["comment"]


def test_a_plugin_that_is_not_installed_leaves_the_data(measured: Path, tmp_path: Path, sidpy_quiet: Any) -> None:
    spec = next(e.spec for r in Journal.salvage(measured) if isinstance(e := decode(r), Created))
    home = rewritten(measured, tmp_path / "strange", policy=replace(spec.policy, name="not_here"))
    tree = campaign_tree(home, look=recall)
    assert "there are no maps" in tree["maps"].attrs["comment"] and "not_here" in tree["maps"].attrs["comment"]
    assert not tree["maps"].data_vars and "latent" not in tree
    assert tree["steps"].sizes["step"] == 7
    for name in ("netcdf", "nxdata", "sidpy", "hyperspy", "bluesky"):
        assert all(p.exists() for p in write(tree, tmp_path / f"out.{name}", name))


def test_without_a_frame_there_is_nothing_to_show(bare: Path) -> None:
    assert "has no frame" in campaign_tree(bare, look=recall)["maps"].attrs["comment"]


def test_a_look_that_is_refused_is_no_loss(measured: Path) -> None:
    def refuse(*_: object) -> Any:
        raise InvalidInput(Reason.FIELD_INVALID, "the committee is out", field="members")

    assert "the committee is out" in campaign_tree(measured, look=refuse)["maps"].attrs["comment"]
