"""Makes the model of a campaign ready for the next one: what it learnt, what it was made with, and how good it was."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import numpy as np

from probescout.core.errors import InvalidInput, Reason
from probescout.core.jsonable import to_json
from probescout.core.observations import Observation
from probescout.core.ports import BlobStore, Head
from probescout.core.state import Campaign
from probescout.core.transfer_spec import look_of, schema_of
from probescout.runtime.brain import Brain
from probescout.runtime.teaching import frame_arrays, load_request, taught
from probescout.store.model_files import pack
from probescout.surrogates.components import FEATURE_SET

Z95 = 1.959963984540054


def handed_on(state: Campaign, blobs: BlobStore, head: Head) -> tuple[bytes, dict[str, Any]]:
    """Return the file of a campaign's model, and what it says of itself; the same campaign gives the same bytes.

    Args:
        state: Of the campaign.
        blobs: Its frame lies there.
        head: Where its journal stands.

    Raises:
        InvalidInput: MODEL_INCOMPATIBLE when it has no frame or has learnt too little.
        NotFound: BLOB_NOT_FOUND.
        HistoryMismatch: DIGEST_MISMATCH for a damaged file.
    """
    if state.frame is None:
        raise InvalidInput(
            Reason.MODEL_INCOMPATIBLE, f"campaign '{state.id}' has no frame, and nothing learnt", field="campaign"
        )
    brain = Brain()
    brain.handle({"op": "load", **load_request(state, frame_arrays(state, blobs), None)})
    told = brain.handle({"op": "hand_on"})
    unit = next((o.target_unit for o in state.observations.values() if o.is_taught), "")
    about = {
        "schema": schema_of(state.spec, look_of(state.frame.added), unit, FEATURE_SET),
        "lineage": _lineage(state, head),
        "metrics": _metrics(state),
    }
    return pack({**told["model"], "about": about}, told["arrays"]), about


def _lineage(state: Campaign, head: Head) -> dict[str, Any]:
    """Return where a model comes from, JSON values."""
    assert state.frame is not None
    added, transfer = state.frame.added, state.spec.transfer
    picture = added.image or added.patches
    data = {"frame": picture.blob if picture is not None else "", "taught": to_json(taught(state))}
    return {
        "campaign": state.id,
        "created_time": state.created_time,
        "event_seq": head.seq,
        "event_hash": head.hash,
        "model_version": state.model_version,
        "dataset_sha256": hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest(),
        "sample": state.spec.sample,
        "instrument": state.spec.instrument,
        "pixel_size": [added.pixel_size, added.pixel_unit],
        "parent": None if transfer is None else {"model": transfer.model, "sha256": transfer.blob},
    }


def _metrics(state: Campaign) -> dict[str, Any]:
    """Return how good the predictions were that were journalled before the value was known; None where there are none.

    "rmse" is in target units, "coverage95" the share of values inside the 95 % interval.
    """
    known = [o for o in state.observations.values() if o.is_taught]
    pairs = [pair for o in known if (pair := _foreseen(state, o)) is not None]
    error, std = np.array(pairs).reshape(-1, 2).T
    return {
        "n_observations": len(known),
        "n_predicted": len(pairs),
        "rmse": float(np.sqrt(np.mean(error**2))) if pairs else None,
        "coverage95": float(np.mean(np.abs(error) <= Z95 * std)) if pairs else None,
    }


def _foreseen(state: Campaign, o: Observation) -> tuple[float, float] | None:
    """Return the error of what was predicted for a measurement, and its SD; None when nothing was."""
    suggestion = state.suggestions.get(o.suggestion)
    if suggestion is None or suggestion.candidate != o.candidate or not math.isfinite(suggestion.predictive_std):
        return None
    return o.target - suggestion.mean, suggestion.predictive_std
