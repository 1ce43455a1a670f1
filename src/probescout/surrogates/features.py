"""What every candidate looks like: coordinates, small-patch components, a multi-scale filter bank.

Computed once per frame. The representations and their scalings are those of the committee's recipe: no single one
wins on every material, so each feeds a member of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from probescout.core.errors import InvalidInput, Reason
from probescout.core.geometry import pixel_centers
from probescout.surrogates.components import PATCH, Components, RowsOf, components, spread_rows, standardised_components
from probescout.surrogates.members.catalogue import EARLIER

Float32 = NDArray[np.float32]
FloatArray = NDArray[np.float64]

N_PATCH_COMPONENTS = 10
N_BANK_COMPONENTS = 8
BANK_SCALE = 2.0
DUST = 0.1
"""Percent of the pixels at either end, at least one, that may be dust: they reach as far beyond the others as those
spread, and no farther, or one hot pixel would set the scale of everything else."""
CLIP = 4.0
"""The standardised image is clipped here, in SD."""


class Sees(Protocol):
    """A model of an earlier campaign."""

    def seen(self, n: int, rows_of: Mapping[str, RowsOf]) -> Float32:
        """Return what it predicts (n, 1) for candidates whose raw patches and filter responses are given."""


@dataclass(frozen=True)
class Features:
    """The representations of all candidates.

    Example:
        >>> import numpy as np
        >>> image = np.random.default_rng(0).normal(size=(16, 16))
        >>> sorted(compute_features(image).arrays)
        ['bank', 'pca8', 'xy']
    """

    arrays: Mapping[str, Float32]
    """Name -> (candidate, dim) float32, C-contiguous."""
    positions: FloatArray
    """(candidate, 2) fractional (y, x); (candidate, dim) for a box of instrument parameters."""
    shape: tuple[int, int] | None = None
    """(height, width) of the grid of candidates; None when they form no grid."""
    image: Float32 | None = None
    """(channel, y, x) standardised; None when the candidates are not pixels of one image."""
    components: Mapping[str, Components] = field(default_factory=dict, repr=False)
    """Behind the representations of that name."""

    @property
    def n_candidates(self) -> int:
        """Number of candidates."""
        return len(self.positions)

    def pixels(self) -> NDArray[np.intp]:
        """Return row and column (candidate, 2) in `image`."""
        assert self.image is not None
        return np.floor(self.positions * self.image.shape[1:]).astype(np.intp)


def compute_features(image: NDArray[np.generic], *, stride: int = 1, earlier: Sees | None = None) -> Features:
    """Represent every stride-th pixel of an image.

    Args:
        image: (y, x) or (channel, y, x), any unit; non-finite pixels are filled with the median of their channel.
        stride: Keep every stride-th row and column, as `core.geometry.pixel_centers` does.
        earlier: A model of an earlier campaign, whose word becomes one more representation; None: there is none.

    Raises:
        InvalidInput: SHAPE_MISMATCH when the image has not two or three axes or is empty; PARAM_INVALID when the
            stride leaves no candidate.
    """
    channels = _channels(image)
    _, height, width = channels.shape
    if not 1 <= stride <= min(height, width):
        raise InvalidInput(
            Reason.PARAM_INVALID,
            f"stride {stride} is outside 1..{min(height, width)} for an image of {height} x {width} pixels; "
            "give a smaller one",
            field="stride",
        )
    rows = np.arange(stride // 2, height, stride)
    cols = np.arange(stride // 2, width, stride)
    grid_y, grid_x = np.meshgrid(rows, cols, indexing="ij")
    xy = np.column_stack([grid_y.ravel(), grid_x.ravel()]) / max(height, width)
    arrays, found = _represented(
        xy, _patches(channels, rows, cols), spread_rows(len(xy)), _image_bank(channels, rows, cols), earlier
    )
    shape = len(rows), len(cols)
    return Features(arrays, pixel_centers(height, width, stride), shape, channels, found)


def features_of_patches(
    patches: NDArray[np.generic], positions: FloatArray, *, earlier: Sees | None = None
) -> Features:
    """Represent candidates of which only a patch each is known, without an overview image.

    Args:
        patches: (candidate, channel, y, x), any unit; all are standardised together.
        positions: (candidate, 2) fractional (y, x).
        earlier: As for `compute_features`.

    Raises:
        InvalidInput: SHAPE_MISMATCH when the two do not fit together.
    """
    if patches.ndim != 4 or patches.size == 0 or positions.shape != (len(patches), 2):
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"patches {patches.shape} and positions {positions.shape} do not fit together; give (candidate, channel, "
            "y, x) and (candidate, 2)",
            field="patches",
        )
    stack = _standardised(np.moveaxis(np.asarray(patches), 1, 0))
    n_channels, n, height, width = stack.shape
    top, left = max((height - PATCH) // 2, 0), max((width - PATCH) // 2, 0)
    centre = stack[:, :, top : top + PATCH, left : left + PATCH]
    flat = np.ascontiguousarray(np.moveaxis(centre, 0, 1)).reshape(n, -1)
    bank = [
        response[:, height // 2, width // 2] for channel in stack for response in _responses(channel, (0.0, 1.0, 1.0))
    ]
    arrays, found = _represented(
        np.asarray(positions), lambda part: flat[part], np.arange(n), np.stack(bank, axis=1), earlier
    )
    return Features(arrays, np.asarray(positions, dtype=np.float64), components=found)


def features_of_box(positions: FloatArray) -> Features:
    """Represent settings of instrument parameters by their coordinates alone.

    Args:
        positions: (candidate, dim), each parameter as a fraction of its range.

    Raises:
        InvalidInput: SHAPE_MISMATCH when it is not a table; NON_FINITE when a coordinate is not finite.
    """
    table = np.asarray(positions, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"positions have shape {table.shape}; give (candidate, dim) with at least one of each",
            field="positions",
        )
    if not np.isfinite(table).all():
        raise InvalidInput(Reason.NON_FINITE, "a coordinate is NaN or infinite; give finite ones", field="positions")
    return Features({"xy": np.ascontiguousarray(table, dtype=np.float32)}, table)


def _channels(image: NDArray[np.generic]) -> Float32:
    """Return the image as standardised, clipped (channel, y, x) float32."""
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.size == 0:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"the image has shape {np.asarray(image).shape}; give (y, x) or (channel, y, x) with at least one pixel",
            field="image",
        )
    return _standardised(array)


def _standardised(array: NDArray[np.generic]) -> Float32:
    """Standardise and clip each leading-axis channel on its own, filling non-finite values with its median."""
    out = np.empty(array.shape, dtype=np.float32)
    for target, source in zip(out, array, strict=True):
        channel = source.astype(np.float64)
        finite = np.isfinite(channel)
        fill = float(np.median(channel[finite])) if finite.any() else 0.0
        channel = np.where(finite, channel, fill)
        low = np.percentile(channel, DUST, method="higher")
        high = np.percentile(channel, 100.0 - DUST, method="lower")
        if high > low:
            channel = np.clip(channel, low - (high - low), high + (high - low))
        # Divided by the largest value first, so that the sum of squares of a huge detector offset cannot overflow.
        channel /= float(np.abs(channel).max()) or 1.0
        channel -= channel.mean()
        sd = float(channel.std())
        target[...] = np.clip(channel / sd, -CLIP, CLIP) if sd > 1e-12 else 0.0
    return out


def _patches(channels: Float32, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> RowsOf:
    """Return what gives the 8 x 8 patches (part, 64 * channel) around kept pixels."""
    before, after = PATCH // 2, PATCH - PATCH // 2 - 1
    padded = np.pad(channels, [(0, 0), (before, after), (before, after)], mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (PATCH, PATCH), axis=(1, 2))
    n_cols = len(cols)

    def patches(part: NDArray[np.intp]) -> Float32:
        picked = windows[:, rows[part // n_cols], cols[part % n_cols]]
        return np.ascontiguousarray(np.moveaxis(picked, 0, 1)).reshape(len(part), -1)

    return patches


def _responses(image: Float32, axes: tuple[float, ...]) -> Iterator[Float32]:
    """Yield the 13 filter responses of an image; `axes` scales sigma per axis (0: do not filter along it)."""

    def sigma(value: float) -> tuple[float, ...]:
        return tuple(value * a for a in axes)

    filtered = [axis for axis, a in enumerate(axes) if a]
    for s in (1.0, 2.0, 4.0, 8.0):
        yield ndimage.gaussian_filter(image, sigma(s))
    for s in (1.0, 2.0, 4.0):
        square = np.zeros_like(image)
        for axis in filtered:
            order = [1 if a == axis else 0 for a in range(image.ndim)]
            square += ndimage.gaussian_filter(image, sigma(s), order=order) ** 2
        yield np.sqrt(square)
    for s in (1.0, 2.0, 4.0):
        laplacian = np.zeros_like(image)
        for axis in filtered:
            order = [2 if a == axis else 0 for a in range(image.ndim)]
            laplacian += ndimage.gaussian_filter(image, sigma(s), order=order)
        yield np.float32(s * s) * laplacian
    for s in (1.5, 3.0, 6.0):
        local = ndimage.gaussian_filter(image, sigma(s))
        spread = ndimage.gaussian_filter(image * image, sigma(s)) - local * local
        # The floor keeps perfectly flat regions (detector at zero) from becoming outliers of minus infinity.
        yield 0.5 * np.log(np.maximum(spread, np.float32(1e-4)))


def _image_bank(channels: Float32, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Float32:
    """Return the responses (candidate, 13 * channel) at the kept pixels."""
    picked = [
        response[np.ix_(rows, cols)].ravel() for channel in channels for response in _responses(channel, (1.0, 1.0))
    ]
    return np.stack(picked, axis=1)


def _represented(
    xy: NDArray[np.floating], patches: RowsOf, fitted_on: NDArray[np.intp], responses: Float32, earlier: Sees | None
) -> tuple[dict[str, Float32], dict[str, Components]]:
    """Return the representations of all candidates, and the components behind them.

    Args:
        xy: (candidate, 2).
        patches: Gives the small patches.
        fitted_on: Candidates on whose patches the components are fitted.
        responses: (candidate, 13 * channel) of the filter bank.
        earlier: What a model of an earlier campaign says of candidates; None: there is none.
    """
    n = len(xy)
    rows_of: dict[str, RowsOf] = {"pca8": patches, "bank": lambda part: responses[part]}
    found = {
        "pca8": components(patches(fitted_on), N_PATCH_COMPONENTS),
        "bank": standardised_components(responses, N_BANK_COMPONENTS, BANK_SCALE),
    }
    arrays = {"xy": np.ascontiguousarray(xy, dtype=np.float32)}
    arrays |= {name: found[name].of_all(n, rows_of[name]) for name in found}
    if earlier is not None:
        arrays[EARLIER] = earlier.seen(n, rows_of)
    return arrays, found
