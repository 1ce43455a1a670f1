"""The conformance suite for instruments: subclass it in your tests, build your instrument, and run pytest.

class TestMine(MicroscopeConformance):
    def make(self):
        return MyMicroscope(seed=1)

    def make_painted(self, image):
        return MyMicroscope.showing(image)
"""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput
from probescout.core.geometry import pixel_centers
from probescout.core.ports import FloatArray, Measurement, Microscope, Overview
from probescout.core.spectra import ValueKind

PAINTED_SHAPE = (16, 22)
"""Not square, so that exchanged axes cannot pass."""
PLACES = ((0.31, 0.72), (0.68, 0.12), (0.05, 0.93), (0.5, 0.5))
OUTSIDE = ((-0.01, 0.5), (0.5, 1.01), (1.5, 0.5), (0.5, -3.0), (float("nan"), 0.5), (0.5, float("inf")))


class MicroscopeConformance:
    """What every instrument must do; each test is one promise of the protocol `Microscope`."""

    position_tolerance: ClassVar[float | None] = None
    """Largest distance in fractions between asked and reported position; None: a pixel of the overview."""
    is_reproducible: ClassVar[bool] = True
    """Whether two instruments made alike give the same numbers; false for real ones."""

    def make(self) -> Microscope:
        """Return a fresh instrument that does not fail, made alike every time."""
        raise NotImplementedError("override make() so that it returns your instrument")

    def make_painted(self, image: FloatArray) -> Microscope | None:
        """Return an instrument with a sample that looks like `image` (y, x) and gives a signal in proportion to it.

        Values are 100 to 1000. None: no sample can be made to order; the orientation is then not shown by this suite.
        """
        raise NotImplementedError("override make_painted(); return None only when the sample cannot be chosen")

    # ------------------------------------------------------------ overview

    def test_offers_the_protocol(self) -> None:
        """Name, overview, measure and park are there."""
        microscope = self.make()
        assert isinstance(microscope, Microscope)
        assert microscope.name.strip()

    def test_overview_is_an_image(self) -> None:
        """The overview is finite, has a unit of length or says that it has none, and keeps its shape."""
        microscope = self.make()
        overview = microscope.overview()
        assert overview.image.ndim in (2, 3)
        assert np.isfinite(overview.image).all()
        assert overview.image.min() < overview.image.max(), "a flat image tells nothing"
        assert overview.pixel_size_m is None or 0.0 < overview.pixel_size_m < 1.0
        if overview.mask is not None:
            assert overview.mask.dtype == bool and overview.mask.shape == overview.image.shape[-2:]
        assert microscope.overview().image.shape == overview.image.shape

    # ------------------------------------------------------------ measurements

    def test_measurement_is_complete(self) -> None:
        """A measurement has a signal or a scalar, never both, with finite numbers, axes and times."""
        microscope = self.make()
        for y, x in self.places(microscope):
            check_measurement(microscope.measure(y, x))

    def test_axes_are_the_same_everywhere(self) -> None:
        """Every signal has the dimensions, axes and units of the first."""
        microscope = self.make()
        spectra = [microscope.measure(y, x).spectrum for y, x in self.places(microscope)]
        first = spectra[0]
        for other in spectra[1:]:
            if first is None or other is None:
                assert first is other
                continue
            assert (first.dims, first.unit, first.kind) == (other.dims, other.unit, other.kind)
            assert first.values.shape == other.values.shape
            for a, b in zip(first.axes, other.axes, strict=True):
                assert (a.dim, a.quantity, a.unit) == (b.dim, b.quantity, b.unit)
                np.testing.assert_array_equal(a.values, b.values)

    def test_reports_where_it_really_was(self) -> None:
        """The reported position is near the asked one, and asking for it leads to it."""
        microscope = self.make()
        tolerance = self.tolerance(microscope.overview())
        for y, x in self.places(microscope):
            there = microscope.measure(y, x)
            assert np.abs(np.array([there.y - y, there.x - x])).max() <= tolerance
            again = microscope.measure(there.y, there.x)
            assert np.abs(np.array([again.y - there.y, again.x - there.x])).max() <= 1e-9 + (
                self.position_tolerance or 0.0
            )

    def test_corners_belong_to_the_frame(self) -> None:
        """0 and 1 are positions like any other; an excluded one may come back as failed, but is answered."""
        microscope = self.make()
        for y, x in ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)):
            there = microscope.measure(y, x)
            assert 0.0 <= there.y <= 1.0 and 0.0 <= there.x <= 1.0

    @pytest.mark.parametrize(("y", "x"), OUTSIDE)
    def test_refuses_places_outside(self, y: float, x: float) -> None:
        """A position outside the frame is an error that names the field, and moves nothing."""
        with pytest.raises(InvalidInput) as caught:
            self.make().measure(y, x)
        assert caught.value.field
        assert caught.value.message

    def test_measurements_are_the_callers_own(self) -> None:
        """Writing into a returned array does not change what is measured later."""
        if not self.is_reproducible:
            pytest.skip("only an instrument that repeats itself can show it (is_reproducible = False)")
        marred, clean = self.make(), self.make()
        y, x = self.places(marred)[0]
        assert self.places(clean)[0] == (y, x)
        spoiled, _ = marred.measure(y, x).spectrum, clean.measure(y, x)
        if spoiled is None:
            pytest.skip("this instrument gives scalars")
        if spoiled.values.flags.writeable:
            spoiled.values[...] = 0
        assert_same(marred.measure(y, x), clean.measure(y, x))

    def test_repeats_itself(self) -> None:
        """Two instruments made alike give the same overview and the same measurements, repeats included."""
        if not self.is_reproducible:
            pytest.skip("declared as not reproducible (is_reproducible = False)")
        one, other = self.make(), self.make()
        np.testing.assert_array_equal(one.overview().image, other.overview().image)
        for y, x in (*PLACES, *PLACES):
            assert_same(one.measure(y, x), other.measure(y, x))

    def test_parks_and_goes_on(self) -> None:
        """Parking before the first measurement, twice, or from another thread is harmless; the next point works."""
        microscope = self.make()
        y, x = self.places(microscope)[0]
        microscope.park()
        microscope.measure(y, x)
        thread = threading.Thread(target=microscope.park)
        thread.start()
        thread.join()
        microscope.park()
        check_measurement(microscope.measure(y, x))

    # ------------------------------------------------------------ orientation

    def test_y_counts_rows_down_and_x_columns_right(self) -> None:
        """Image and signals agree on an asymmetric sample, and disagree when turned or mirrored."""
        painted = asymmetric_image(PAINTED_SHAPE)
        microscope = self.make_painted(painted)
        if microscope is None:
            pytest.skip("this instrument has no sample made to order: show its orientation in a test of your own")
        image = np.asarray(microscope.overview().image, dtype=np.float64)
        assert image.shape == PAINTED_SHAPE
        measured = np.array([total(microscope.measure(float(y), float(x))) for y, x in pixel_centers(*PAINTED_SHAPE)])
        measured = measured.reshape(PAINTED_SHAPE)
        for name, seen in (("overview", image), ("measurements", measured)):
            right = correlation(seen, painted)
            assert right > 0.9, f"the {name} do not show the sample (correlation {right:.2f})"
            for wrong, mirrored in (("upside down", painted[::-1]), ("mirrored", painted[:, ::-1])):
                assert correlation(seen, mirrored) < 0.6, f"the {name} are {wrong}"
        brightest = np.unravel_index(int(painted.argmax()), PAINTED_SHAPE)
        assert np.unravel_index(int(measured.argmax()), PAINTED_SHAPE) == brightest

    # ------------------------------------------------------------ help

    def places(self, microscope: Microscope) -> list[tuple[float, float]]:
        """Return fractional positions (y, x) where the mask allows probing."""
        mask = microscope.overview().mask
        if mask is None:
            return list(PLACES)
        allowed = pixel_centers(*mask.shape)[mask.ravel()]
        assert len(allowed), "the mask excludes every pixel"
        wanted = np.linspace(0, len(allowed) - 1, len(PLACES)).astype(int)
        return [(float(y), float(x)) for y, x in allowed[wanted]]

    def tolerance(self, overview: Overview) -> float:
        """Return how far from the asked position the probe may be, in fractions."""
        return self.position_tolerance or 1.0 / min(overview.image.shape[-2:])


