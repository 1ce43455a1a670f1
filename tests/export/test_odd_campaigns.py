"""Campaigns that are not of the usual kind: simulations, maps as signals, masks, signals of different shapes, drift."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from probescout.core.events import Created, Event, FrameAdded, FrameRevised, Observed, Scored, encode
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
    assert "spectrum" not in steps and steps.sizes == {"step": 2}
    assert "(3,), (4,)" in steps.attrs["comment"]


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
