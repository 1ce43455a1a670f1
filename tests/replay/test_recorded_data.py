"""Every recorded experiment is read, converted and replayed; numbers from its README or computed another way."""

import os
import warnings
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest

from probescout.core.errors import InvalidInput
from probescout.core.spectra import ValueKind
from probescout.replay.convert import convert
from probescout.replay.microscope import RecordedMicroscope
from probescout.replay.readers import read_signals
from probescout.replay.recording import Recording

DATA = Path(os.environ.get("PROBESCOUT_DATA", Path(__file__).parents[3] / "shared" / "data"))

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded experiments at {DATA}; set PROBESCOUT_DATA"),
]

SIO2 = DATA / "eds_sio2_haadf" / "SiO2_EDS_SI.hspy"
HAADF = DATA / "eds_sio2_haadf" / "SiO2_HAADF.hspy"
P45 = DATA / "eds_sem_p45" / "P45_the_default_job.bcf"
PTO = DATA / "pfm_beps_pto" / "BEPS_PTO_50x50.h5"
BFO = DATA / "cafm_iv_bfo" / "bfo_iv_final.hf5"
KPFM = DATA / "kpfm_grid_nanonis" / "Bias_spectroscopy.3ds"
ABORTED = DATA / "fz_grid_nanonis" / "Z_spectroscopy.3ds"
CKPFM = DATA / "ckpfm_gpim" / "cKPFM_loop_0001_10x10-proc.npz"
BEPFM = DATA / "ckpfm_gpim" / "bepfm_test_data.npy"


needs_rsciio = pytest.mark.skipif(find_spec("rsciio") is None, reason="needs the extra 'readers'")
needs_scifireaders = pytest.mark.skipif(find_spec("SciFiReaders") is None, reason="needs the extra 'readers'")


def band(recording: Recording, low: float, high: float) -> np.ndarray:
    return np.asarray(recording.spectrum[...])[..., recording.axes[0].window(low, high)].sum(axis=-1)


def raw_nanonis(path: Path, n_floats: int, shape: tuple[int, int]) -> np.ndarray:
    """Return the numbers of a grid (y, x, float) as they lie behind its header; zero where the file ends early."""
    content = path.read_bytes()
    marker = b":HEADER_END:\r\n"
    numbers = np.frombuffer(content[content.index(marker) + len(marker) :], dtype=">f4")
    grid = np.zeros(shape[0] * shape[1] * n_floats, dtype=np.float32)
    grid[: numbers.size] = numbers
    return grid.reshape(*shape, n_floats)


@needs_rsciio
def test_sio2_with_its_haadf(tmp_path):
    convert(SIO2, tmp_path / "sio2.nc", image=str(HAADF))
    recording = Recording.load(tmp_path / "sio2.nc")
    assert recording.spectrum_kind is ValueKind.COUNTS
    assert recording.spectrum.dtype == np.uint32
    assert recording.axes[0].unit == "keV"
    assert band(recording, 1.65, 1.83).mean() == pytest.approx(16.9, abs=0.05)
    assert recording.pixel_size_m == pytest.approx(8.55e-9, abs=0.005e-9)
    assert recording.mask is None
    with h5py.File(HAADF) as file:
        np.testing.assert_array_equal(recording.image, file["Experiments/HAADF Image/data"][...])
    with h5py.File(SIO2) as file:
        np.testing.assert_array_equal(recording.spectrum[100, 7], file["Experiments/EDS Spectrum Image/data"][100, 7])
    silicon = band(recording, 1.65, 1.83)
    assert np.corrcoef(silicon.ravel(), recording.image.ravel())[0, 1] == pytest.approx(0.95, abs=0.02)


@needs_rsciio
@pytest.mark.parametrize("name", ["BSE", "SE", "0"])
def test_p45_with_an_image_of_the_same_file(tmp_path, name):
    recording = convert(P45, tmp_path / "p45.nc", image=f"{P45}:{name}")
    assert recording.shape == (75, 100)
    assert recording.image_name == ("SE" if name == "SE" else "BSE")
    assert recording.spectrum_kind is ValueKind.COUNTS
    assert recording.pixel_size_m == pytest.approx(8.74e-6, abs=0.005e-6)
    step = np.diff(recording.axes[0].values)
    np.testing.assert_allclose(step, 0.010001, rtol=1e-6)
    aluminium = band(recording, 1.40, 1.58)
    assert abs(np.corrcoef(aluminium.ravel(), recording.image.ravel())[0, 1]) < (1.0 if name == "SE" else 0.05)


def test_pto_loops(tmp_path):
    recording = convert(PTO, tmp_path / "pto.nc", image_from="std")
    with h5py.File(PTO) as file:
        raw = file["Channel_000/generic/generic"][...]
    np.testing.assert_array_equal(recording.spectrum, raw.transpose(1, 0, 2))  # the file has X first
    np.testing.assert_allclose(recording.image, raw.std(axis=-1).T, rtol=1e-9)
    bias = recording.axes[0]
    assert (bias.unit, bias.values[0], bias.values.max(), bias.values.min()) == ("V", 0.0, 8.5, -8.5)
    assert bias.values[-1] == pytest.approx(-0.53125)
    assert recording.pixel_size_m == pytest.approx(2e-6 / 49)


