"""Conversion from NumPy and NSID files made here: choice of signal and image, checks, derived images."""

import logging
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import h5py
import numpy as np
import pytest

from probescout.core.errors import InvalidInput, MissingExtra, Reason
from probescout.replay.convert import convert
from probescout.replay.readers import read_signals
from probescout.replay.readers.signal import warnings_logged
from probescout.replay.recording import Recording

SHAPE = (6, 7, 12)


@pytest.fixture
def cube() -> np.ndarray:
    return np.random.default_rng(4).random(SHAPE)


@pytest.fixture
def source(tmp_path, cube):
    np.save(tmp_path / "cube.npy", cube)
    return tmp_path / "cube.npy"


def write_nsid(path, values, *, transposed=False):
    """Write the layout of pyNSID by hand, with x before y when transposed."""
    names = ["X", "Y", "Bias"] if transposed else ["Y", "X", "Bias"]
    with h5py.File(path, "w") as file:
        main = file.create_dataset("Channel_000/generic/generic", data=values)
        main.attrs.update({"main_data_name": "generic", "quantity": "Current", "units": "$nA$"})
        main.attrs["DIMENSION_LABELS"] = names
        for i, (name, n) in enumerate(zip(names, values.shape, strict=True)):
            scale = file.create_dataset(f"Channel_000/generic/{name}", data=2e-9 * np.arange(n))
            is_sweep = name == "Bias"
            scale.attrs.update({"quantity": "Bias" if is_sweep else "Position", "units": "V" if is_sweep else "m"})
            scale.attrs["dimension_type"] = "SPECTRAL" if is_sweep else "SPATIAL"
            scale.make_scale(name)
            main.dims[i].attach_scale(scale)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("channel:0", lambda c: c[..., 0]),
        ("channel:-1", lambda c: c[..., -1]),
        ("sum", lambda c: c.sum(axis=-1)),
        ("std", lambda c: c.std(axis=-1)),
    ],
)
def test_derived_images(source, tmp_path, cube, rule, expected):
    convert(source, tmp_path / "out.nc", image_from=rule)
    recording = Recording.load(tmp_path / "out.nc")
    np.testing.assert_allclose(recording.image, expected(cube), rtol=1e-12)
    np.testing.assert_array_equal(recording.loaded().spectrum, cube)
    assert recording.attrs["image_derived_from"] == f"{rule} of the spectrum"
    assert recording.attrs["source_file"] == "cube.npy"


def test_derived_images_pass_over_what_is_not_finite(tmp_path, cube):
    cube[1, 2, 5:] = np.nan
    cube[3, 4] = np.nan
    np.save(tmp_path / "holes.npy", cube)
    for rule, function in (("sum", np.sum), ("std", np.std)):
        recording = convert(tmp_path / "holes.npy", tmp_path / "out.nc", image_from=rule)
        assert recording.image[1, 2] == pytest.approx(function(cube[1, 2, :5]), rel=1e-12)
        assert np.isnan(recording.image[3, 4])
    assert not recording.mask[3, 4]
    assert recording.mask.sum() == SHAPE[0] * SHAPE[1] - 1


@pytest.mark.parametrize("rule", ["channel:12", "channel:-13", "channel:x", "channel:", "mean", ""])
def test_impossible_derived_images(source, tmp_path, rule):
    with pytest.raises(InvalidInput) as caught:
        convert(source, tmp_path / "out.nc", image_from=rule)
    assert (caught.value.reason, caught.value.field) == (Reason.FIELD_INVALID, "image_from")
    assert not (tmp_path / "out.nc").exists()


def test_a_registered_image_from_another_file(source, tmp_path):
    image = np.random.default_rng(6).random(SHAPE[:2])
    np.savez(tmp_path / "images.npz", other=np.ones((3, 3)), overview=image)
    by_shape = convert(source, tmp_path / "a.nc", image=str(tmp_path / "images.npz"))
    by_name = convert(source, tmp_path / "b.nc", image=f"{tmp_path / 'images.npz'}:Overview")
    by_number = convert(source, tmp_path / "c.nc", image=f"{tmp_path / 'images.npz'}:1")
    for recording in (by_shape, by_name, by_number):
        np.testing.assert_array_equal(recording.image, image)
        assert recording.attrs["image_signal"] == "overview"


