"""The measurements of a campaign, one step each, beside what was predicted before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from probescout.core.observations import Observation
from probescout.core.spectra import Spectrum
from probescout.core.state import Campaign
from probescout.export.history import History
from probescout.export.layout import texts

if TYPE_CHECKING:
    import xarray as xr

STEP = "step"
UNSOLICITED = "unsolicited"
"""Origin of a measurement that no suggestion asked for."""


def steps(history: History) -> xr.Dataset:
    """Return target, prediction and raw signal of every measurement, in the order of arrival."""
    import xarray as xr

    state = history.state
    told = sorted(state.observations.values(), key=lambda o: o.ordinal)
    signals, axes, attrs = _signals(history, told)
    variables = {**_numbers(state, told), **_labels(state, told), **signals}
    return xr.Dataset(variables, {**_coordinates(state, told), **axes}, attrs)


def _numbers(state: Campaign, told: Sequence[Observation]) -> dict[str, Any]:
    unit = state.target_unit or next((o.target_unit for o in told if o.target_unit), "")
    asked = [state.suggestions.get(o.suggestion) for o in told]
    nan = math.nan
    columns: dict[str, tuple[list[float], str, str]] = {
        "target": ([o.target for o in told], unit, "scalarized measurement"),
        "target_std": ([_std(o.target_variance) for o in told], unit, "standard deviation of its noise"),
        "mean_at_ask": ([s.mean if s else nan for s in asked], unit, "prediction before it was measured"),
        "std_at_ask": (
            [s.std if s else nan for s in asked],
            unit,
            "standard deviation of that prediction, without noise",
        ),
        "acquisition": ([s.acquisition if s else nan for s in asked], "1", "score that the policy gave the point"),
        "dwell": ([o.dwell_s for o in told], "s", "time at the point; 0: not told"),
        "dose": ([o.dose for o in told], state.spec.dose_unit, "dose at the point; 0: not told"),
    }
    for i, objective in enumerate(state.spec.objectives):
        scores = [o.further[i] if i < len(o.further) else None for o in told]
        units = next((score.unit for score in scores if score and score.unit), "")
        text = f"scalarized measurement by {objective.scalarizer.name}, further objective {i + 1}"
        name = f"target_{i + 2}"
        columns[name] = ([score.value if score else nan for score in scores], units, text)
        stds = [_std(score.variance) if score else nan for score in scores]
        columns[f"{name}_std"] = (stds, units, f"standard deviation of the noise of {name}")
    return {
        name: (STEP, np.array(values, dtype=np.float64), {"units": units, "long_name": text})
        for name, (values, units, text) in columns.items()
    }


def _std(variance: float) -> float:
    return math.sqrt(variance) if variance >= 0 else math.nan


def _labels(state: Campaign, told: Sequence[Observation]) -> dict[str, Any]:
    asked = [state.suggestions.get(o.suggestion) for o in told]
    origins = [s.source.value if s else UNSOLICITED for s in asked]
    return {
        "origin": texts(STEP, origins, "what chose the point"),
        "status": texts(STEP, [o.status.value for o in told], "how the measurement went"),
        "score_state": texts(STEP, [o.score_state.value for o in told], "what became of the target"),
        "observation": texts(STEP, [o.id for o in told], "id of the measurement"),
        "suggestion": texts(STEP, [o.suggestion for o in told], "id of the suggestion that it answers"),
    }


def _coordinates(state: Campaign, told: Sequence[Observation]) -> dict[str, Any]:
    """Return y, x in the overview image, whatever the drift since, and the time."""
    frame = state.frame
    at = [frame.to_image(o.y, o.x, o.frame_revision) if frame else (o.y, o.x) for o in told]
    where = {"units": "1", "comment": "fraction of the overview image, origin top left"}
    positions = np.array(at, dtype=np.float64).reshape(-1, 2)
    times = np.array([o.measured_time or o.received_time for o in told], dtype=np.float64)
    return {
        "y": (STEP, positions[:, 0], where),
        "x": (STEP, positions[:, 1], where),
        "time": (
            STEP,
            times,
            {
                "units": "seconds since 1970-01-01T00:00:00+00:00",
                "long_name": "when it was measured, or received where the client did not say",
            },
        ),
    }


def _signals(history: History, told: Sequence[Observation]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return spectrum (step, ...) with its mask, its axes, and why there is none where shapes differ."""
    found = [history.signal(o) for o in told]
    there = [s for s in found if s is not None]
    if not there:
        return {}, {}, {"comment": "no raw signals came"}
    first = there[0]
    if any(s.values.shape != first.values.shape or s.dims != first.dims for s in there):
        shapes = sorted({str(tuple(s.values.shape)) for s in there})
        return {}, {}, {"comment": f"the raw signals have different shapes, {', '.join(shapes)}, and are left out"}
    dims = [_dim(d) for d in first.dims]
    kind = {"value_kind": first.kind.value, "long_name": "raw signal"}
    signals: dict[str, Any] = {"spectrum": ((STEP, *dims), _stacked(found, first), {"units": first.unit, **kind})}
    if any(s.mask is not None for s in there):
        masks = [_mask(s, first) for s in found]
        signals["spectrum_is_valid"] = ((STEP, *dims), np.stack(masks), {"long_name": "true where it was measured"})
    axes = {
        _dim(a.dim): (_dim(a.dim), np.asarray(a.values), {"units": a.unit, "long_name": a.quantity or a.dim})
        for a in first.axes
    }
    return signals, axes, {}


def _dim(name: str) -> str:
    """Return a name for a dimension of the signal that no coordinate of the steps has."""
    return f"signal_{name}" if name in (STEP, "y", "x", "time") else name


def _stacked(found: Sequence[Spectrum | None], first: Spectrum) -> np.ndarray[Any, Any]:
    """Return all signals (step, ...); NaN, and therefore float64, where a step has none."""
    rows = [None if s is None else np.asarray(s.values) for s in found]
    if any(row is None for row in rows):
        nothing = np.full(first.values.shape, np.nan)
        return np.stack([nothing if row is None else row.astype(np.float64) for row in rows])
    return np.stack([row for row in rows if row is not None])


def _mask(spectrum: Spectrum | None, first: Spectrum) -> np.ndarray[Any, Any]:
    if spectrum is None:
        return np.zeros(first.values.shape, dtype=bool)
    return np.ones(spectrum.values.shape, dtype=bool) if spectrum.mask is None else np.asarray(spectrum.mask)
