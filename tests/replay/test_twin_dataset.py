"""A simulated frame saved as a recording and replayed."""

from __future__ import annotations

import numpy as np
import pytest

from probescout.core.spectra import ValueKind
from probescout.replay.recording import Recording
from probescout.replay.twin import SCENES, make_twin, to_dataset


@pytest.mark.parametrize("name", SCENES)
def test_dataset_says_what_it_holds(name):
    twin = make_twin(name, seed=1, size=(16, 20))
    data = to_dataset(twin)
    scene = twin.scene
    assert dict(data.sizes) == {"y": 16, "x": 20, "channel": len(scene.axis.values)}
    assert set(data.data_vars) == {"image", "spectrum"}, "no truth in the file"
    assert data.spectrum.dims == ("y", "x", "channel")
    assert data.spectrum.attrs["units"] == scene.signal_channel.unit
    assert data.spectrum.attrs["value_kind"] == scene.signal_channel.kind.value
    assert data.channel.attrs == {"units": scene.axis.unit, "quantity": scene.axis.quantity}
    assert data.image.attrs["units"] == scene.image_channel.unit and data.image.attrs["long_name"]
    assert data.y.attrs == data.x.attrs == {"units": "m"}
    np.testing.assert_allclose(data.y.values, (np.arange(16) + 0.5) * scene.pixel_size_m)
    np.testing.assert_allclose(data.x.values, (np.arange(20) + 0.5) * scene.pixel_size_m)
    assert {"title", "source", "pixel_size_m", "licence", "history"} <= set(data.attrs)


def test_dataset_is_what_the_twin_measures():
    data, twin = (
        to_dataset(make_twin("plasmonic", seed=1, size=(16, 20))),
        make_twin("plasmonic", seed=1, size=(16, 20)),
    )
    np.testing.assert_array_equal(data.image.values, twin.overview().image)
    for row, col in ((0, 19), (15, 0), (3, 11)):
        there = twin.measure((row + 0.5) / 16, (col + 0.5) / 20)
        np.testing.assert_array_equal(data.spectrum.values[row, col], there.spectrum.values)


def test_noise_free_dataset_holds_the_expected_values():
    twin = make_twin("lattice", seed=1, size=16, dose=3.0)
    data = to_dataset(twin, noise_free=True)
    np.testing.assert_allclose(data.spectrum.values, 3.0 * twin.scene.cube())
    np.testing.assert_allclose(data.image.values, 3.0 * twin.scene.image)


@pytest.mark.parametrize("name", ["plasmonic", "ferroelectric"])
def test_failed_pixels_are_masked(name):
    data = to_dataset(make_twin(name, seed=1, size=16, failure_rate=0.2))
    mask = data["mask"].values
    assert 0.05 < 1 - mask.mean() < 0.4
    lost = data.spectrum.values[~mask]
    assert (lost == 0).all() if name == "plasmonic" else np.isnan(lost).all()
    assert np.isfinite(data.spectrum.values[mask]).all()


@pytest.mark.parametrize("name", SCENES)
def test_saved_frame_loads_as_a_recording(name, tmp_path):
    twin = make_twin(name, seed=1, size=(16, 20))
    data = to_dataset(twin)
    path = tmp_path / "twin.nc"
    data.to_netcdf(path, engine="h5netcdf")
    recording = Recording.load(path)
    assert recording.shape == (16, 20)
    assert recording.pixel_size_m == pytest.approx(twin.scene.pixel_size_m)
    spectrum = recording.spectrum_at(3, 11)
    np.testing.assert_array_equal(spectrum.values, data.spectrum.values[3, 11])
    assert spectrum.kind is ValueKind(twin.scene.signal_channel.kind)
    axis = spectrum.only_axis()
    assert (axis.unit, axis.quantity) == (twin.scene.axis.unit, twin.scene.axis.quantity)
    np.testing.assert_array_equal(axis.values, twin.scene.axis.values)
