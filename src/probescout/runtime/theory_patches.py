"""Cuts from a frame the patch that is to be simulated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.core.geometry import window_at
from probescout.core.ports import BlobStore
from probescout.core.specs import CandidateKind
from probescout.core.state import Campaign, Frame
from probescout.core.units import metres_per
from probescout.runtime.ledger import load_array

LEAST_EDGE, MOST_EDGE = 8, 1024
"""Pixels along the edge of a patch: fewer show no atoms, more do not fit into a message."""


@dataclass(frozen=True)
class Cut:
    """A patch as it is simulated."""

    image: NDArray[Any]
    """(y, x), in the unit of the frame."""
    pixel_size_m: float
    place: tuple[float, float] = (0.5, 0.5)
    """Fractional (y, x) of the patch: where the candidate is."""


class Cutter:
    """Cuts patches from the frame of one campaign; keeps the image that it read last, for the next patch."""

    def __init__(self, blobs: BlobStore) -> None:
        """Cut from images that are among these blobs."""
        self._blobs = blobs
        self._kept: tuple[str, NDArray[Any]] = ("", np.empty(0))

    def cut(self, state: Campaign, candidate: int) -> Cut:
        """Return the patch around a candidate, moved inward where the frame ends; the first channel of several.

        Reads the image, so that it does not belong on the event loop.

        Raises:
            InvalidInput: FIELD_MISSING or FIELD_INVALID when the frame's pixels have no size, or too few or too many of
                them make a window; NON_FINITE.
            NotFound: BLOB_NOT_FOUND.
            HistoryMismatch: DIGEST_MISMATCH when the image is damaged.
        """
        assert state.frame is not None and state.candidates is not None and state.spec.theory is not None
        pixel_m = pixel_size_m(state.frame)
        if state.spec.candidates.kind is CandidateKind.PATCHES:
            return checked(Cut(self._array(state.frame)[candidate][0], pixel_m))
        image = self._array(state.frame)
        image = image if image.ndim == 2 else image[0]
        height, width = image.shape
        edge = round(state.spec.theory.window_m / pixel_m)
        if not LEAST_EDGE <= edge <= min(MOST_EDGE, height, width):
            most = min(MOST_EDGE, height, width)
            raise InvalidInput(
                Reason.FIELD_INVALID,
                f"a window of {state.spec.theory.window_m:g} m is {edge} pixels of {pixel_m:g} m; the {height} x "
                f"{width} of this frame take {LEAST_EDGE} to {most} pixels: change theory.window_m",
                field="spec.theory.window_m",
            )
        y, x = state.candidates.position(candidate)
        top, left, place = window_at(y, x, height, width, edge)
        return checked(Cut(image[top : top + edge, left : left + edge], pixel_m, place))

    def _array(self, frame: Frame) -> NDArray[Any]:
        record = frame.added.image or frame.added.patches
        assert record is not None
        if self._kept[0] != record.blob:
            self._kept = (record.blob, load_array(self._blobs, record))
        return self._kept[1]


def pixel_size_m(frame: Frame) -> float:
    """Return the edge of a pixel of a frame, metres.

    Raises:
        InvalidInput: FIELD_MISSING when the frame does not say.
    """
    metres = metres_per(frame.added.pixel_unit)
    if metres is None or not frame.added.pixel_size > 0:
        raise InvalidInput(
            Reason.FIELD_MISSING,
            f"the pixels of frame '{frame.added.frame}' have no size in a unit of length ({frame.added.pixel_size:g} "
            f"'{frame.added.pixel_unit}'); add the frame with pixel_size, or give the structure",
            field="job.position",
        )
    return frame.added.pixel_size * metres


def checked(cut: Cut) -> Cut:
    """Return a patch that can be simulated.

    Raises:
        InvalidInput: SHAPE_MISMATCH, FIELD_INVALID or NON_FINITE.
    """
    image = cut.image
    if image.ndim != 2 or not all(LEAST_EDGE <= n <= MOST_EDGE for n in image.shape):
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"a patch of shape {image.shape}; give (y, x) with {LEAST_EDGE} to {MOST_EDGE} pixels along each",
            field="job.patch.shape",
        )
    if not (np.isfinite(cut.pixel_size_m) and 1e-13 <= cut.pixel_size_m <= 1e-3):
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"pixels of {cut.pixel_size_m:g} m; give 1e-13 to 1e-3 m",
            field="job.pixel_size",
        )
    n_bad = int(np.count_nonzero(~np.isfinite(image)))
    if n_bad:
        raise InvalidInput(
            Reason.NON_FINITE, f"{n_bad} pixels of the patch are not finite; choose another place", field="job.position"
        )
    return cut
