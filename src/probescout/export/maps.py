"""What the model shows of all candidates, as groups of the tree."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probescout.core.candidates import CandidateSet
from probescout.core.errors import ProbescoutError
from probescout.core.jobs import evidence_unit
from probescout.core.model_view import MAPS, ModelView, map_unit
from probescout.core.ports import BlobStore
from probescout.core.state import Campaign
from probescout.export.history import History
from probescout.export.layout import frame_coordinates, pixel_size_m, positions_in_image

if TYPE_CHECKING:
    import xarray as xr

Look = Callable[[Path, Campaign, BlobStore, Callable[[int], str]], ModelView]
"""Rebuilds a model from directory, state, blobs and hashes by sequence number, and looks into it."""
SNAPSHOT = "snapshot"
CANDIDATE = "candidate"


def model_groups(history: History, directory: Path, look: Look) -> dict[str, xr.Dataset]:
    """Return /maps and /latent; with a comment that says why in place of data where the model cannot be rebuilt."""
    import xarray as xr

    try:
        view = look(directory, history.state, history.blobs, history.hash_at)
    except ProbescoutError as error:
        # A plug-in that is not installed here must not keep the data from being exported.
        return {"/maps": xr.Dataset(attrs={"comment": f"there are no maps: {error.message}"})}
    return {"/maps": _maps(history, view), "/latent": _latent(history.state, view)}


def _maps(history: History, view: ModelView) -> xr.Dataset:
    """Return maps (snapshot, y, x), or (snapshot, candidate) of candidates without a grid; the one snapshot is last."""
    import xarray as xr

    state = history.state
    dims, places = _places(state)
    unit, theory_unit = state.target_unit, evidence_unit(state)
    variables: dict[str, Any] = {
        name: (
            (SNAPSHOT, *dims),
            np.asarray(view.maps[name])[None],
            {"units": map_unit(name, unit, theory_unit) or "1", "long_name": text},
        )
        for name, text in MAPS.items()
        if name in view.maps
    }
    if view.influence is not None:
        text = {"units": "1", "long_name": "share of the informed model in what is predicted"}
        variables["theory_weight"] = (SNAPSHOT, np.array([view.influence.weight]), text)
    attrs: dict[str, Any] = {"member_weights_json": json.dumps(dict(view.weights), sort_keys=True)}
    if view.comments:
        attrs["comment"] = "; ".join(view.comments)
    return xr.Dataset(variables, {**places, **_moment(history, view)}, attrs)


def _places(state: Campaign) -> tuple[Sequence[str], dict[str, Any]]:
    """Return the dimensions of a map, and the coordinates of its candidates."""
    assert state.frame is not None
    candidates = _candidates(state)
    if candidates.shape is None:
        return (CANDIDATE,), positions_in_image(candidates.positions(), CANDIDATE)
    size_m = pixel_size_m(state.frame.added)
    return ("y", "x"), frame_coordinates(candidates.height, candidates.width, size_m, candidates.stride)


def _moment(history: History, view: ModelView) -> dict[str, Any]:
    """Return when the one snapshot was: coordinates (snapshot,)."""
    since = "seconds since 1970-01-01T00:00:00+00:00"
    told: dict[str, tuple[Any, dict[str, str]]] = {
        "time": (history.time, {"units": since, "long_name": "when the newest event that it knows happened"}),
        "event_seq": (len(history.hashes), {"long_name": "number of that event"}),
        "model_version": (history.state.model_version, {"long_name": "version of its hyperparameters"}),
        "n_observed": (view.n_observed, {"long_name": "measurements that it knows"}),
    }
    return {name: (SNAPSHOT, np.array([value]), attrs) for name, (value, attrs) in told.items()}


def _latent(state: Campaign, view: ModelView) -> xr.Dataset:
    import xarray as xr

    attrs = {"units": "1", "long_name": f"representation of the candidates, '{view.representation}'"}
    where = positions_in_image(_candidates(state).positions(), CANDIDATE)
    latent = {"z": ((CANDIDATE, "dim"), np.asarray(view.latent), attrs)}
    return xr.Dataset(latent, where, {"representation": view.representation})


def _candidates(state: Campaign) -> CandidateSet:
    assert state.candidates is not None
    return state.candidates
