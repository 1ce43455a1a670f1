"""Campaigns that are not of the usual kind: simulations, maps as signals, masks, signals of different shapes, drift."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from probescout.core.events import Created, Event, FrameAdded, FrameRevised, Observed, Retracted, Scored, encode
from probescout.core.geometry import Affine
from probescout.core.observations import FurtherScore, Observation, SignalRecord
from probescout.core.ports import NewEvent
from probescout.core.specs import CampaignSpec, Objective, PluginSpec
from probescout.core.spectra import Axis, Spectrum, ValueKind
from probescout.core.theory import JobState, Quantity
from probescout.core.theory_events import EvidenceSet, TheoryEnded, TheoryLeased, TheoryQueued
from probescout.export import EXPORTERS, campaign_tree, read, write
from probescout.store.journal import Journal

CREATED = Created("odd", CampaignSpec(PluginSpec("band_sum")), 1.0)
FRAME = FrameAdded("f", 2.0, height=4, width=4)


def journal_of(home: Path, *events: Event | NewEvent) -> xr.DataTree:
    with Journal.open(home) as journal:
        journal.append([e if isinstance(e, NewEvent) else encode(e) for e in events], time=1.0, principal="me")
    return campaign_tree(home)


def observed(name: str, spectrum: Spectrum, *, y: float = 0.5, revision: int = 1, ordinal: int = 0) -> NewEvent:
    record, data = SignalRecord.of(spectrum)
    told = Observation(name, "f", y, 0.5, frame_revision=revision, signal=record, received_time=9.0, ordinal=ordinal)
    return encode(Observed(told), data)


def line(values: list[float], mask: list[bool] | None = None) -> Spectrum:
    array = np.array(values)
    axis = Axis("bias", np.arange(array.size) ** 2.0, "bias", "V")
    return Spectrum(array, ("bias",), (axis,), "nA", ValueKind.CONTINUOUS, None if mask is None else np.array(mask))


def test_simulations_with_units(tmp_path: Path) -> None:
    xtb, lammps = PluginSpec("xtb"), PluginSpec("lammps")
    queued = [TheoryQueued(f"j{i}", e, str(i), 60.0, 1, 3.0, candidate=i) for i, e in enumerate((xtb, lammps, xtb))]
    leased = [TheoryLeased(job, "w", 1, "t", 60.0, 4.0) for job in ("j0", "j1")]
    first = TheoryEnded("j0", JobState.SUCCEEDED, 1, 5.0, (Quantity("energy", -1.5, "eV", 0.1),))
    other = (Quantity("energy", -30.0, "kcal/mol"), Quantity("gap", 2.0, "eV"))
    second = TheoryEnded("j1", JobState.SUCCEEDED, 1, 6.0, other)
    tree = journal_of(tmp_path, CREATED, FRAME, *queued, *leased, first, second, EvidenceSet("j0", False))
    theory = tree["theory"].to_dataset()
    assert list(theory["job"].values) == ["j0", "j1", "j2"]
    assert list(theory["engine"].values) == ["xtb", "lammps", "xtb"]
    assert list(theory["state"].values) == ["succeeded", "succeeded", "queued"]
    assert list(theory["candidate"].values) == [0, 1, 2]
    assert list(theory["applied"].values) == [False, True, False]
    for name, unit, values in (
        ("energy", "eV", [-1.5, np.nan, np.nan]),
        ("energy_std", "eV", [0.1, np.nan, np.nan]),
        ("energy_2", "kcal/mol", [np.nan, -30.0, np.nan]),
        ("gap", "eV", [np.nan, 2.0, np.nan]),
    ):
        assert theory[name].attrs["units"] == unit and np.array_equal(theory[name], values, equal_nan=True)
    for name in ("netcdf", "zarr"):
        [path] = write(tree, tmp_path / f"out.{name}", name)
        xr.testing.assert_identical(read(path), tree)


def test_different_shapes_are_left_out_and_said_so(tmp_path: Path) -> None:
    told = [observed(f"o{i}", line([1.0] * (3 + i)), ordinal=i) for i in range(2)]
    steps = journal_of(tmp_path, CREATED, FRAME, *told)["steps"].to_dataset()
    assert np.array_equal(steps["spectrum"], [[1.0] * 3, [np.nan] * 3], equal_nan=True)
    assert "1 of 2 raw signals are left out" in steps.attrs["comment"]
    assert "shape ((3,), (4,)): step 1" in steps.attrs["comment"]


@pytest.mark.parametrize(
    "odd, why",
    [
        ({"unit": "pA"}, "unit (nA, pA)"),
        ({"kind": ValueKind.COUNTS}, "kind (continuous, counts)"),
        ({"dims": ("time",), "axes": ()}, "dimensions (('bias',), ('time',))"),
        ({"axes": (Axis("bias", np.array([0.0, 1.0, 5.0]), "bias", "V"),)}, "axis"),
        ({"axes": (Axis("bias", np.array([0.0, 1.0, 4.0]), "bias", "mV"),)}, "axis"),
    ],
)
def test_only_signals_that_agree_are_stacked(tmp_path: Path, odd: dict[str, Any], why: str) -> None:
    usual = line([1.0, 2.0, 3.0])
    told = [observed(f"o{i}", s, ordinal=i) for i, s in enumerate((replace(usual, **odd), usual, usual))]
    steps = journal_of(tmp_path, CREATED, FRAME, *told)["steps"].to_dataset()
    # The earliest is the odd one; most signals are like the others.
    assert np.array_equal(steps["spectrum"], [[np.nan] * 3, [1, 2, 3], [1, 2, 3]], equal_nan=True)
    assert steps["spectrum"].attrs["units"] == "nA" and steps["bias"].attrs["units"] == "V"
    assert list(steps["bias"].values) == [0.0, 1.0, 4.0]
    assert steps.attrs["comment"].startswith("1 of 3 raw signals are left out")
    assert steps.attrs["comment"].endswith(f" in {why}: step 0")


def test_withdrawn_measurements_are_not_good_in_any_format(tmp_path: Path) -> None:
    told = [observed(f"o{i}", line([1.0, 2.0]), ordinal=i) for i in range(4)]
    scored = [Scored(f"o{i}", 3.0, 1.0, "nA") for i in range(3)]
    tree = journal_of(tmp_path / "home", CREATED, FRAME, *told, *scored, Retracted("o1", "the tip changed"))
    good = tree["steps/is_good"]
    assert good.dtype == np.uint8 and list(good.values) == [1, 0, 1, 0] and good.attrs["long_name"]
    path, beside = write(tree, tmp_path / "x.csv", "csv")
    assert {"name": "is_good", "type": "integer"}.items() <= json.loads(beside.read_text())["fields"][-6].items()
    with path.open(newline="") as file:
        assert [row["is_good"] for row in csv.DictReader(file)] == ["1", "0", "1", "0"]
    rsciio = pytest.importorskip("rsciio.hspy")
    [signal] = rsciio.file_reader(str(write(tree, tmp_path / "x.hspy", "hyperspy")[0]))
    assert list(signal["original_metadata"]["steps"]["is_good"]) == [1, 0, 1, 0]


@pytest.mark.parametrize("name", sorted(set(EXPORTERS) - {"sidpy"}))
def test_dimensions_of_signals_never_clash(tmp_path: Path, name: str) -> None:
    dims = ("dose", "spectrum", "dI/dV", "dI_per_dV", "is_good", ".", "target", "signal_target", "status\0", "dwell")
    axes = tuple(Axis(d, np.array([2.0]), d, "V") for d in dims)
    values = np.ones((1,) * len(dims))
    told = observed("a", Spectrum(values, dims, axes, "counts", ValueKind.COUNTS))
    tree = journal_of(tmp_path / "home", CREATED, FRAME, told)
    spectrum = tree["steps/spectrum"]
    assert spectrum.dims == (
        "step", "signal_dose", "signal_spectrum", "dI_per_dV", "dI_per_dV_2", "signal_is_good", "signal_.",
        "signal_target", "signal_target_2", "status\ufffd", "signal_dwell",
    )  # fmt: skip
    assert all(list(spectrum[d].values) == [2.0] for d in spectrum.dims[1:])
    assert all(p.exists() for p in write(tree, tmp_path / "out", name))


@pytest.mark.parametrize("name", sorted(set(EXPORTERS) - {"sidpy"}))
def test_nul_in_texts_is_replaced(tmp_path: Path, name: str) -> None:
    spec = CampaignSpec(PluginSpec("band_sum"), title="a\0b", sample="\0", operator="me\0", instrument="STEM\0")
    told = observed("o\0", replace(line([1.0, 2.0]), unit="n\0A"))
    queued = TheoryQueued("j", PluginSpec("xtb\0"), "0", 60.0, 1, 3.0, candidate=0)
    tree = journal_of(tmp_path / "home", Created("nul", spec, 1.0), FRAME, told, queued)
    assert (tree.attrs["title"], tree.attrs["sample"]) == ("a\ufffdb", "\ufffd")
    assert list(tree["steps/observation"].values) == ["o\ufffd"] and list(tree["theory/engine"].values) == ["xtb\ufffd"]
    assert tree["steps/spectrum"].attrs["units"] == "n\ufffdA"
    [path, *_] = write(tree, tmp_path / "out", name)
    if name in ("netcdf", "zarr"):
        xr.testing.assert_identical(read(path), tree)


def test_masks_and_uneven_axes_are_kept(tmp_path: Path) -> None:
    told = [observed("a", line([1.0, 2.0, 3.0])), observed("b", line([4.0, 5.0, 6.0], [True, False, True]), ordinal=1)]
    tree = journal_of(tmp_path, CREATED, FRAME, *told, Scored("a", 6.0, 4.0, "nA"))
    steps = tree["steps"].to_dataset()
    assert np.array_equal(steps["spectrum"], [[1, 2, 3], [4, 5, 6]])
    assert np.array_equal(steps["spectrum_is_valid"], [[True] * 3, [True, False, True]])
    assert list(steps["bias"].values) == [0.0, 1.0, 4.0] and steps["bias"].attrs["units"] == "V"
    assert (steps["target"].values[0], steps["target_std"].values[0]) == (6.0, 2.0)
    assert list(steps["time"].values) == [9.0, 9.0]
    rsciio = pytest.importorskip("rsciio.hspy")
    [path] = write(tree, tmp_path / "x.hspy", "hyperspy")
    [signal] = rsciio.file_reader(str(path))
    assert list(signal["axes"][1]["axis"]) == [0.0, 1.0, 4.0]


@pytest.mark.parametrize("name", sorted(set(EXPORTERS) - {"sidpy"}))
def test_maps_as_signals_have_dimensions_of_their_own(tmp_path: Path, name: str) -> None:
    values = np.arange(6.0).reshape(2, 3)
    axes = (Axis("y", np.arange(2.0), "angle", "mrad"), Axis("x", np.arange(3.0), "angle", "mrad"))
    told = observed("a", Spectrum(values, ("y", "x"), axes, "counts", ValueKind.COUNTS))
    tree = journal_of(tmp_path / "home", CREATED, FRAME, told)
    spectrum = tree["steps"].to_dataset()["spectrum"]
    assert spectrum.dims == ("step", "signal_y", "signal_x") and spectrum["signal_x"].attrs["units"] == "mrad"
    assert np.array_equal(spectrum[0], values)
    assert all(p.exists() for p in write(tree, tmp_path / "out", name))


def test_places_are_those_in_the_overview_whatever_the_drift(tmp_path: Path) -> None:
    drift = FrameRevised("f", 2, Affine(y0=0.1))
    told = [
        observed("a", line([1.0, 2.0])),
        encode(drift),
        observed("b", line([1.0, 2.0]), y=0.6, revision=2, ordinal=1),
    ]
    steps = journal_of(tmp_path, CREATED, FRAME, *told)["steps"].to_dataset()
    assert steps["y"].values == pytest.approx([0.5, 0.5])


def test_further_objectives_have_targets_of_their_own(tmp_path: Path) -> None:
    spec = CampaignSpec(PluginSpec("band_sum"), objectives=(Objective(PluginSpec("center_of_mass")),))
    told = [observed("a", line([1.0, 2.0])), observed("b", line([3.0, 4.0]), ordinal=1)]
    scored = Scored("a", 3.0, 1.0, "nA", further=(FurtherScore(0.5, 0.04, "V"),))
    steps = journal_of(tmp_path, Created("two", spec, 1.0), FRAME, *told, scored)["steps"].to_dataset()
    assert np.array_equal(steps["target_2"], [0.5, np.nan], equal_nan=True)
    assert np.array_equal(steps["target_2_std"], [0.2, np.nan], equal_nan=True)
    assert steps["target_2"].attrs["units"] == "V" and "center_of_mass" in steps["target_2"].attrs["long_name"]
