"""Scalarizers on recorded experiments, against the figures that come with them."""

import os
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from probescout_scalarizers.band_sum import BandSum
from probescout_scalarizers.loop_area import LoopArea, without_spikes
from probescout_scalarizers.peak_position import PeakPosition
from probescout_scalarizers.value_at import ValueAt

from probescout.core.spectra import Axis, Spectrum, ValueKind

pytestmark = pytest.mark.data

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("PROBESCOUT_DATA") or ROOT.parent / "shared" / "data")


def recorded(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"recorded data {name} is absent; set PROBESCOUT_DATA to the folder that holds it")
    return path


@pytest.fixture(scope="module")
def loops() -> tuple[np.ndarray, np.ndarray]:
    with h5py.File(recorded("pfm_beps_pto/BEPS_PTO_50x50.h5")) as file:
        group = file["Channel_000/generic"]
        return group["Voltage"][:], group["generic"][:].reshape(-1, 64)


def area(bias: np.ndarray, loop: np.ndarray, threshold: float | None = 5.0) -> float:
    signal = Spectrum(loop, ("v",), (Axis("v", bias, "bias", "V"),), "a.u.", ValueKind.CONTINUOUS)
    return LoopArea(threshold=threshold, axis_unit="V")(signal).value


def test_recorded_spikes_are_removed(loops: tuple[np.ndarray, np.ndarray]) -> None:
    bias, values = loops
    loop = values[2000]
    # Single samples some 60 to 80 times the median of this loop.
    spikes = np.flatnonzero(np.abs(loop) > 20 * np.median(np.abs(loop)))
    assert len(spikes) == 3
    cleaned = without_spikes(loop, 3, 5.0)
    assert (np.abs(cleaned[spikes]) < 10 * np.median(np.abs(loop))).all()
    assert area(bias, loop, threshold=None) > 2 * area(bias, loop)


def test_spikes_put_into_quiet_recorded_loops(loops: tuple[np.ndarray, np.ndarray]) -> None:
    bias, values = loops
    rng = np.random.default_rng(1)
    quiet = [v for v in values if (without_spikes(v, 3, 5.0) == v).all() and np.ptp(v) < 6 * np.median(np.abs(v))]
    assert len(quiet) > 300
    robust, plain = [], []
    for loop in quiet[:300]:
        spiked = loop.copy()
        spiked[rng.integers(4, 60)] += rng.choice([-1, 1]) * rng.uniform(10, 100) * np.median(np.abs(loop))
        expected = area(bias, loop, threshold=None)
        robust.append(abs(area(bias, spiked) / expected - 1))
        plain.append(abs(area(bias, spiked, threshold=None) / expected - 1))
    assert np.quantile(robust, 0.95) < 0.15
    assert np.median(plain) > 5 * np.median(robust)


def test_silicon_counts() -> None:
    with h5py.File(recorded("eds_sio2_haadf/SiO2_EDS_SI.hspy")) as file:
        group = file["Experiments/EDS Spectrum Image"]
        step, offset = (float(group["axis-2"].attrs[k]) for k in ("scale", "offset"))
        cube = group["data"][::4, ::4]
    energy = Axis("channel", offset + step * np.arange(cube.shape[-1]), "energy", "keV")
    silicon = BandSum(low=1.65, high=1.83, axis_unit="keV")
    scalars = [silicon(Spectrum(s, ("channel",), (energy,), kind=ValueKind.COUNTS)) for s in cube.reshape(-1, 2048)]
    assert np.mean([s.value for s in scalars]) == pytest.approx(16.9, rel=0.05)
    assert min(s.variance for s in scalars) >= 1.0


def test_current_at_the_highest_field() -> None:
    with h5py.File(recorded("cafm_iv_bfo/bfo_iv_final.hf5")) as file:
        cube = file["Measurement_000/Channel_000/IV_BFO/IV_BFO"][:].reshape(-1, 53)
    values = [ValueAt()(Spectrum(v, ("field",))).value for v in cube]
    np.testing.assert_array_equal(values, cube[:, -1])


def test_contact_potential() -> None:
    raw = recorded("kpfm_grid_nanonis/Bias_spectroscopy.3ds").read_bytes()
    head, body = raw.split(b":HEADER_END:\r\n", 1)
    fields = dict(re.findall(r'^([^=\r\n]+)="?([^"\r\n]*)"?\r?$', head.decode("latin-1"), re.MULTILINE))
    n_points, n_params = int(fields["Points"]), int(fields["# Parameters (4 byte)"])
    channels = fields["Channels"].split(";")
    grid = np.frombuffer(body, ">f4").reshape(-1, n_params + n_points * len(channels)).astype(float)
    shift = [i for i, name in enumerate(channels) if "Frequency Shift" in name][0]
    vertex = PeakPosition(method="parabola")
    found = []
    for row in grid:
        bias = Axis("bias", np.linspace(row[0], row[1], n_points), "bias", "V")
        sweep = row[n_params + shift * n_points :][:n_points]
        found.append(vertex(Spectrum(sweep, ("bias",), (bias,), "Hz", ValueKind.CONTINUOUS)))
    values = np.array([s.value for s in found])
    assert len(values) == 400
    assert values.mean() == pytest.approx(0.143, abs=0.002)
    assert values.std() == pytest.approx(0.0058, abs=0.0005)
    # The error of one fit is part of the scatter over the sample, not more than it.
    assert 0.0 < np.mean([s.variance for s in found]) < values.var()
