"""The campaign as bluesky documents: one JSON line [name, document] each, as plain dicts.

The form of the documents is that of event-model (blueskyproject.io/event-model).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probescout.export.layout import finite

if TYPE_CHECKING:
    import xarray as xr

Document = tuple[str, dict[str, Any]]
SPACE = uuid.UUID("6d3a36a4-41ea-5a06-9a4e-2f4a8d7f3b0e")
"""Makes ids from what they name: the same journal gives the same documents."""


class Bluesky:
    """A run: streams `overview` with the image, `primary` with an event for every measurement, `maps` with the maps."""

    name = "bluesky"
    suffix = ".jsonl"
    summary = "bluesky documents (start, descriptor, event, stop) as JSON lines"
    has_maps = True

    def write(self, tree: xr.DataTree, path: Path) -> None:
        """Write the documents."""
        with path.open("w", encoding="utf-8") as file:
            for document in documents(tree):
                file.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")


def documents(tree: xr.DataTree) -> Iterator[Document]:
    """Yield the documents of the campaign in order; numbers that JSON cannot hold are null."""
    about = tree.attrs
    last = json.loads(tree["events"].to_dataset()["line"].values[-1])
    run = _id(about["experiment_id"], last["hash"])
    attributes = {str(k): v for k, v in about.items() if k not in ("config_json", "created_time")}
    yield (
        "start",
        {
            "uid": run,
            "time": about["created_time"],
            "scan_id": 1,
            "plan_name": "probescout",
            **attributes,
            "config": json.loads(about["config_json"]),
        },
    )
    overview, steps = tree["overview"].to_dataset(), tree["steps"].to_dataset()
    counts = {}
    if "image" in overview:
        counts["overview"] = 1
        yield from _stream(run, "overview", overview[["image"]].expand_dims("step"), np.array([about["created_time"]]))
    if steps.sizes.get("step"):
        counts["primary"] = steps.sizes["step"]
        yield from _stream(run, "primary", steps, steps["time"].values)
    maps = tree["maps"].to_dataset() if "maps" in tree else None
    if maps is not None and "snapshot" in maps.dims:
        counts["maps"] = maps.sizes["snapshot"]
        yield from _stream(run, "maps", maps.rename(snapshot="step"), maps["time"].values)
    yield (
        "stop",
        {
            "uid": _id(run, "stop"),
            "run_start": run,
            "time": last["time"],
            "exit_status": "abort" if about["status"] == "aborted" else "success",
            "reason": about["status"],
            "num_events": counts,
        },
    )


def _stream(run: str, name: str, table: xr.Dataset, times: np.ndarray[Any, Any]) -> Iterator[Document]:
    """Yield the descriptor of a stream and its events."""
    descriptor = _id(run, name)
    columns = {str(k): v for k, v in table.variables.items() if v.dims[:1] == ("step",) and k != "time"}
    axes = {str(k): v for k, v in table.coords.items() if v.dims != ("step",)}
    yield (
        "descriptor",
        {
            "uid": descriptor,
            "run_start": run,
            "time": float(times[0]),
            "name": name,
            "data_keys": {key: _data_key(v) for key, v in columns.items()},
            "object_keys": {"probescout": list(columns)},
            "configuration": {
                "probescout": {
                    "data": {k: finite(v.values.tolist()) for k, v in axes.items()},
                    "timestamps": {k: float(times[0]) for k in axes},
                    "data_keys": {k: _data_key(v.variable, n_before=0) for k, v in axes.items()},
                }
            },
            "hints": {},
        },
    )
    values = {key: v.values.tolist() for key, v in columns.items()}
    for i, time in enumerate(times.tolist()):
        yield (
            "event",
            {
                "uid": _id(descriptor, str(i)),
                "descriptor": descriptor,
                "seq_num": i + 1,
                "time": time,
                "data": {key: finite(v[i]) for key, v in values.items()},
                "timestamps": dict.fromkeys(values, time),
                "filled": {},
            },
        )


def _data_key(variable: xr.Variable, n_before: int = 1) -> dict[str, Any]:
    shape = [int(n) for n in variable.shape[n_before:]]
    plain = {"f": "number", "i": "integer", "u": "integer", "b": "boolean"}.get(variable.dtype.kind, "string")
    key = {"source": "probescout", "dtype": "array" if shape else plain, "shape": shape}
    if shape:
        key["dims"] = [str(d) for d in variable.dims[n_before:]]
    if variable.attrs.get("units"):
        key["units"] = str(variable.attrs["units"])
    return key


def _id(*parts: str) -> str:
    return str(uuid.uuid5(SPACE, "/".join(parts)))
