"""The frame of a campaign as its model sees it: the candidates, what they look like, and where probing is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.candidates import CandidateSet
from probescout.core.regions import allowed
from probescout.core.specs import CampaignSpec, CandidateKind
from probescout.store.model_files import unpack
from probescout.surrogates.earlier import EarlierModel
from probescout.surrogates.features import Features, compute_features, features_of_patches

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Ground:
    """What a frame gives to plan on."""

    features: Features
    positions: NDArray[np.float64]
    """(candidate, 2) fractional (y, x)."""
    shape: tuple[int, ...]
    """Of a map of all candidates: that of their grid, or (-1,) when they form none."""
    mask: Mask | None
    """(y, x) where probing is allowed by the frame; None: everywhere."""
    allowed: Mask
    """(candidate,) where probing is allowed by the mask and the limits."""

    @classmethod
    def of(cls, message: Mapping[str, Any], spec: CampaignSpec) -> Ground:
        """Return the ground of a message that has a model load a campaign.

        Args:
            message: "image" (y, x) or (channel, y, x), or "patches" (candidate, channel, y, x) and "positions"
                (candidate, 2); "mask" (y, x); "earlier", the file of an earlier model.
            spec: Says how candidates lie.

        Raises:
            InvalidInput: As `surrogates.features`; MODEL_INCOMPATIBLE.
        """
        file = message.get("earlier")
        earlier = None if file is None else EarlierModel.of_parts(*unpack(np.asarray(file).tobytes()))
        if spec.candidates.kind is CandidateKind.PIXELS:
            image, stride = np.asarray(message["image"]), spec.candidates.stride
            height, width = image.shape[-2:]
            candidates = CandidateSet.pixels(height, width, stride)
            features = compute_features(image, stride=stride, earlier=earlier)
        else:
            given = np.asarray(message["positions"], dtype=np.float64)
            candidates = CandidateSet.of_positions(given)
            features = features_of_patches(np.asarray(message["patches"]), given, earlier=earlier)
        positions, mask = candidates.positions(), message.get("mask")
        return cls(features, positions, candidates.shape or (-1,), mask, allowed(spec.limits, mask, positions))

    def within(self, spec: CampaignSpec) -> Ground:
        """Return the same ground within the limits of another spec."""
        return Ground(
            self.features, self.positions, self.shape, self.mask, allowed(spec.limits, self.mask, self.positions)
        )

    def free(self, blocked: Sequence[int]) -> Mask:
        """Return (candidate,) where a suggestion may be made when some candidates are taken."""
        free = self.allowed.copy()
        free[np.asarray(blocked, dtype=np.intp)] = False
        return free
