"""What a simulated sample must offer to be imaged and measured."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.core.geometry import pixel_centers
from probescout.core.ports import FloatArray
from probescout.core.registry import SCALARIZERS, find
from probescout.core.spectra import Axis, Scalar, Spectrum, ValueKind

MIN_SIZE = 16
MAX_SIZE = 512
_CHUNK = 1024

ToScalar = Callable[[Spectrum], Scalar]


class OutlierKind(StrEnum):
    """How a measurement goes wrong without failing."""

    GAIN = "gain"
    """The whole signal is too large (a beam or camera glitch)."""
    SPIKE = "spike"
    """A few samples are too large (a cosmic ray, a feedback or preamplifier glitch)."""


@dataclass(frozen=True)
class Channel:
    """How one kind of signal of a scene is recorded."""

    name: str
    """What it shows, for example "HAADF"."""
    unit: str
    """Unit of the values."""
    kind: ValueKind
    """COUNTS are drawn from a Poisson law, anything else gets Gaussian noise."""
    noise_sd: float = 0.0
    """Standard deviation of the Gaussian noise at dose 1, in `unit`; unused for counts."""


@dataclass(frozen=True)
class Scene(ABC):
    """A sample with a known truth: noise-free image and the expected signal at any fractional position.

    A scene is decided by its seed and shape alone. The frame starts top left; y counts rows downward.
    """

    seed: int = 0
    shape: tuple[int, int] = (64, 64)
    """(height, width) of the image in pixels; the pixel size is fixed, so a larger shape shows more sample."""

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    """Where the physics comes from."""
    pixel_size_m: ClassVar[float]
    axis: ClassVar[Axis]
    """Axis of the signal."""
    image_channel: ClassVar[Channel]
    signal_channel: ClassVar[Channel]
    outlier_kind: ClassVar[OutlierKind]
    dwell_s: ClassVar[float]
    """Time of one measurement at dose 1."""
    scalarizer: ClassVar[str]
    """Name of the scalarizer that suits the scene."""
    params: ClassVar[Mapping[str, Any]]
    """Parameters of that scalarizer."""

    image: FloatArray = field(init=False, repr=False, compare=False)
    """(y, x) noise-free structural image."""

    def __post_init__(self) -> None:
        """Check the shape and lay out the sample.

        Raises:
            InvalidInput: SHAPE_MISMATCH when an edge is too short or too long.
        """
        if not all(MIN_SIZE <= edge <= MAX_SIZE for edge in self.shape):
            raise InvalidInput(
                Reason.SHAPE_MISMATCH,
                f"a scene of {self.shape[0]} x {self.shape[1]} pixels cannot be made; give edges of "
                f"{MIN_SIZE} to {MAX_SIZE} pixels",
                field="size",
            )
        self._build(np.random.default_rng([self.seed, *self.name.encode()]))

    @abstractmethod
    def _build(self, rng: np.random.Generator) -> None:
        """Lay out the sample and set `image`, drawing from `rng` only."""

    @abstractmethod
    def _signals(self, at_px: FloatArray) -> FloatArray:
        """Return the expected signals (n, channel) at positions (n, 2) in pixels, (y, x), edge at 0."""

    def spectra(self, positions: FloatArray) -> FloatArray:
        """Return the expected, noise-free signals (n, channel) at fractional (y, x) positions (n, 2), at dose 1."""
        at_px = np.asarray(positions, dtype=np.float64).reshape(-1, 2) * np.asarray(self.shape, dtype=np.float64)
        # Whole frames are done piecewise: the work arrays of all pixels at once would be large.
        pieces = [self._signals(at_px[i : i + _CHUNK]) for i in range(0, len(at_px), _CHUNK)]
        signals: FloatArray = np.concatenate(pieces)
        return signals

    def spectrum(self, y: float, x: float) -> FloatArray:
        """Return the expected, noise-free signal (channel,) at one fractional position, at dose 1."""
        signal: FloatArray = self._signals(np.array([[y * self.shape[0], x * self.shape[1]]]))[0]
        return signal

    def cube(self) -> FloatArray:
        """Return the expected signals (y, x, channel) at all pixel centres, at dose 1."""
        signals: FloatArray = self.spectra(pixel_centers(*self.shape)).reshape(*self.shape, -1)
        return signals

    def wrap(self, values: NDArray[np.generic]) -> Spectrum:
        """Return values (channel,) as a signal with this scene's axis, unit and kind."""
        channel = self.signal_channel
        return Spectrum(values, (self.axis.dim,), (self.axis,), channel.unit, channel.kind)

    def truth(self, scalarizer: ToScalar | None = None, *, dose: float = 1.0) -> FloatArray:
        """Return the true map (y, x) of the scalar, made of the noise-free signals at all pixel centres.

        Args:
            scalarizer: What makes a scalar of a signal; None: the scene's own suggestion.
            dose: Exposure; scales signals that are counts.

        Raises:
            InvalidInput: PLUGIN_UNKNOWN when the suggested scalarizer is not installed.
        """
        to_scalar = self.suggested_scalarizer() if scalarizer is None else scalarizer
        scale = dose if self.signal_channel.kind is ValueKind.COUNTS else 1.0
        signals = self.spectra(pixel_centers(*self.shape)) * scale
        values: FloatArray = np.array([to_scalar(self.wrap(signal)).value for signal in signals]).reshape(self.shape)
        return values

    def suggested_scalarizer(self) -> ToScalar:
        """Return the suggested scalarizer, built with the suggested parameters.

        Raises:
            InvalidInput: PLUGIN_UNKNOWN when it is not installed, PLUGIN_BROKEN when it cannot be imported.
        """
        built: ToScalar = find(SCALARIZERS, self.scalarizer, field="scalarizer").load()(**self.params)
        return built

    def _keep(self, **made: Any) -> None:
        """Set what `_build` made: a frozen dataclass forbids plain assignment."""
        for name, value in made.items():
            object.__setattr__(self, name, value)
