"""Simulated patches that the tests of structures share."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

MISSING = [name for name in ("skimage", "ase", "pymatgen") if find_spec(name) is None]
NEEDS_NOTHING = "test_theory_extra.py"
"""The file that must also pass without the extra."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip with a reason where the extra is absent."""
    reason = f"needs the extra 'theory': {', '.join(MISSING)} not installed"
    for item in items:
        if MISSING and item.path.parent.name == "theory" and item.path.name != NEEDS_NOTHING:
            item.add_marker(pytest.mark.skip(reason=reason))


@cache
def drawn(case: str, level: str, seed: int) -> Any:
    """Return a simulated image with its truth; drawn once, never changed."""
    from benchmarks import structure_images as images

    make = {**images.SHEETS, "graphene": images.clean_graphene, "mos2": images.clean_mos2}[case]
    truth = images.draw(make(), images.NOISE[level], np.random.default_rng(seed))
    truth.image.flags.writeable = False
    return truth


@pytest.fixture(scope="session")
def draw() -> Any:
    """The simulator: (case, level, seed) -> truth."""
    return drawn
