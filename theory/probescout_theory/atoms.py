"""Atoms in an image: positions below the pixel, and a confidence each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve, gaussian_laplace
from scipy.spatial import cKDTree
from scipy.stats import norm

from probescout.core.errors import InvalidInput, Reason
from probescout_theory.extras import load
from probescout_theory.gaussians import SHADOW, Spots, fit_spots
from probescout_theory.lattices import Lattice
from probescout_theory.occupants import Occupant

FloatArray = NDArray[np.float64]

MIN_NEIGHBOR_PX = 4.0
"""Neighbours closer than this many pixels are not told apart."""
START_WIDTH = 0.22
"""First guess of the SD of a spot, in nearest distances; the fit finds the real one."""
DETECTION_SD = 2.0
"""A candidate must stand this many noise SDs above its surroundings; the confidence then judges it."""
HIDDEN_SD = 4.0
"""The same for what is left of the image after a fit, where most maxima are noise."""
MOST_PIXELS = 512 * 512
"""Of a patch; the background alone takes some hundred bytes a pixel."""
MOST_ATOMS = 1_500
"""Of a patch; the time of the fit grows with their cube, some seconds here."""


@dataclass(frozen=True)
class Atoms:
    """Spots of an image, each an atomic column."""

    positions_px: FloatArray
    """(atom, yx) with the centre of the first pixel at (0, 0)."""
    confidence: FloatArray
    """(atom,) probability 0..1 that the spot is brighter than half of the weakest atom of the lattice and no
    accident of the noise."""
    intensity: FloatArray
    """(atom,) height of the spot in the unit of the image; NaN where unknown."""
    intensity_sd: FloatArray
    """(atom,) standard deviation of `intensity`; NaN where unknown."""
    position_sd_px: FloatArray
    """(atom,) standard deviation of one coordinate; NaN where unknown."""
    shape: tuple[int, int]
    """(height, width) of the image."""
    labels: tuple[str, ...] | None = None
    """Formula of each column ("Mo", "S2"), where it was declared instead of seen."""

    @property
    def n_atoms(self) -> int:
        """Number of spots."""
        return len(self.positions_px)


def find_atoms(
    image: NDArray[np.generic],
    lattice: Lattice,
    angstrom_per_pixel: float,
    *,
    min_confidence: float = 0.5,
) -> Atoms:
    """Find atomic columns that are bright on a dark ground (annular dark field).

    Candidates are maxima of the negative Laplacian of Gaussian, which no slow background moves (Lindeberg 1998, Int.
    J. Comput. Vis. 30, 79), of the image and then of what the first fit left. All spots are fitted together as
    Gaussians of one width on a slow background (after De Backer et al. 2016, Ultramicroscopy 171, 104), because a
    neighbour's tail would draw a centre of mass to it.

    Args:
        image: (y, x), any real unit and offset, at most 512 x 512 pixels.
        lattice: Gives the nearest distance and the weakest atom.
        angstrom_per_pixel: Edge of a pixel.
        min_confidence: Spots below are left out.

    Raises:
        InvalidInput: SHAPE_MISMATCH when the image is not two-dimensional or smaller than 2 neighbour distances;
            or larger than 512 x 512 pixels, or shows more than 1,500 spots; DTYPE_MISMATCH; NON_FINITE; PARAM_INVALID
            when neighbours lie less than 4 pixels apart.
        MissingExtra: When scikit-image is not installed.
    """
    values, unit, near = _checked(image, lattice, angstrom_per_pixel)
    start = _maxima(values, START_WIDTH * near, near, DETECTION_SD)
    if len(start) == 0:
        return _none(values.shape)
    _check_number(len(start))
    spots = fit_spots(values, start, START_WIDTH * near, near)
    # A weak atom beside a bright one makes no maximum of its own until the bright one is taken away.
    hidden = _maxima(spots.rest, spots.width, near, HIDDEN_SD)
    if len(hidden):
        free = cKDTree(spots.positions[spots.is_valid]).query(hidden)[0] > SHADOW * near if spots.is_valid.any() else []
        hidden = hidden[np.asarray(free, dtype=bool)]
    if len(hidden):
        spots = fit_spots(values, np.vstack([spots.positions[spots.is_valid], hidden]), spots.width, near)
    confidence = _confidence(spots, lattice, n_trials=values.size / (0.5 * near**2))
    height, width_px = values.shape
    y, x = spots.positions.T
    kept = confidence >= min_confidence
    kept &= (y > -0.5) & (x > -0.5) & (y < height - 0.5) & (x < width_px - 0.5)
    return Atoms(
        spots.positions[kept],
        confidence[kept],
        spots.heights[kept] * unit,
        spots.height_sd[kept] * unit,
        spots.position_sd[kept],
        (height, width_px),
    )


def _maxima(values: FloatArray, width: float, near: float, limit_sd: float) -> FloatArray:
    """Return maxima (spot, yx) of the negative Laplacian of Gaussian that stand out of its noise, pixel."""
    response = -(width**2) * gaussian_laplace(values, width, mode="nearest")
    found = load("skimage.feature").peak_local_max(
        response,
        min_distance=max(1, int(0.4 * near)),
        threshold_abs=limit_sd * noise_sd(values) * _gain(width),
        exclude_border=False,
    )
    return np.asarray(found, dtype=np.float64).reshape(-1, 2)


def given_atoms(
    positions: FloatArray,
    shape: tuple[int, int],
    *,
    confidence: Sequence[float] | None = None,
    labels: Sequence[str] | None = None,
    intensity: Sequence[float] | None = None,
) -> Atoms:
    """Take the coordinates of another detector, such as a network run by the client.

    Args:
        positions: (atom, yx) fractions of the image, origin top left.
        shape: (height, width) of the image in pixels.
        confidence: (atom,) 0..1; None: 1.
        labels: (atom,) formula of each column, such as "S2"; None: by intensity, or the clean lattice.
        intensity: (atom,) any unit; None: unknown.

    Raises:
        InvalidInput: SHAPE_MISMATCH for lengths that differ or more than 1,500 atoms; NON_FINITE; FIELD_INVALID for
            what are no numbers, and for positions or confidences outside 0..1.
    """
    where = _numbers(positions, "positions")
    where = where.reshape(-1, 2) if where.size == 0 else where
    if where.ndim != 2 or where.shape[1] != 2:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH, f"positions have shape {where.shape}; send (atom, 2): y, x", field="atoms.positions"
        )
    n = len(where)
    _check_number(n)
    sure = np.ones(n) if confidence is None else _numbers(confidence, "confidence")
    bright = np.full(n, np.nan) if intensity is None else _numbers(intensity, "intensity")
    if sure.shape != (n,) or bright.shape != (n,) or (labels is not None and len(labels) != n):
        raise InvalidInput(
            Reason.SHAPE_MISMATCH, f"{n} positions need {n} confidences, intensities and labels", field="atoms"
        )
    if not (np.isfinite(where).all() and np.isfinite(sure).all()):
        raise InvalidInput(Reason.NON_FINITE, "positions and confidences must be finite numbers", field="atoms")
    if intensity is not None and not np.isfinite(bright).all():
        raise InvalidInput(Reason.NON_FINITE, "intensities must be finite; leave them out if unknown", field="atoms")
    if n and (min(where.min(), sure.min()) < 0 or max(where.max(), sure.max()) > 1):
        raise InvalidInput(
            Reason.FIELD_INVALID,
            "positions and confidences are fractions from 0 to 1; divide pixels by the size of the image",
            field="atoms",
        )
    unknown = np.full(n, np.nan)
    names = None if labels is None else tuple(str(label) for label in labels)
    return Atoms(where * shape - 0.5, sure, bright, unknown, unknown, shape, names)


def noise_sd(image: FloatArray) -> float:
    """Return the noise of one pixel (Immerkaer 1996, Comput. Vis. Image Underst. 64, 300): blind to slow structure."""
    kernel = np.array([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]])
    return float(np.sqrt(np.pi / 2.0) / 6.0 * np.abs(convolve(image, kernel, mode="reflect")).mean())


def _numbers(given: Any, name: str) -> FloatArray:
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            Reason.FIELD_INVALID, f"the {name} of atoms are not numbers ({error}); send an array", field=f"atoms.{name}"
        ) from error


def _check_number(n: int) -> None:
    if n > MOST_ATOMS:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"the patch has {n} atoms, at most {MOST_ATOMS} are taken together; send a smaller one around the place",
            field="image.shape",
        )


def _checked(
    image: NDArray[np.generic], lattice: Lattice, angstrom_per_pixel: float
) -> tuple[FloatArray, float, float]:
    """Return the image with mean 0 and SD 1, its SD in its own unit, and the nearest distance in pixels."""
    raw = np.asarray(image)
    if not (np.isfinite(angstrom_per_pixel) and angstrom_per_pixel > 0):
        raise InvalidInput(
            Reason.PARAM_INVALID,
            f"a pixel of {angstrom_per_pixel} angstrom is no size; calibrate the frame, then ask again",
            field="angstrom_per_pixel",
        )
    near = lattice.neighbor_angstrom / angstrom_per_pixel
    if near < MIN_NEIGHBOR_PX:
        raise InvalidInput(
            Reason.PARAM_INVALID,
            f"neighbours of {lattice.name} lie {near:.1f} pixels apart at {angstrom_per_pixel:g} angstrom a pixel; at "
            f"least {MIN_NEIGHBOR_PX:g} are needed: check the pixel size, or image at higher magnification",
            field="angstrom_per_pixel",
        )
    if raw.ndim != 2 or min(raw.shape) < 2 * near:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"the image has shape {raw.shape}; (y, x) with at least {int(np.ceil(2 * near))} pixels each is needed",
            field="image.shape",
        )
    if raw.size > MOST_PIXELS:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"the image has {raw.size} pixels, at most {MOST_PIXELS} are looked at together; send a smaller patch "
            "around the place, or bin it",
            field="image.shape",
        )
    if raw.dtype.kind not in "buif":
        raise InvalidInput(Reason.DTYPE_MISMATCH, f"the image has dtype {raw.dtype}; send real numbers", field="image")
    if not np.isfinite(raw.astype(np.float64)).all():
        raise InvalidInput(Reason.NON_FINITE, "the image has pixels that are not finite; fill them in", field="image")
    # The fit has guards in absolute numbers; what the unit of the image is must not matter to them.
    largest = max(float(np.abs(raw.astype(np.float64)).max()), 1e-300)
    values = raw.astype(np.float64) / largest
    values -= values.mean()
    spread = float(values.std())
    # Of a constant image only rounding is left.
    if spread < 1e-12:
        return np.zeros(raw.shape), largest, near
    return values / spread, largest * spread, near


def _gain(width: float) -> float:
    """Return the SD of the response to white noise of SD 1."""
    half = int(np.ceil(5 * width))
    delta = np.zeros((2 * half + 1, 2 * half + 1))
    delta[half, half] = 1.0
    return float(np.linalg.norm(width**2 * gaussian_laplace(delta, width)))


def _confidence(spots: Spots, lattice: Lattice, n_trials: float) -> FloatArray:
    """Return (spot,) probability that a spot is an atom.

    The first factor asks whether the true height exceeds half of that of the weakest single atom of the lattice, the
    second whether the noise alone would show such a height in one of `n_trials` places.
    """
    occupants = [c.occupant for c in lattice.columns]
    brightest = max(o.intensity for o in occupants)
    share = sum(o.intensity == brightest for o in occupants) / len(occupants)
    weakest = min(Occupant((s,), (0.0,)).intensity for s in lattice.species) / brightest
    heights, sd = spots.heights, np.maximum(spots.height_sd, 1e-300)
    sure = heights / sd > 6.0
    # The brightest kind makes up this share of all columns, so its median is a quantile of all: dopants do not move it.
    scale = float(np.quantile(heights[sure] if sure.any() else heights, 1.0 - share / 2.0))
    is_bright = norm.cdf((heights - 0.5 * weakest * scale) / sd)
    accident = np.minimum(1.0, n_trials * norm.sf(heights / sd))
    return np.asarray(np.where(spots.is_valid, is_bright * (1.0 - accident), 0.0), dtype=np.float64)


def _none(shape: tuple[int, ...]) -> Atoms:
    empty = np.zeros(0)
    return Atoms(np.zeros((0, 2)), empty, empty, empty, empty, (shape[0], shape[1]))
