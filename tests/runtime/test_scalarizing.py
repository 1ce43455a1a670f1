"""Which of a ready value and a raw signal becomes the score."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from probescout.core.jsonable import to_json
from probescout.core.observations import SignalRecord
from probescout.core.spectra import Scalar, Spectrum
from probescout.runtime.scalarizing import scalarize

SIGNAL, BYTES = SignalRecord.of(Spectrum(np.array([1.0, 2.0, 4.0]), ("channel",)))


class Total:
    """Adds up all channels."""

    name: ClassVar[str] = "total"
    summary: ClassVar[str] = "Sum of all channels"
    params_schema: ClassVar[dict[str, Any]] = {}
    n_dims: ClassVar[int] = 1
    axis_unit: str | None = None

    def __call__(self, spectrum: Spectrum) -> Scalar:
        return Scalar(float(spectrum.values.sum()), 0.5, "counts")


def message(value: float | None, maker: str, has_signal: bool) -> dict[str, Any]:
    return {
        "value": value,
        "variance": 0.1,
        "unit": "V",
        "value_scalarizer": maker,
        "signal": to_json(SIGNAL) if has_signal else None,
        "data": np.frombuffer(BYTES if has_signal else b"", dtype=np.uint8),
    }


@pytest.mark.parametrize(
    ("value", "maker", "has_signal", "score", "by"),
    [
        (None, "", True, 7.0, "total"),
        (3.0, "total", True, 3.0, "total"),
        # A value of another target says nothing of this one; the signal does.
        (3.0, "edge", True, 7.0, "total"),
        (3.0, "given", True, 7.0, "total"),
        (3.0, "", True, 7.0, "total"),
        (3.0, "total", False, 3.0, "total"),
        (3.0, "", False, 3.0, "given"),
    ],
)
def test_the_score_is_one_of_the_campaigns_target(
    value: float | None, maker: str, has_signal: bool, score: float, by: str
) -> None:
    told = scalarize("total", Total(), message(value, maker, has_signal))
    assert (told["value"], told["scalarizer"], told["error"]) == (score, by, "")


def test_a_value_of_another_target_without_its_signal_is_no_score() -> None:
    told = scalarize("total", Total(), message(3.0, "edge", False))
    assert "'edge'" in told["error"] and "'total'" in told["error"]


@pytest.mark.parametrize("maker", ["", "given", "edge"])
@pytest.mark.parametrize("has_signal", [False, True])
def test_a_campaign_of_ready_values_takes_them_all(maker: str, has_signal: bool) -> None:
    told = scalarize("given", None, message(3.0, maker, has_signal))
    assert (told["value"], told["unit"], told["error"]) == (3.0, "V", "")


def test_nothing_to_score_is_said() -> None:
    assert "brought no value" in scalarize("total", Total(), message(None, "", False))["error"]
    assert "brought no value" in scalarize("given", None, message(None, "", True))["error"]
