"""What a fresh model is told of a campaign: exactly what the journal holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probescout.core import jobs
from probescout.core.jsonable import to_json
from probescout.core.ports import BlobStore
from probescout.core.state import Campaign
from probescout.runtime.ledger import load_array


def load_request(state: Campaign, arrays: Mapping[str, Any], snapshot: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the payload that has a brain load a campaign.

    Args:
        state: What the journal leads to.
        arrays: As `frame_arrays` returned.
        snapshot: A copy of the model that may save work; None without one.
    """
    return {
        **arrays,
        "taught": taught(state),
        "further_taught": taught_further(state),
        "snapshot": snapshot,
        "hyperparameters": dict(state.hyperparameters),
        "further_hyperparameters": {str(k): v for k, v in state.further_hyperparameters.items()},
        "spec": to_json(state.spec),
        "evidence": evidence(state),
    }


def frame_arrays(state: Campaign, blobs: BlobStore) -> dict[str, Any]:
    """Return image (y, x) or (channel, y, x), mask (y, x), patches and positions of the frame, those there are.

    With "earlier" (byte,), the file of an earlier campaign's model, where the campaign starts from one.

    Raises:
        NotFound: BLOB_NOT_FOUND.
        HistoryMismatch: DIGEST_MISMATCH when one is damaged.
    """
    assert state.frame is not None
    added = state.frame.added
    names = ("image", "mask", "patches", "positions")
    arrays = {n: load_array(blobs, r) for n in names if (r := getattr(added, n)) is not None}
    if "mask" in arrays:
        arrays["mask"] = arrays["mask"].astype(bool)
    if state.spec.transfer is not None:
        arrays["earlier"] = np.frombuffer(blobs.get(state.spec.transfer.blob), np.uint8)
    return arrays


def taught(state: Campaign) -> list[list[float]]:
    """Return rows (candidate, target, variance) of the first target, in the order measured."""
    return [[o.candidate, o.target, o.target_variance] for o in state.observations.values() if o.is_taught]


def taught_further(state: Campaign) -> list[list[list[float]]]:
    """Return the rows of each further objective, in the order measured."""
    return [
        [
            [o.candidate, o.further[k].value, o.further[k].variance]
            for o in state.observations.values()
            if o.is_taught_further(k)
        ]
        for k in range(len(state.spec.objectives))
    ]


def evidence(state: Campaign) -> list[list[Any]]:
    """Return rows (candidate, value, engine and quantity) of the evidence about the first target."""
    return [[e.candidate, e.value, f"{e.engine}:{e.quantity}"] for e in jobs.evidence(state)]