def test_an_image_on_other_pixels_is_refused_with_both_shapes(source, tmp_path):
    np.save(tmp_path / "image.npy", np.ones((7, 6)))
    with pytest.raises(InvalidInput) as caught:
        convert(source, tmp_path / "out.nc", image=str(tmp_path / "image.npy"))
    assert (caught.value.reason, caught.value.field) == (Reason.SHAPE_MISMATCH, "image")
    assert "(7, 6)" in caught.value.message and "(6, 7)" in caught.value.message


@pytest.mark.parametrize(
    ("options", "reason", "field"),
    [
        ({"signal": "nothing"}, Reason.FIELD_MISSING, "signal"),
        ({"signal": 4}, Reason.FIELD_MISSING, "signal"),
        ({"image": "nowhere.npy"}, Reason.FILE_UNREADABLE, "image"),
        ({"image": "a", "image_from": "std"}, Reason.FIELD_INVALID, "image"),
        ({"select": {"channel": 99}}, Reason.FIELD_INVALID, "select"),
        ({"select": {"y": 0}}, Reason.FIELD_INVALID, "select"),
        ({"targets": ["cube"]}, Reason.SHAPE_MISMATCH, "targets"),
    ],
)
def test_wishes_that_cannot_be_met(source, tmp_path, options, reason, field):
    with pytest.raises(InvalidInput) as caught:
        convert(source, tmp_path / "out.nc", **options)
    assert (caught.value.reason, caught.value.field) == (reason, field)


def test_an_image_is_no_signal_at_every_pixel(tmp_path):
    np.save(tmp_path / "image.npy", np.ones((7, 6)))
    with pytest.raises(InvalidInput, match="at every pixel") as caught:
        convert(tmp_path / "image.npy", tmp_path / "out.nc")
    assert caught.value.reason is Reason.SHAPE_MISMATCH


def test_the_first_of_equal_signals_is_taken_and_the_others_are_named(tmp_path, cube, caplog):
    np.savez(tmp_path / "two.npz", forward=cube, backward=2 * cube)
    with caplog.at_level(logging.WARNING, logger="probescout"):
        recording = convert(tmp_path / "two.npz", tmp_path / "out.nc")
    assert recording.attrs["source_signal"] == "forward"
    assert "1 'backward'" in caplog.text
    chosen = convert(tmp_path / "two.npz", tmp_path / "out.nc", signal="backward")
    np.testing.assert_array_equal(chosen.spectrum, 2 * cube)


def test_select_makes_a_loop_of_a_signal_with_more_dimensions(tmp_path):
    values = np.random.default_rng(9).random((4, 5, 2, 8, 3))
    np.savez(tmp_path / "loops.npz", loops=values, bias=np.linspace(-4, 4, 8))
    recording = convert(tmp_path / "loops.npz", tmp_path / "out.nc", select={"dim2": 1, "dim4": -1})
    np.testing.assert_array_equal(recording.spectrum, values[:, :, 1, :, -1])
    assert recording.spectrum_dims == ("channel",)
    np.testing.assert_array_equal(recording.axes[0].values, np.linspace(-4, 4, 8))
    assert recording.axes[0].quantity == "bias"
    assert recording.attrs["selected"] == "dim2=1, dim4=-1"


def test_maps_are_kept_as_targets(tmp_path, cube):
    np.savez(tmp_path / "maps.npz", cube=cube, height=cube[..., 3], lag=cube[..., 4])
    convert(tmp_path / "maps.npz", tmp_path / "out.nc", targets=["lag"])
    recording = Recording.load(tmp_path / "out.nc")
    assert list(recording.targets) == ["lag"]
    np.testing.assert_array_equal(recording.targets["lag"], cube[..., 4])
    np.testing.assert_array_equal(recording.image, cube[..., 3])  # the first map that varies


