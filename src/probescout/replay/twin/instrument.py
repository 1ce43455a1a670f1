"""A simulated microscope that looks at a scene."""

from __future__ import annotations

import struct
import threading
from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import shift

from probescout.core.clock import Clock
from probescout.core.errors import InvalidInput, Reason
from probescout.core.geometry import Position
from probescout.core.ports import FloatArray, Measurement, Overview
from probescout.core.spectra import ValueKind
from probescout.replay.twin.scene import Channel, OutlierKind, Scene, ToScalar

OVERVIEW_S = 1.0
MAX_GAIN = 100.0
MIN_GAIN = 10.0
_OVERVIEW_STREAM = 0
_MEASURE_STREAM = 1


class Twin:
    """A seeded simulated instrument behind the `Microscope` port.

    Its noise depends on the seed, the position and how often that position was asked for, and on nothing else: the
    same questions in any order get the same answers, and repeated measurements of one place differ.

    With drift, the sample moves under the scan: after t seconds, what was at (y, x) is found at (y, x) + t * drift.
    The instrument cannot see that, so it reports the position that the scan was set to, as a real one does;
    `sample_position` tells the truth. Without a clock, t counts the dwell and latency of all calls so far, so that a
    run can be repeated exactly.

    One caller at a time, as with a real column.

    Example:
        >>> from probescout.replay.twin import make_twin
        >>> twin = make_twin("plasmonic", seed=3)
        >>> twin.overview().image.shape
        (64, 64)
        >>> twin.measure(0.25, 0.5).spectrum.values.shape
        (126,)
    """

    def __init__(
        self,
        scene: Scene,
        *,
        seed: int = 0,
        dose: float = 1.0,
        drift_per_s: tuple[float, float] = (0.0, 0.0),
        outlier_rate: float = 0.0,
        latency_s: float = 0.0,
        failure_rate: float = 0.0,
        clock: Clock | None = None,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        """Put a sample under the microscope.

        Args:
            scene: The sample.
            seed: Decides all noise, outliers and failures.
            dose: Exposure relative to the scene's own: scales counts and dwell; Gaussian noise falls with its root.
            drift_per_s: Movement (y, x) of the sample in fractions of the frame per second.
            outlier_rate: Share of measurements that are 10 to 100 times too large, wholly or in a few samples.
            latency_s: Time that a call really takes.
            failure_rate: Share of measurements that come back with an error.
            clock: Where the time for the drift comes from; None: simulated time.
            wait: How to spend `latency_s`; None: really wait.

        Raises:
            InvalidInput: PARAM_INVALID naming the option that is out of range.
        """
        _check("dose", dose, above=0.0)
        _check("outlier_rate", outlier_rate, high=1.0)
        _check("failure_rate", failure_rate, high=1.0)
        _check("latency_s", latency_s)
        for speed in drift_per_s:
            _check("drift_per_s", speed, low=-1.0, high=1.0)
        self.scene = scene
        self.name = f"twin:{scene.name}"
        self.seed = seed
        self.dose = dose
        self.drift_per_s = drift_per_s
        self.outlier_rate = outlier_rate
        self.latency_s = latency_s
        self.failure_rate = failure_rate
        self._wait = wait if wait is not None else threading.Event().wait
        self._clock = clock
        self._start = clock.monotonic() if clock else 0.0
        self._spent_s = 0.0
        self._n_overviews = 0
        self._visits: Counter[tuple[int, int]] = Counter()
        self.is_parked = False

    @property
    def dwell_s(self) -> float:
        """Time of one measurement in seconds."""
        return self.scene.dwell_s * self.dose

    def scale(self, channel: Channel) -> float:
        """Return by what the expected values of a channel are multiplied at this dose: only counts grow with it."""
        return self.dose if channel.kind is ValueKind.COUNTS else 1.0

    def elapsed_s(self) -> float:
        """Return the seconds since the sample was put in, by the clock or, without one, as simulated."""
        return self._clock.monotonic() - self._start if self._clock else self._spent_s

    def sample_position(self, y: float, x: float) -> Position:
        """Return which place of the undrifted sample lies at the fractional position now; it may be outside."""
        t = self.elapsed_s()
        return Position(y - self.drift_per_s[0] * t, x - self.drift_per_s[1] * t)

    def truth(self, scalarizer: ToScalar | None = None) -> FloatArray:
        """Return the noise-free map (y, x) of the scalar at this dose, without drift or outliers.

        Args:
            scalarizer: What makes a scalar of a signal; None: the scene's own suggestion.

        Raises:
            InvalidInput: PLUGIN_UNKNOWN when the suggested scalarizer is not installed.
        """
        return self.scene.truth(scalarizer, dose=self.dose)

    def overview(self) -> Overview:
        """Take the structural image, noisy and as drifted by now."""
        channel = self.scene.image_channel
        rng = np.random.default_rng([self.seed, _OVERVIEW_STREAM, self._n_overviews])
        self._n_overviews += 1
        moved = np.array(self.drift_per_s) * self.elapsed_s() * self.scene.shape
        image = self.scene.image if not moved.any() else shift(self.scene.image, moved, order=1, mode="nearest")
        self._pass_time(OVERVIEW_S)
        return Overview(
            image=_expose(rng, image, channel, self.dose),
            pixel_size_m=self.scene.pixel_size_m,
            unit=channel.unit,
            name=channel.name,
        )

    def measure(self, y: float, x: float) -> Measurement:
        """Move the probe to the fractional position (y, x) and measure there.

        Returns:
            The signal with its noise, or a measurement with `error` set.

        Raises:
            InvalidInput: FIELD_INVALID when the position is outside the frame; the probe does not move.
        """
        if not Position(y, x).is_inside:
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"position (y={y:g}, x={x:g}) is outside the frame; give fractions from 0 to 1",
                field="position",
            )
        self.is_parked = False
        rng = self._draw(y, x)
        place = self.sample_position(y, x)
        self._pass_time(self.dwell_s)
        if rng.random() < self.failure_rate:
            return Measurement(
                y, x, dwell_s=self.dwell_s, dose=self.dose, error="no signal (simulated failure); measure again"
            )
        channel = self.scene.signal_channel
        expected = self.scene.spectrum(min(max(place.y, 0.0), 1.0), min(max(place.x, 0.0), 1.0))
        is_outlier = rng.random() < self.outlier_rate
        values = _expose(rng, expected, channel, self.dose)
        if is_outlier:
            values = _spoil(rng, values, self.scene.outlier_kind)
        return Measurement(y, x, spectrum=self.scene.wrap(values), dwell_s=self.dwell_s, dose=self.dose)

    def park(self) -> None:
        """Blank the beam."""
        self.is_parked = True

    def _draw(self, y: float, x: float) -> np.random.Generator:
        """Return the generator of the next visit to this position."""
        # Adding zero turns -0.0 into 0.0, which is the same place with other bits.
        key: tuple[int, int] = struct.unpack("<QQ", struct.pack("<dd", y + 0.0, x + 0.0))
        visit = self._visits[key]
        self._visits[key] += 1
        return np.random.default_rng([self.seed, _MEASURE_STREAM, *key, visit])

    def _pass_time(self, seconds: float) -> None:
        self._spent_s += seconds + self.latency_s
        if self.latency_s > 0.0:
            self._wait(self.latency_s)