def asymmetric_image(shape: tuple[int, int]) -> FloatArray:
    """Return an image (y, x) of 100 to 1000 that no turn or mirror leaves as it is: a ramp and one bright spot."""
    height, width = shape
    rows, cols = np.meshgrid(np.arange(height) / height, np.arange(width) / width, indexing="ij")
    image = 100.0 + 350.0 * rows + 150.0 * cols
    image[height // 8 : height // 8 + 3, 3 * width // 4 : 3 * width // 4 + 2] += 300.0
    image[height // 8 + 1, 3 * width // 4] = 1000.0
    return image


def check_measurement(measurement: Measurement) -> None:
    """Check that a successful measurement is complete and consistent."""
    assert measurement.error == ""
    assert 0.0 <= measurement.y <= 1.0 and 0.0 <= measurement.x <= 1.0
    assert np.isfinite([measurement.dwell_s, measurement.dose]).all()
    assert measurement.dwell_s >= 0.0 and measurement.dose >= 0.0
    assert (measurement.spectrum is None) != (measurement.scalar is None), "give a signal or a scalar"
    if measurement.scalar is not None:
        assert np.isfinite(measurement.scalar.value)
        return
    spectrum = measurement.spectrum
    assert spectrum is not None and len(spectrum.dims) == spectrum.values.ndim
    valid = np.ones(spectrum.values.shape, dtype=bool) if spectrum.mask is None else spectrum.mask
    assert valid.shape == spectrum.values.shape and valid.any()
    values: NDArray[Any] = spectrum.values[valid]
    assert np.isfinite(values).all()
    if spectrum.kind is ValueKind.COUNTS:
        assert values.min() >= 0
    for axis in spectrum.axes:
        assert axis.dim in spectrum.dims
        assert axis.values.shape == (spectrum.values.shape[spectrum.dims.index(axis.dim)],)
        assert np.isfinite(axis.values).all()


def assert_same(one: Measurement, other: Measurement) -> None:
    """Check that two measurements agree in everything."""
    assert (one.y, one.x, one.dwell_s, one.dose, one.error) == (
        other.y,
        other.x,
        other.dwell_s,
        other.dose,
        other.error,
    )
    assert (one.spectrum is None) == (other.spectrum is None)
    if one.spectrum is not None and other.spectrum is not None:
        np.testing.assert_array_equal(one.spectrum.values, other.spectrum.values)
    if one.scalar is not None and other.scalar is not None:
        np.testing.assert_array_equal(one.scalar.value, other.scalar.value)


def total(measurement: Measurement) -> float:
    """Return the sum of a signal, or the scalar."""
    if measurement.scalar is not None:
        return measurement.scalar.value
    assert measurement.spectrum is not None, measurement.error
    return float(np.nansum(np.asarray(measurement.spectrum.values, dtype=np.float64)))


def correlation(one: FloatArray, other: FloatArray) -> float:
    """Return the correlation coefficient of two images (y, x)."""
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