def test_the_numbers_of_a_signal_are_written_in_the_order_of_this_computer(tmp_path, cube):
    np.save(tmp_path / "big.npy", cube.astype(">f4"))
    recording = convert(tmp_path / "big.npy", tmp_path / "out.nc", image_from="std")
    assert recording.spectrum.dtype.isnative
    np.testing.assert_array_equal(Recording.load(tmp_path / "out.nc").loaded().spectrum, cube.astype(np.float32))


@pytest.mark.parametrize("transposed", [False, True])
def test_nsid_dimensions_are_taken_by_name(tmp_path, cube, transposed):
    write_nsid(tmp_path / "grid.h5", cube.transpose(1, 0, 2) if transposed else cube, transposed=transposed)
    recording = convert(tmp_path / "grid.h5", tmp_path / "out.nc", image_from="channel:0")
    np.testing.assert_array_equal(recording.spectrum, cube)
    assert recording.spectrum_unit == "nA"
    assert (recording.axes[0].quantity, recording.axes[0].unit) == ("Bias", "V")
    assert recording.pixel_size_m == pytest.approx(2e-9)


def test_structured_arrays_give_one_signal_per_field(tmp_path):
    values = np.zeros((3, 4, 5), dtype=[("Amplitude [V]", "f4"), ("Phase", "f8")])
    values["Phase"] = 2.0
    np.save(tmp_path / "fit.npy", values)
    signals = read_signals(tmp_path / "fit.npy")
    assert [(s.name, s.unit) for s in signals] == [("fit.Amplitude", "V"), ("fit.Phase", "")]
    assert signals[1].read().mean() == 2.0


def test_python_objects_are_never_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (sys.exit, (3,))

    np.save(tmp_path / "objects.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidInput) as caught:
        read_signals(tmp_path / "objects.npy")
    assert caught.value.reason is Reason.FILE_UNREADABLE


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npy", b"damaged"),
        ("a.npz", b"PK\x03\x04 damaged"),
        ("a.3ds", b"no header"),
        ("a.hspy", b"damaged"),
        ("a.unknown", b""),
        ("a.bcf", b"damaged"),
    ],
)
def test_damaged_and_unknown_files(tmp_path, name, content):
    package = "SciFiReaders" if name.endswith(".3ds") else "rsciio"
    if not name.endswith((".npy", ".npz")) and find_spec(package) is None:
        pytest.skip("needs the extra 'readers'")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput) as caught:
        read_signals(tmp_path / name)
    assert (caught.value.reason, caught.value.field) == (Reason.FILE_UNREADABLE, "path")


def test_a_missing_file(tmp_path):
    with pytest.raises(InvalidInput, match="does not exist"):
        read_signals(tmp_path / "none.hspy")


@pytest.mark.parametrize(
    ("name", "module"),
    [("a.hspy", "rsciio"), ("a.3ds", "SciFiReaders.readers.microscopy.spm.stm.nanonis_base")],
)
def test_a_missing_package_names_the_install_line(tmp_path, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(MissingExtra, match=r'pip install "probescout\[readers\]"') as caught:
        read_signals(tmp_path / name)
    assert caught.value.reason is Reason.MISSING_EXTRA


def test_warnings_of_a_reader_are_logged_and_not_raised(caplog):
    with caplog.at_level(logging.INFO, logger="probescout"), warnings_logged(Path("some.bcf")):
        warnings.warn("the header is odd", UserWarning, stacklevel=1)
        warnings.warn("an optional package is missing", ImportWarning, stacklevel=1)
    assert [(r.levelname, "some.bcf" in r.getMessage()) for r in caplog.records] == [("WARNING", True), ("INFO", True)]
    assert "the header is odd" in caplog.text