def test_bfo_currents(tmp_path):
    recording = convert(BFO, tmp_path / "bfo.nc", image_from="channel:0")
    with h5py.File(BFO) as file:
        raw = file["Measurement_000/Channel_000/IV_BFO/IV_BFO"][...]
    np.testing.assert_array_equal(recording.spectrum, raw.transpose(1, 0, 2))
    np.testing.assert_array_equal(recording.image, raw[..., 0].T)
    assert (recording.spectrum_unit, recording.axes[0].unit) == ("A/m^2", "(V/m)^0.5")
    assert recording.spectrum_kind is ValueKind.CONTINUOUS


@needs_scifireaders
def test_nsid_agrees_with_the_reader_of_its_makers():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import warns of optional packages
        import SciFiReaders as reader  # noqa: N813
    for path in (PTO, BFO):
        theirs = reader.NSIDReader(str(path)).read()["Channel_000"]
        (ours,) = read_signals(path)
        np.testing.assert_array_equal(ours.read(), np.asarray(theirs.compute()).transpose(1, 0, 2))


@needs_scifireaders
def test_nanonis_kpfm_parabolas(tmp_path):
    convert(KPFM, tmp_path / "kpfm.nc", signal="Frequency Shift", image_from="std")
    recording = Recording.load(tmp_path / "kpfm.nc")
    values = np.asarray(recording.spectrum[...], dtype=float).reshape(400, 128)
    curve = np.polynomial.polynomial.polyfit(recording.axes[0].values, values.T, 2)
    vertex = -curve[1] / (2.0 * curve[2])
    assert vertex.mean() == pytest.approx(0.143, abs=0.0005)
    assert vertex.std() == pytest.approx(5.8e-3, abs=0.05e-3)
    assert recording.axes[0].unit == "V"
    assert recording.spectrum_unit == "Hz"
    assert recording.pixel_size_m == pytest.approx(15e-9 / 20)
    assert recording.mask is None


@needs_scifireaders
def test_nanonis_keeps_every_channel_of_every_direction():
    signals = {s.name: s for s in read_signals(ABORTED)}
    channels = [s for s in signals.values() if not s.is_map]
    assert len(channels) == 16
    raw = raw_nanonis(ABORTED, 20 + 16 * 256, (32, 32))
    for i, name in ((6, "Frequency Shift"), (14, "Frequency Shift [bwd]"), (9, "Applied Voltage measured [bwd]")):
        np.testing.assert_array_equal(signals[name].read(), raw[..., 20 + 256 * i : 20 + 256 * (i + 1)])
    height = signals["Z (map)"].read()
    np.testing.assert_array_equal(height[:2], raw[:2, :, 4])


@needs_scifireaders
def test_nanonis_rows_and_columns_are_where_the_probe_was():
    signals = {s.name: s for s in read_signals(KPFM)}
    for dim, axis in (("y", 0), ("x", 1)):
        at_m = signals[f"{dim.upper()} (map)"].read().astype(float)
        center_m = signals["Current"].metadata[f"frame_center_{dim}_m"]
        ours = signals["Current"].axis(dim).values - 7.5e-9 + center_m
        expected = np.broadcast_to(ours[:, None] if axis == 0 else ours[None, :], (20, 20))
        np.testing.assert_allclose(at_m, expected, atol=2e-14)


@needs_scifireaders
@pytest.mark.parametrize("name", ["aborted.nc", "aborted.zarr"])
def test_nanonis_aborted_grid_is_masked_where_nothing_was_recorded(tmp_path, name):
    convert(ABORTED, tmp_path / name, signal="Frequency Shift [bwd]", image_from="channel:0")
    recording = Recording.load(tmp_path / name)
    assert recording.mask.sum() == 88
    assert recording.mask[:2].all() and recording.mask[2, :24].all() and not recording.mask[2, 24:].any()
    assert np.isfinite(recording.image).sum() == 88
    microscope = RecordedMicroscope(recording)
    assert np.isfinite(microscope.overview().image).all()
    assert "not recorded" in microscope.measure(0.9, 0.5).error
    found = microscope.measure(0.01, 0.5)
    assert found.error == ""
    # The safe tip broke every sweep off: what it never reached is NaN, and masked.
    raw = raw_nanonis(ABORTED, 20 + 16 * 256, (32, 32))[0, 16, 20 + 256 * 14 : 20 + 256 * 15]
    np.testing.assert_array_equal(found.spectrum.values, raw)
    np.testing.assert_array_equal(found.spectrum.mask, np.isfinite(raw))
    assert 0 < found.spectrum.mask.sum() < 256


def test_gpim_cube(tmp_path):
    recording = convert(BEPFM, tmp_path / "bepfm.nc", image_from="std")
    np.testing.assert_array_equal(recording.spectrum, np.load(BEPFM))
    assert recording.mask is None and recording.pixel_size_m is None


def test_gpim_loops(tmp_path):
    recording = convert(CKPFM, tmp_path / "loops.nc", signal="Nd_mat_amp", select={"dim2": 0, "dim4": 2})
    with np.load(CKPFM) as archive:
        np.testing.assert_array_equal(recording.spectrum, archive["Nd_mat_amp"][:, :, 0, :, 2])
        np.testing.assert_array_equal(recording.axes[0].values, archive["bias_vec_w"])
        structured = {s.name: s for s in read_signals(CKPFM)}["Nd_mat.Frequency"]
        np.testing.assert_array_equal(structured.read(), archive["Nd_mat"]["Frequency [Hz]"])
    whole = convert(CKPFM, tmp_path / "whole.nc", signal="Nd_mat_phase")
    assert whole.spectrum.shape == (10, 10, 2, 64, 5)


@needs_rsciio
def test_an_image_of_another_experiment_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"\(128, 128\).*\(50, 50\)"):
        convert(BFO, tmp_path / "out.nc", image=str(HAADF))
