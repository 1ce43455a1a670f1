"""Turns a stored signal into a score, whatever a stranger's scalarizer does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from probescout.core.errors import ProbescoutError
from probescout.core.jsonable import from_json
from probescout.core.observations import SignalRecord
from probescout.core.ports import Scalarizer
from probescout.core.specs import GIVEN


def scalarize(name: str, scalarizer: Scalarizer | None, message: Mapping[str, Any]) -> dict[str, Any]:
    """Return {"value", "variance", "unit", "error", "scalarizer"} of an observation; an error says why there is none.

    Args:
        name: Of the campaign's scalarizer.
        scalarizer: None for a campaign whose client sends ready values. Otherwise a ready value that this scalarizer
            did not make is passed over for the signal that came with it: it is a value of another target.
        message: As `runtime.modeller.Modeller.score_request` makes it.
    """
    has_value, has_signal = message["value"] is not None, message["signal"] is not None
    maker = message["value_scalarizer"] or GIVEN
    if has_value and (scalarizer is None or maker == name or not has_signal):
        return _ready(name, maker, scalarizer is None or maker in (name, GIVEN), message)
    failed = {"value": 0.0, "variance": 0.0, "unit": "", "scalarizer": name}
    if scalarizer is None or not has_signal:
        return {**failed, "error": f"the scalarizer is '{name}' and the observation brought no value to go with it"}
    record = from_json(SignalRecord, message["signal"])
    try:
        scalar = scalarizer(record.spectrum(message["data"].tobytes()))
        value, variance, unit = float(scalar.value), float(scalar.variance), str(scalar.unit)
    except ProbescoutError as error:
        return {**failed, "error": f"{error.reason}: {error.message}"}
    except Exception as error:
        # A plug-in of a stranger may raise or return anything; the raw data are safe and the reason is kept with them.
        return {**failed, "error": f"scalarizer '{name}' failed: {error!r}"}
    if not np.isfinite(value):
        return {**failed, "error": f"scalarizer '{name}' returned {value}"}
    return {"value": value, "variance": variance, "unit": unit, "error": "", "scalarizer": name}


def _ready(name: str, maker: str, is_of_target: bool, message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the score of a value that the client made itself."""
    if not is_of_target:
        why = f"the value was made by '{maker}', the campaign's scalarizer is '{name}', and no raw signal came with it"
        return {"value": 0.0, "variance": 0.0, "unit": "", "scalarizer": name, "error": why}
    return {
        "value": message["value"],
        "variance": message["variance"],
        "unit": message["unit"],
        "error": "",
        "scalarizer": maker,
    }
