"""The measurements of a campaign, one step each, beside what was predicted before."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from probescout.core.observations import Observation
from probescout.core.spectra import Spectrum
from probescout.core.state import Campaign
from probescout.export.history import History
from probescout.export.layout import positions_in_image, texts, without_nul

if TYPE_CHECKING:
    import xarray as xr

STEP = "step"
SIGNAL = "spectrum"
MASK = "spectrum_is_valid"
MOST_NAMED = 10
"""Most steps, and most reasons, that a comment lists."""
UNSOLICITED = "unsolicited"
"""Origin of a measurement that no suggestion asked for."""


def steps(history: History) -> xr.Dataset:
    """Return target, prediction and raw signal of every measurement, in the order of arrival."""
    import xarray as xr

    state = history.state
    told = sorted(state.observations.values(), key=lambda o: o.ordinal)
    columns = {**_numbers(state, told), **_labels(state, told)}
    places = _coordinates(state, told)
    signals, axes, attrs = _signals(history, told, {*columns, *places})
    return xr.Dataset({**columns, **signals}, {**places, **axes}, attrs)


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
        "is_good": (
            STEP,
            np.array([o.is_taught for o in told], dtype=np.uint8),
            {"long_name": "1: scored and in use; 0: withdrawn, outside the frame, failed or not scored"},
        ),
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
    positions = np.array(at, dtype=np.float64).reshape(-1, 2)
    times = np.array([o.measured_time or o.received_time for o in told], dtype=np.float64)
    return {
        **positions_in_image(positions, STEP),
        "time": (
            STEP,
            times,
            {
                "units": "seconds since 1970-01-01T00:00:00+00:00",
                "long_name": "when it was measured, or received where the client did not say",
            },
        ),
    }


def _signals(
    history: History, told: Sequence[Observation], taken: Collection[str]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return spectrum (step, ...) with its mask, its axes, and which signals are left out and why."""
    found = [history.signal(o) for o in told]
    if all(s is None for s in found):
        return {}, {}, {"comment": "no raw signals came"}
    alike, attrs = _alike(found)
    there = [s for s in alike if s is not None]
    first = there[0]
    dims = _dims(first.dims, {*taken, STEP, SIGNAL, MASK})
    kind = {"value_kind": first.kind.value, "long_name": "raw signal"}
    signals: dict[str, Any] = {SIGNAL: ((STEP, *dims), _stacked(alike, first), {"units": first.unit, **kind})}
    if any(s.mask is not None for s in there):
        masks = [_mask(s, first) for s in alike]
        signals[MASK] = ((STEP, *dims), np.stack(masks), {"long_name": "true where it was measured"})
    names = dict(zip(first.dims, dims, strict=True))
    axes = {
        names[a.dim]: (names[a.dim], np.asarray(a.values), {"units": a.unit, "long_name": a.quantity or a.dim})
        for a in first.axes
    }
    return signals, axes, attrs


def _dims(names: Sequence[str], taken: Collection[str]) -> list[str]:
    """Return names for the dimensions of a signal that nothing else in the group has and every format can write."""
    made: list[str] = []
    for name in names:
        plain = without_nul(name).replace("/", "_per_")
        # A path of HDF5 cannot name "", "." or "..".
        base = f"signal_{plain}" if plain in taken or not plain.strip(".") else plain
        free = (base if n == 1 else f"{base}_{n}" for n in count(1))
        made.append(next(n for n in free if n not in taken and n not in made))
    return made


class _Make(NamedTuple):
    """What signals must have in common to be one array."""

    shape: tuple[int, ...]
    dimensions: tuple[str, ...]
    unit: str
    kind: str
    axes: tuple[tuple[str, bytes], ...]
    """Unit and values of each axis."""

    @classmethod
    def of(cls, s: Spectrum) -> _Make:
        axes = [s.axis(d) for d in s.dims]
        # Adding 0 makes 0 of -0, which has other bytes.
        values = tuple((a.unit, (np.asarray(a.values, dtype=np.float64) + 0.0).tobytes()) for a in axes)
        return cls(tuple(s.values.shape), s.dims, s.unit, s.kind.value, values)

    def differs(self, other: _Make) -> str:
        """Return the first thing in which two differ, with both values where they are short."""
        name = next(n for n in self._fields if getattr(self, n) != getattr(other, n))
        if name == "axes":
            return "axis"
        return f"{name} ({', '.join(sorted(str(getattr(m, name)) or 'none' for m in (self, other)))})"


def _alike(found: Sequence[Spectrum | None]) -> tuple[list[Spectrum | None], dict[str, Any]]:
    """Return the signals that are like most, the earliest in a tie, None for others, and a comment on those."""
    makes = [None if s is None else _Make.of(s) for s in found]
    [(most, _)] = Counter(m for m in makes if m is not None).most_common(1)
    out = {i: most.differs(m) for i, m in enumerate(makes) if m is not None and m != most}
    if not out:
        return list(found), {}
    at = ", ".join(map(str, list(out)[:MOST_NAMED])) + (", ..." if len(out) > MOST_NAMED else "")
    why = "; ".join(sorted(set(out.values()))[:MOST_NAMED])
    n = sum(m is not None for m in makes)
    comment = f"{len(out)} of {n} raw signals are left out, as they differ from the others in {why}: step {at}"
    return [None if i in out else s for i, s in enumerate(found)], {"comment": comment}


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
