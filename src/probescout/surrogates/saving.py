"""Saved states of a committee, from which it goes on bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from probescout.core.errors import InvalidInput, Reason
from probescout.surrogates import exchange
from probescout.surrogates.features import Features
from probescout.surrogates.field import Field
from probescout.surrogates.measurements import Measurements, checked
from probescout.surrogates.model import Model, build_model
from probescout.surrogates.schedule import FitSchedule
from probescout.surrogates.scores import Score

STATE_VERSION = 2


def saved(model: Model, data: Measurements, scores: Sequence[Score], schedule: FitSchedule) -> dict[str, Any]:
    """Return JSON values, and arrays under "arrays"."""
    rows = np.array([(s.z, s.log_shallow, s.log_deep, s.deep_z, s.pit, s.mean) for s in scores]).reshape(-1, 6)
    return {
        "version": STATE_VERSION,
        **exchange.found(model),
        **schedule.to_json(),
        "arrays": {
            "index": data.index.astype(np.int64),
            "value": data.values,
            "variance": data.variances,
            "scores": rows,
            # Learnt in the same blocks, as only the same order of operations gives the same bits.
            "edges": np.array(model.edges, dtype=np.int64),
            **({} if model.field.is_whole else {"field": model.field.candidates.astype(np.int64)}),
            **{f"learnt.{name}": array for name, array in model.learnt.items()},
        },
    }


def check_state(state: Mapping[str, Any]) -> None:
    """Check that a saved state is one of ours.

    Raises:
        InvalidInput: FIELD_INVALID when its version differs; rebuild from the journal then.
    """
    if state.get("version") != STATE_VERSION:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"the saved state has version {state.get('version')!r}, this program reads {STATE_VERSION}; rebuild the "
            "committee from the journal",
            field="version",
        )


def read(
    features: Features, state: Mapping[str, Any], chosen: tuple[str, ...]
) -> tuple[Model, Measurements, list[Score], FitSchedule]:
    """Return what a state holds, the model taught as it was.

    Raises:
        InvalidInput: When the state does not fit the features.
    """
    arrays = state["arrays"]
    n_candidates = features.n_candidates
    learnt = {name[7:]: array for name, array in arrays.items() if name.startswith("learnt.")}
    scale, hyper, learnt, doubts = exchange.read_fit(features, state, learnt, chosen)
    columns = zip(arrays["index"], arrays["value"], arrays["variance"], strict=True)
    data = Measurements.of(checked(int(i), float(y), float(v), n_candidates) for i, y, v in columns)
    kept = np.asarray(arrays.get("field", np.arange(n_candidates)), dtype=np.intp)
    if len(kept) and not 0 <= kept[0] <= kept[-1] < n_candidates:
        raise InvalidInput(
            Reason.SHAPE_MISMATCH,
            f"the saved state keeps candidates up to {kept[-1]}; the frame has {n_candidates}",
            field="arrays.field",
        )
    model = build_model(features, Field(kept, n_candidates), scale, hyper, learnt, chosen, doubts)
    edges = [int(e) for e in arrays["edges"]]
    model.learn(data.first(edges[-1] if edges else 0), edges)
    if state.get("is_outdated"):
        model.learn(data)
    for i in range(len(model.y), len(data)):
        model.tell(int(data.index[i]), float(data.values[i]), float(data.variances[i]))
    scores = [Score(*(float(v) for v in row)) for row in arrays["scores"]]
    return model, data, scores, FitSchedule.from_json(state)
