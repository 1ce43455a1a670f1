"""Recordings: validation, both neutral formats, files of other programs, and their replay as an instrument."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from probescout.core.errors import InvalidInput, MissingExtra, NotFound, Reason
from probescout.core.ports import Microscope
from probescout.core.spectra import Axis, ValueKind
from probescout.replay.microscope import RecordedMicroscope
from probescout.replay.recording import Recording

HEIGHT, WIDTH, CHANNELS = 7, 9, 20


def make_recording(**changes) -> Recording:
    rng = np.random.default_rng(5)
    mask = np.ones((HEIGHT, WIDTH), dtype=bool)
    mask[2, 3] = False
    fields = {
        "image": rng.random((HEIGHT, WIDTH)).astype(np.float32),
        "spectrum": rng.integers(0, 50, (HEIGHT, WIDTH, CHANNELS)).astype(np.uint32),
        "spectrum_dims": ("channel",),
        "axes": (Axis("channel", 0.5 + 0.01 * np.arange(CHANNELS), "energy", "keV"),),
        "targets": {"decay": rng.random((HEIGHT, WIDTH))},
        "mask": mask,
        "y_m": 2e-9 * np.arange(HEIGHT),
        "x_m": 2e-9 * np.arange(WIDTH),
        "image_unit": "V",
        "image_name": "HAADF",
        "spectrum_unit": "counts",
        "spectrum_kind": ValueKind.COUNTS,
        "target_units": {"decay": "s"},
        "attrs": {"licence": "CC-BY-4.0", "rotation_deg": 12.5, "origin": [1, 2]},
    }
    return Recording(**(fields | changes))


@pytest.mark.parametrize("name", ["case.nc", "case.zarr"])
def test_round_trip_keeps_everything(tmp_path, name):
    before = make_recording(attrs={"rotation_deg": 12.5, "is_test": True, "none": None, "deep": {"n": np.int32(3)}})
    before.save(tmp_path / name)
    after = Recording.load(tmp_path / name)
    np.testing.assert_array_equal(after.image, before.image)
    np.testing.assert_array_equal(after.loaded().spectrum, before.spectrum)
    np.testing.assert_array_equal(after.mask, before.mask)
    np.testing.assert_array_equal(after.targets["decay"], before.targets["decay"])
    np.testing.assert_array_equal(after.axes[0].values, before.axes[0].values)
    np.testing.assert_allclose(after.y_m, before.y_m, rtol=1e-15)
    assert after.spectrum.dtype == np.uint32
    assert after.mask.dtype == bool
    assert (after.axes[0].dim, after.axes[0].quantity, after.axes[0].unit) == ("channel", "energy", "keV")
    assert (after.image_unit, after.image_name) == ("V", "HAADF")
    assert (after.spectrum_unit, after.spectrum_kind) == ("counts", ValueKind.COUNTS)
    assert after.target_units == {"decay": "s"}  # a unit of time must not turn the map into timedelta64
    assert after.attrs == {"rotation_deg": 12.5, "is_test": 1, "deep": '{"n": 3}'}
    assert after.pixel_size_m == pytest.approx(2e-9, rel=1e-12)


@pytest.mark.parametrize("name", ["case.nc", "case.zarr"])
def test_patterns_and_image_channels_survive(tmp_path, name):
    rng = np.random.default_rng(8)
    before = make_recording(
        image=rng.random((2, HEIGHT, WIDTH)),
        spectrum=rng.random((HEIGHT, WIDTH, 4, 5)),
        spectrum_dims=("ky", "kx"),
        axes=(Axis("kx", np.linspace(-1, 1, 5), "angle", "mrad"),),
        mask=None,
    )
    before.save(tmp_path / name)
    after = Recording.load(tmp_path / name)
    assert after.spectrum_dims == ("ky", "kx")
    assert [a.dim for a in after.axes] == ["kx"]
    np.testing.assert_array_equal(after.image, before.image)
    np.testing.assert_array_equal(after.spectrum_at(6, 8).values, before.spectrum[6, 8])


def test_the_cube_stays_in_the_file_until_it_is_indexed(tmp_path):
    make_recording().save(tmp_path / "case.nc")
    recording = Recording.load(tmp_path / "case.nc")
    assert not isinstance(recording.spectrum, np.ndarray)
    assert recording.spectrum.shape == (HEIGHT, WIDTH, CHANNELS)
    assert isinstance(recording.loaded().spectrum, np.ndarray)


def test_saving_replaces_the_file_and_leaves_no_part_behind(tmp_path):
    for seed in (1, 2):
        image = np.random.default_rng(seed).random((HEIGHT, WIDTH))
        make_recording(image=image).save(tmp_path / "case.nc")
    assert [p.name for p in tmp_path.iterdir()] == ["case.nc"]
    np.testing.assert_array_equal(Recording.load(tmp_path / "case.nc").image, image)


def test_a_recording_can_be_saved_over_the_file_it_was_loaded_from(tmp_path):
    before = make_recording()
    before.save(tmp_path / "case.nc")
    Recording.load(tmp_path / "case.nc").save(tmp_path / "case.nc")
    np.testing.assert_array_equal(Recording.load(tmp_path / "case.nc").loaded().spectrum, before.spectrum)


class TestForeignFiles:
    def test_names_alone_are_enough(self, tmp_path):
        rng = np.random.default_rng(2)
        image, cube = rng.random((5, 6)), rng.random((5, 6, 11))
        data = xr.Dataset({"image": (("y", "x"), image), "spectrum": (("y", "x", "channel"), cube)})
        data.to_netcdf(tmp_path / "foreign.nc", engine="h5netcdf")
        recording = Recording.load(tmp_path / "foreign.nc")
        assert recording.spectrum_kind is ValueKind.UNKNOWN
        assert recording.pixel_size_m is None
        assert recording.axes == ()
        spectrum = recording.spectrum_at(4, 5)
        np.testing.assert_array_equal(spectrum.values, cube[4, 5])
        np.testing.assert_array_equal(spectrum.axis("channel").values, np.arange(11))

    def test_a_classic_netcdf_file_loads_too(self, tmp_path):
        data = xr.Dataset({"image": (("y", "x"), np.eye(4)), "target": (("y", "x"), np.eye(4) * 3)})
        data.to_netcdf(tmp_path / "classic.nc", engine="scipy", format="NETCDF3_CLASSIC")
        assert Recording.load(tmp_path / "classic.nc").targets["target"][2, 2] == 3.0

    def test_dimensions_are_ordered_by_name(self, tmp_path):
        cube = np.random.default_rng(3).random((11, 6, 5))
        data = xr.Dataset({"image": (("x", "y"), cube[0]), "spectrum": (("channel", "x", "y"), cube)})
        data.to_netcdf(tmp_path / "turned.nc", engine="h5netcdf")
        recording = Recording.load(tmp_path / "turned.nc")
        assert recording.shape == (5, 6)
        np.testing.assert_array_equal(recording.spectrum_at(1, 2).values, cube[:, 2, 1])
        assert recording.image[1, 2] == cube[0, 2, 1]

    @pytest.mark.parametrize(("unit", "scale"), [("nm", 1e-9), ("µm", 1e-6), ("Å", 1e-10), ("m", 1.0)])
    def test_coordinates_in_another_unit_of_length_become_metres(self, tmp_path, unit, scale):
        data = xr.Dataset(
            {"image": (("y", "x"), np.eye(4)), "target": (("y", "x"), np.eye(4))},
            {d: ((d,), 0.5 * np.arange(4), {"units": unit}) for d in ("y", "x")},
        )
        data.to_netcdf(tmp_path / "units.nc", engine="h5netcdf")
        assert Recording.load(tmp_path / "units.nc").pixel_size_m == pytest.approx(0.5 * scale, rel=1e-12)

    def test_pixel_numbers_are_no_metres(self, tmp_path):
        data = xr.Dataset(
            {"image": (("y", "x"), np.eye(4)), "target": (("y", "x"), np.eye(4))},
            {"y": np.arange(4), "x": np.arange(4)},
        )
        data.to_netcdf(tmp_path / "index.nc", engine="h5netcdf")
        assert Recording.load(tmp_path / "index.nc").pixel_size_m is None

    def test_a_file_made_with_h5py_and_a_mask_of_numbers(self, tmp_path):
        mask = np.array([[1, 0, 1], [1, 1, 0]], dtype=np.int16)
        data = xr.Dataset({"image": (("y", "x"), mask), "target": (("y", "x"), mask), "mask": (("y", "x"), mask)})
        data.to_netcdf(tmp_path / "mask.nc", engine="h5netcdf")
        np.testing.assert_array_equal(Recording.load(tmp_path / "mask.nc").mask, mask == 1)


class TestRefusals:
    def refused(self, tmp_path, variables, coords=None) -> InvalidInput:
        xr.Dataset(variables, coords).to_netcdf(tmp_path / "bad.nc", engine="h5netcdf")
        with pytest.raises(InvalidInput) as caught:
            Recording.load(tmp_path / "bad.nc")
        return caught.value

    def test_missing_file(self, tmp_path):
        with pytest.raises(InvalidInput, match="does not exist") as caught:
            Recording.load(tmp_path / "none.nc")
        assert caught.value.reason is Reason.FILE_UNREADABLE

    @pytest.mark.parametrize("content", [b"", b"not a file of ours", b"CDF\x01 broken"])
    def test_no_netcdf_file(self, tmp_path, content):
        path = tmp_path / "text.nc"
        path.write_bytes(content)
        with pytest.raises(InvalidInput, match="probescout convert") as caught:
            Recording.load(path)
        assert caught.value.reason is Reason.FILE_UNREADABLE

    def test_empty_directory(self, tmp_path):
        with pytest.raises(InvalidInput) as caught:
            Recording.load(tmp_path)
        assert caught.value.reason is Reason.FILE_UNREADABLE

    def test_no_image(self, tmp_path):
        error = self.refused(tmp_path, {"picture": (("y", "x"), np.eye(3))})
        assert (error.reason, error.field) == (Reason.FIELD_MISSING, "image")
        assert "picture" in error.message

    def test_nothing_to_measure(self, tmp_path):
        error = self.refused(tmp_path, {"image": (("y", "x"), np.eye(3))})
        assert (error.reason, error.field) == (Reason.FIELD_MISSING, "spectrum")

    def test_wrong_dimensions(self, tmp_path):
        error = self.refused(tmp_path, {"image": (("row", "column"), np.eye(3))})
        assert (error.reason, error.field) == (Reason.SHAPE_MISMATCH, "image")
        assert "row" in error.message

    def test_unknown_value_kind(self, tmp_path):
        cube = (("y", "x", "channel"), np.ones((3, 3, 2)), {"value_kind": "photons"})
        error = self.refused(tmp_path, {"image": (("y", "x"), np.eye(3)), "spectrum": cube})
        assert error.reason is Reason.FIELD_INVALID
        assert "counts" in error.message

    @pytest.mark.parametrize(
        ("changes", "reason", "field"),
        [
            ({"image": np.ones(4)}, Reason.SHAPE_MISMATCH, "image"),
            ({"image": np.ones((7, 9), dtype=complex)}, Reason.DTYPE_MISMATCH, "image"),
            ({"spectrum": np.ones((7, 8, 20))}, Reason.SHAPE_MISMATCH, "spectrum"),
            ({"spectrum_dims": ()}, Reason.SHAPE_MISMATCH, "spectrum"),
            ({"axes": (Axis("channel", np.arange(3.0)),)}, Reason.SHAPE_MISMATCH, "channel"),
            ({"axes": (Axis("energy", np.arange(20.0)),)}, Reason.AXIS_MISMATCH, "spectrum"),
            ({"targets": {"t": np.ones((9, 7))}}, Reason.SHAPE_MISMATCH, "t"),
            ({"mask": np.ones((1, 9), dtype=bool)}, Reason.SHAPE_MISMATCH, "mask"),
            ({"x_m": np.arange(7.0)}, Reason.SHAPE_MISMATCH, "x"),
        ],
    )
    def test_arrays_that_do_not_fit(self, changes, reason, field):
        with pytest.raises(InvalidInput) as caught:
            make_recording(**changes)
        assert (caught.value.reason, caught.value.field) == (reason, field)

    def test_zarr_without_the_package(self, tmp_path, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "zarr", None)
        with pytest.raises(MissingExtra, match=r'pip install "probescout\[readers\]"'):
            make_recording().save(tmp_path / "case.zarr")

    def test_unwritable_place(self, tmp_path):
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(InvalidInput, match="cannot be written") as caught:
            make_recording().save(tmp_path / "file" / "case.nc")
        assert caught.value.field == "out"


class TestRecordedMicroscope:
    def test_every_position_gives_the_pixel_that_contains_it(self):
        recording = make_recording(mask=None)
        microscope = RecordedMicroscope(recording)
        rng = np.random.default_rng(11)
        for y, x in rng.random((50, 2)):
            row, column = int(y * HEIGHT), int(x * WIDTH)
            found = microscope.measure(y, x)
            assert (found.y, found.x) == ((row + 0.5) / HEIGHT, (column + 0.5) / WIDTH)
            np.testing.assert_array_equal(found.spectrum.values, recording.spectrum[row, column])
            assert found.spectrum.kind is ValueKind.COUNTS
            assert found.error == ""

    def test_it_is_a_microscope(self):
        assert isinstance(RecordedMicroscope(make_recording()), Microscope)

    def test_the_far_corner_belongs_to_the_last_pixel(self):
        found = RecordedMicroscope(make_recording()).measure(1.0, 1.0)
        assert (found.y, found.x) == ((HEIGHT - 0.5) / HEIGHT, (WIDTH - 0.5) / WIDTH)

    @pytest.mark.parametrize(("y", "x"), [(-0.01, 0.5), (0.5, 1.01), (float("nan"), 0.5)])
    def test_a_position_outside_is_refused(self, y, x):
        with pytest.raises(InvalidInput) as caught:
            RecordedMicroscope(make_recording()).measure(y, x)
        assert caught.value.reason is Reason.FIELD_INVALID

    def test_an_unrecorded_pixel_fails_and_says_so(self):
        found = RecordedMicroscope(make_recording()).measure(2.5 / HEIGHT, 3.5 / WIDTH)
        assert "row 2, column 3" in found.error
        assert found.spectrum is None and found.scalar is None

    def test_a_spectrum_that_ends_in_nan_is_masked_and_one_of_nan_fails(self):
        cube = np.ones((HEIGHT, WIDTH, CHANNELS))
        cube[0, 0, 15:] = np.nan
        cube[0, 1] = np.nan
        microscope = RecordedMicroscope(make_recording(spectrum=cube))
        partly = microscope.measure(0.0, 0.0)
        np.testing.assert_array_equal(partly.spectrum.mask, np.arange(CHANNELS) < 15)
        assert microscope.measure(0.0, 1.5 / WIDTH).error != ""
        assert microscope.measure(0.5, 0.5).spectrum.mask is None

    def test_a_scalar_map(self):
        recording = make_recording()
        found = RecordedMicroscope(recording, target="decay").measure(0.99, 0.01)
        assert found.scalar.value == recording.targets["decay"][HEIGHT - 1, 0]
        assert found.scalar.unit == "s"
        assert np.isnan(found.scalar.variance)
        assert found.spectrum is None

    def test_which_map_is_taken(self):
        maps = {"a": np.zeros((HEIGHT, WIDTH)), "target": np.ones((HEIGHT, WIDTH))}
        no_cube = {"spectrum": None, "spectrum_dims": (), "axes": ()}
        assert RecordedMicroscope(make_recording(targets=maps, **no_cube)).target == "target"
        assert RecordedMicroscope(make_recording(**no_cube)).target == "decay"
        with pytest.raises(InvalidInput, match="a, b"):
            RecordedMicroscope(make_recording(targets={"a": maps["a"], "b": maps["a"]}, **no_cube))
        with pytest.raises(NotFound, match="decay"):
            RecordedMicroscope(make_recording(), target="missing")

    def test_failures_are_drawn_from_the_seed(self):
        def errors(seed):
            microscope = RecordedMicroscope(make_recording(mask=None), failure_rate=0.3, seed=seed)
            return [microscope.measure(0.5, 0.5).error != "" for _ in range(400)]

        assert errors(3) == errors(3)
        assert errors(3) != errors(4)
        assert 80 < sum(errors(3)) < 160  # 400 draws of 0.3: mean 120, four standard deviations 37

    def test_dwell_dose_and_latency(self):
        waits = []
        microscope = RecordedMicroscope(
            make_recording(), dwell_s=0.2, dose_per_probe=5.0, latency_s=0.25, wait=waits.append
        )
        found = microscope.measure(0.9, 0.9)
        assert (found.dwell_s, found.dose, waits) == (0.2, 5.0, [0.25])

    @pytest.mark.parametrize("options", [{"failure_rate": 1.5}, {"latency_s": -1.0}, {"dwell_s": float("nan")}])
    def test_impossible_options(self, options):
        with pytest.raises(InvalidInput) as caught:
            RecordedMicroscope(make_recording(), **options)
        assert caught.value.field == next(iter(options))

    def test_the_overview_has_no_holes_and_the_mask_tells(self):
        image = np.random.default_rng(1).random((HEIGHT, WIDTH))
        image[2, 3] = np.nan
        recording = make_recording(image=image)
        overview = RecordedMicroscope(recording).overview()
        assert overview.image[2, 3] == np.median(image[np.isfinite(image)])
        np.testing.assert_array_equal(overview.mask, recording.mask)
        assert np.isnan(recording.image[2, 3])
        assert (overview.name, overview.unit, overview.pixel_size_m) == ("HAADF", "V", pytest.approx(2e-9))

    def test_open_reads_the_file(self, tmp_path: Path):
        make_recording().save(tmp_path / "case.nc")
        found = RecordedMicroscope.open(tmp_path / "case.nc", dwell_s=1.0).measure(0.5, 0.5)
        np.testing.assert_array_equal(found.spectrum.values, make_recording().spectrum[3, 4])


def test_the_file_is_plain_netcdf4(tmp_path):
    """Another program finds names, units and dimension scales with h5py alone."""
    make_recording().save(tmp_path / "case.nc")
    with h5py.File(tmp_path / "case.nc") as file:
        assert file["spectrum"].dims[2][0].name == "/channel"
        assert file["channel"].attrs["units"] == "keV"
        assert file["spectrum"].attrs["value_kind"] == "counts"
        assert file["spectrum"].compression == "gzip"
