"""One xarray DataTree of a campaign: what every exporter writes.

Groups: /overview image (y, x); /steps one element a measurement, in the order of arrival; /maps (snapshot, y, x) and
/latent (candidate, dim) what the model shows of all candidates, where somebody rebuilds it; /theory one element a
simulation; /events one line of JSON an event; /model what the model was at the end.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probescout.core.jsonable import to_json
from probescout.core.state import Campaign
from probescout.export.about import root_attributes, sha256
from probescout.export.history import History, read_history
from probescout.export.layout import frame_coordinates, pixel_size_m, texts, without_nul
from probescout.export.maps import Look, model_groups
from probescout.export.steps import steps

if TYPE_CHECKING:
    import xarray as xr


def campaign_tree(directory: Path, *, licence: str = "", strict: bool = False, look: Look | None = None) -> xr.DataTree:
    """Return the campaign in a directory, which a server may be using, as a DataTree.

    Args:
        directory: Of the campaign, with its journal.
        licence: Of the data; empty: what the campaign's metadata say.
        strict: Refuse a campaign that is damaged, or does not say who measured what with what under which licence.
        look: Rebuilds the model and looks into it, as `probescout.runtime.recalling.recall` does; None: the tree has
            neither maps nor latent space.

    Raises:
        InvalidInput: FIELD_MISSING or FILE_UNREADABLE, only when strict.
        NotFound: CAMPAIGN_NOT_FOUND when there is no journal.
        HistoryMismatch: JOURNAL_CORRUPT when nothing can be read.
    """
    import xarray as xr

    history = read_history(directory)
    state = history.state
    attributes = root_attributes(state, history.problems, licence=licence, strict=strict)
    groups = {
        "/": xr.Dataset(attrs=attributes),
        "/overview": _overview(history),
        "/steps": steps(history),
        **(model_groups(history, directory, look) if look is not None else {}),
        "/theory": _theory(state),
        "/events": _events(history.lines),
        "/model": _model(state),
    }
    for group in groups.values():
        for attrs in (group.attrs, *(v.attrs for v in group.variables.values())):
            attrs.update({k: without_nul(v) for k, v in attrs.items() if isinstance(v, str)})
    return xr.DataTree.from_dict(groups)


def _overview(history: History) -> xr.Dataset:
    import xarray as xr

    frame, image = history.state.frame, history.image()
    if frame is None or image is None:
        return xr.Dataset(attrs={"comment": "there is no overview image"})
    added = frame.added
    dims = ("y", "x") if image.ndim == 2 else ("image_channel", "y", "x")
    unit = added.image.unit if added.image is not None else ""
    attrs: dict[str, Any] = {"frame": added.frame, "rotation_deg": added.rotation_deg, "revision": frame.revision}
    if added.pixel_size > 0:
        attrs |= {"pixel_size": added.pixel_size, "pixel_unit": added.pixel_unit}
    variables = {"image": (dims, image, {"units": unit, "long_name": "overview image"})}
    return xr.Dataset(variables, frame_coordinates(image.shape[-2], image.shape[-1], pixel_size_m(added)), attrs)


def _theory(state: Campaign) -> xr.Dataset:
    import xarray as xr

    jobs = list(state.jobs.values())
    variables: dict[str, Any] = {
        "engine": texts("job", [job.queued.engine.name for job in jobs], "simulation program"),
        "state": texts("job", [job.state.value for job in jobs], "how far it is"),
        "candidate": ("job", [job.queued.candidate for job in jobs], {"long_name": "candidate; -1: none"}),
        "applied": (
            "job",
            np.array([state.applied.get(job.id, False) for job in jobs], dtype=bool),
            {"long_name": "its numbers inform the model"},
        ),
        "core_hours": ("job", [job.core_hours for job in jobs], {"units": "h", "long_name": "spent in all attempts"}),
    }
    columns: dict[tuple[str, str], str] = {}
    for row, job in enumerate(jobs):
        for quantity in job.ended.quantities if job.ended is not None else ():
            key = (quantity.name, quantity.unit)
            if key not in columns:
                columns[key] = name = _free_name(quantity.name, variables)
                for each, text in ((name, quantity.name), (f"{name}_std", f"standard deviation of {quantity.name}")):
                    variables[each] = ("job", np.full(len(jobs), np.nan), {"units": quantity.unit, "long_name": text})
            variables[columns[key]][1][row] = quantity.value
            variables[f"{columns[key]}_std"][1][row] = quantity.std
    return xr.Dataset(variables, {"job": texts("job", [job.id for job in jobs], "id")})


def _free_name(name: str, taken: dict[str, Any]) -> str:
    """Return a name of a variable for a quantity; the same quantity in another unit gets a number."""
    base = without_nul(name).replace("/", "_per_")
    names = (base if n == 1 else f"{base}_{n}" for n in range(1, len(taken) + 2))
    return next(n for n in names if n not in taken and n != "job" and f"{n}_std" not in taken)


def _events(lines: Sequence[str]) -> xr.Dataset:
    import xarray as xr

    return xr.Dataset({"line": texts("event", lines, "event of the journal as JSON, without lease tokens")})


def _model(state: Campaign) -> xr.Dataset:
    import xarray as xr

    hyperparameters = json.dumps(to_json(state.hyperparameters), sort_keys=True, separators=(",", ":"))
    attrs = {
        "model_version": state.model_version,
        "hyperparameters_json": hyperparameters,
        "hyperparameters_sha256": sha256(hyperparameters),
    }
    return xr.Dataset(attrs=attrs)
