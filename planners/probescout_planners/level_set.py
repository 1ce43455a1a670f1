"""Level-set estimation."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from probescout.core.ports import Belief, Json

FloatArray = NDArray[np.float64]


class LevelSet:
    """Prefer where it is least clear whether the target is above or below a level: a boundary, a phase contour.

    Bryan et al. 2005, "Active learning for identifying function threshold boundaries": the straddle
    1.96 SD - |mean - level|.
    """

    name: ClassVar[str] = "level_set"
    summary: ClassVar[str] = "Trace a contour: measure where above or below the level is least certain"
    params_schema: ClassVar[Json] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Level set (straddle)",
        "type": "object",
        "properties": {
            "level": {
                "title": "Level",
                "description": "Value whose contour is wanted, in target units; null: use the quantile",
                "type": ["number", "null"],
                "default": None,
            },
            "quantile": {
                "title": "Quantile",
                "description": "Level as a quantile of the predicted map (fraction), when no level is given",
                "type": "number",
                "minimum": 0,
                "maximum": 1,
                "default": 0.5,
            },
            "beta": {
                "title": "Exploration",
                "description": "Weight of the SD; larger explores more (no unit)",
                "type": "number",
                "minimum": 0,
                "maximum": 100,
                "default": 1.96,
            },
        },
        "additionalProperties": False,
    }
    needs_model: ClassVar[bool] = True
    is_split: bool = True

    def __init__(self, level: float | None = None, quantile: float = 0.5, beta: float = 1.96) -> None:
        """Set the level.

        Args:
            level: Target units; None: take it from the predicted map.
            quantile: Of the predicted map, used without a level.
            beta: Weight of the SD.
        """
        self.level = None if level is None else float(level)
        # A level taken from the map is that of all candidates together.
        self.is_split = level is not None
        self.quantile = float(quantile)
        self.beta = float(beta)

    def score(self, belief: Belief, rng: np.random.Generator) -> FloatArray:
        """Return the straddle (candidate,) in target units."""
        level = self.level
        if level is None:
            # What cannot be proposed may hold no prediction.
            known = belief.mean[np.isfinite(belief.mean)]
            level = float(np.quantile(known, self.quantile)) if len(known) else 0.0
        return np.asarray(self.beta * belief.std - np.abs(belief.mean - level), dtype=np.float64)