def _check(name: str, value: float, *, low: float = 0.0, high: float = np.inf, above: float | None = None) -> None:
    if not (low <= value <= high and np.isfinite(value) and (above is None or value > above)):
        start = f"more than {above:g}" if above is not None else f"at least {low:g}"
        end = f" and at most {high:g}" if np.isfinite(high) else ""
        raise InvalidInput(Reason.PARAM_INVALID, f"{name} is {value:g}; give {start}{end}", field=name)


def _expose(rng: np.random.Generator, expected: FloatArray, channel: Channel, dose: float) -> NDArray[np.generic]:
    """Return what a detector records of an expected signal: uint32 counts or float64 values, shape kept."""
    if channel.kind is ValueKind.COUNTS:
        return rng.poisson(expected * dose).astype(np.uint32)
    return expected + rng.normal(0.0, channel.noise_sd / np.sqrt(dose), expected.shape)


def _spoil(rng: np.random.Generator, values: NDArray[np.generic], kind: OutlierKind) -> NDArray[np.generic]:
    """Return the signal (channel,) made 10 to 100 times too large, wholly or in one to three samples."""
    gain = float(np.exp(rng.uniform(np.log(MIN_GAIN), np.log(MAX_GAIN))))
    spoiled = values.astype(np.float64)
    if kind is OutlierKind.GAIN:
        spoiled *= gain
    else:
        where = rng.choice(len(spoiled), size=int(rng.integers(1, 4)), replace=False)
        spoiled[where] = rng.choice([-1.0, 1.0], len(where)) * gain * np.median(np.abs(spoiled))
    return np.rint(spoiled).astype(values.dtype) if values.dtype.kind == "u" else spoiled
