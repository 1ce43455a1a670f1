"""Keeps an experiment in open files: scores as JSON, everything else as an xarray DataTree in NetCDF.

Groups of the NetCDF file: /overview image and truth (y, x); /steps (arm, seed, step) with coordinates y and x;
/maps (arm, seed, y, x).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, Reason
from probescout.export.layout import finite, frame_coordinates, software
from probescout.replay.experiment import Experiment, Run

if TYPE_CHECKING:
    import xarray as xr

RUN_DIMS = ("arm", "seed", "step")
MAP_DIMS = ("arm", "seed", "y", "x")


def save_experiment(experiment: Experiment, folder: Path) -> list[Path]:
    """Write result.json and result.nc into a folder, over earlier ones; return their paths.

    Raises:
        InvalidInput: FILE_UNREADABLE when the folder cannot be written.
    """
    scores, data = folder / "result.json", folder / "result.nc"
    part = folder / ".result.nc.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scores.write_text(json.dumps(finite(experiment.to_json()), indent=2, allow_nan=False) + "\n", encoding="utf-8")
        to_tree(experiment).to_netcdf(part, engine="h5netcdf")
        part.replace(data)
    except OSError as error:
        raise InvalidInput(
            Reason.FILE_UNREADABLE, f"{folder} cannot be written ({error}); choose another --out", field="out"
        ) from error
    return [scores, data]


def to_tree(experiment: Experiment) -> xr.DataTree:
    """Return the whole experiment as a DataTree."""
    import xarray as xr

    case, plan = experiment.case, experiment.plan
    settings = {
        "scalarizer": case.scalarizer,
        "params": dict(case.params),
        "policy": plan.policy,
        "policy_params": dict(plan.policy_params),
        "budget": plan.budget,
        "n_initial": plan.n_initial,
        "n_candidates": case.n_candidates,
        "use_deep": plan.use_deep,
        "scores": finite(experiment.to_json()["arms"]),
    }
    about = {
        "title": f"replay of {case.name}",
        "software": software(),
        "settings_json": json.dumps(settings, allow_nan=False),
    }
    return xr.DataTree.from_dict(
        {
            "/": xr.Dataset(attrs=about),
            "/overview": _overview(experiment),
            "/steps": _steps(experiment),
            "/maps": _maps(experiment),
        }
    )


def _overview(experiment: Experiment) -> xr.Dataset:
    import xarray as xr

    case, overview = experiment.case, experiment.overview
    dims = ("y", "x") if overview.image.ndim == 2 else ("image_channel", "y", "x")
    variables = {
        "image": (dims, overview.image, {"units": overview.unit, "long_name": overview.name}),
        "truth": (("y", "x"), case.truth, {"units": case.unit, "long_name": "true target"}),
        "candidates": (("y", "x"), case.candidates, {"long_name": "pixels that may be proposed"}),
    }
    return xr.Dataset(variables, _frame(experiment))


def _frame(experiment: Experiment) -> dict[str, Any]:
    """Return the coordinates of the pixels."""
    height, width = experiment.case.truth.shape
    return frame_coordinates(height, width, experiment.overview.pixel_size_m)


def _steps(experiment: Experiment) -> xr.Dataset:
    import xarray as xr

    unit = experiment.case.unit
    described = {
        "target": (unit, "scalarized measurement"),
        "target_std": (unit, "standard deviation of its noise"),
        "mean_at_ask": (unit, "prediction before it was measured"),
        "std_at_ask": (unit, "standard deviation of that prediction, without noise"),
        "step_ms": ("ms", "round trip of the step"),
    }
    variables: dict[str, Any] = {
        name: (RUN_DIMS, _stacked(experiment, name), {"units": units, "long_name": text})
        for name, (units, text) in described.items()
    }
    source = np.full(_shape(experiment), "", dtype=object)
    for index, run in _indexed(experiment):
        source[index][: len(run.source)] = run.source
    variables["source"] = (RUN_DIMS, source, {"long_name": "what chose the point"})
    where = {"units": "1", "comment": "fraction of the frame, origin top left"}
    coordinates = {dim: (RUN_DIMS, _stacked(experiment, dim), where) for dim in ("y", "x")}
    return xr.Dataset(variables, {**_runs(experiment), **coordinates})


def _maps(experiment: Experiment) -> xr.Dataset:
    import xarray as xr

    plan, unit = experiment.plan, experiment.case.unit
    variables: dict[str, Any] = {}
    for name in experiment.runs[0].maps:
        stack = np.full((len(plan.arms), len(plan.seeds), *experiment.case.truth.shape), np.nan)
        for index, run in _indexed(experiment):
            stack[index] = run.maps[name]
        variables[name] = (MAP_DIMS, stack.astype(np.float32), {"units": unit})
    return xr.Dataset(variables, {**_runs(experiment), **_frame(experiment)})


def _runs(experiment: Experiment) -> dict[str, Any]:
    return {"arm": ("arm", list(experiment.plan.arms)), "seed": ("seed", list(experiment.plan.seeds))}


def _indexed(experiment: Experiment) -> list[tuple[tuple[int, int], Run]]:
    plan = experiment.plan
    return [((plan.arms.index(run.arm), plan.seeds.index(run.seed)), run) for run in experiment.runs]


def _shape(experiment: Experiment) -> tuple[int, int, int]:
    plan = experiment.plan
    return len(plan.arms), len(plan.seeds), max(run.path.size for run in experiment.runs)


def _stacked(experiment: Experiment, name: str) -> NDArray[np.float64]:
    """Return a series of all runs (arm, seed, step); NaN after the end of a shorter run."""
    stack = np.full(_shape(experiment), np.nan)
    for index, run in _indexed(experiment):
        series = getattr(run, name)
        stack[index][: series.size] = series
    return stack
