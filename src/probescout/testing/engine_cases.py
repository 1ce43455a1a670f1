"""Structures and patches that the conformance suite for engines hands in."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.theory import TheoryPatch

FloatArray = NDArray[np.float64]

BOND = 1.42
"""Angstrom, of graphene."""
PIXEL = 0.2
"""Angstrom, of the patches."""
SIDE = 100
"""Pixels, of the patches."""
SPOT = 0.45
"""Standard deviation of a spot, angstrom."""


def ring() -> dict[str, Any]:
    """Return benzene pushed out of shape, with itself in shape as reference: a cluster that does not repeat."""
    angles = np.arange(6) * math.pi / 3.0
    round_ = np.column_stack([np.cos(angles), np.sin(angles), np.zeros(6)])
    clean = np.vstack([1.395 * round_, 2.485 * round_]) + 8.0
    pushed = clean + np.random.default_rng(0).normal(0.0, 0.03, clean.shape)
    shared = {"symbols": ["C"] * 6 + ["H"] * 6, "cell": (16.0 * np.eye(3)).tolist(), "pbc": [False] * 3}
    return {**shared, "positions": pushed.tolist(), "reference": {**shared, "positions": clean.tolist()}}


def sheet() -> dict[str, Any]:
    """Return 2 x 2 cells of graphene without one atom, with all as reference: 7 atoms that repeat."""
    a = BOND * math.sqrt(3.0)
    cell = np.array([[2 * a, 0.0, 0.0], [-a, a * math.sqrt(3.0), 0.0], [0.0, 0.0, 15.0]])
    fractions = [
        [(i + u) / 2, (j + v) / 2, 0.5] for i in (0, 1) for j in (0, 1) for u, v in ((1 / 3, 2 / 3), (2 / 3, 1 / 3))
    ]
    clean = np.array(fractions) @ cell
    shared = {"cell": cell.tolist(), "pbc": [True, True, False]}
    whole = {**shared, "symbols": ["C"] * 8, "positions": clean.tolist()}
    return {**shared, "symbols": ["C"] * 7, "positions": clean[1:].tolist(), "reference": whole}


def impossible(structure: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what cannot be calculated, made of a structure that can: by what is wrong with it.

    Args:
        structure: With symbols and positions.
    """
    made = {
        name: copy.deepcopy(dict(structure)) for name in ("same_place", "nan", "unknown_element", "lengths", "empty")
    }
    made["same_place"]["positions"][1] = list(made["same_place"]["positions"][0])
    made["nan"]["positions"][0][0] = math.nan
    made["unknown_element"]["symbols"][0] = "Xx"
    made["lengths"]["positions"] = made["lengths"]["positions"][1:]
    made["empty"].update(symbols=[], positions=[])
    return made


@cache
def patches() -> dict[str, TheoryPatch]:
    """Return a patch of graphene with a vacancy ("good"), and three that are no valid structure ("border"...)."""
    lattice = _graphene()
    middle = int(np.argmin(np.linalg.norm(lattice - 0.5 * SIDE * PIXEL, axis=1)))
    good = _drawn(np.delete(lattice, middle, axis=0))
    return {
        "good": TheoryPatch(good, PIXEL * 1e-10),
        "border": TheoryPatch(good, PIXEL * 1e-10, (0.02, 0.5)),
        "vacuum": TheoryPatch(_drawn(lattice[lattice[:, 1] < 0.4 * SIDE * PIXEL]), PIXEL * 1e-10),
        "amorphous": TheoryPatch(_drawn(_scattered()), PIXEL * 1e-10),
    }


def _graphene() -> FloatArray:
    """Return places (atom, yx) over the patch, angstrom."""
    a = BOND * math.sqrt(3.0)
    cell = np.array([[0.0, a], [a * math.sqrt(3.0) / 2.0, -a / 2.0]])
    steps = np.array([[i, j] for i in range(-30, 60) for j in range(-30, 60)], dtype=np.float64)
    places = np.vstack([(steps + u) @ cell for u in ((1 / 3, 2 / 3), (2 / 3, 1 / 3))])
    return np.asarray(places[((places > -1.0) & (places < SIDE * PIXEL + 1.0)).all(axis=1)])


def _scattered() -> FloatArray:
    """Return as many places (atom, yx) without order, at least 1.2 angstrom apart, angstrom."""
    rng = np.random.default_rng(1)
    wanted = int(0.9 * len(_graphene()))
    places = np.zeros((0, 2))
    for _ in range(60 * wanted):
        place = rng.uniform(0.0, SIDE * PIXEL, 2)
        if len(places) < wanted and (len(places) == 0 or np.linalg.norm(places - place, axis=1).min() > 1.2):
            places = np.vstack([places, place])
    return places


def _drawn(places: FloatArray) -> FloatArray:
    """Return an image (y, x) in counts: spots of 60 counts on a ground with noise."""
    axis = PIXEL * (np.arange(SIDE) + 0.5)
    image = np.full((SIDE, SIDE), 5.0)
    for y, x in places:
        image += 60.0 * np.outer(np.exp(-0.5 * ((axis - y) / SPOT) ** 2), np.exp(-0.5 * ((axis - x) / SPOT) ** 2))
    return image + np.random.default_rng(2).normal(0.0, 1.0, image.shape)
