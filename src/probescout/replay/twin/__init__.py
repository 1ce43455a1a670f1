"""The twin: simulated samples with a known truth, under a simulated instrument."""

from __future__ import annotations

import difflib
from typing import Any

from probescout.core.errors import InvalidInput, Reason
from probescout.replay.twin.dataset import to_dataset
from probescout.replay.twin.ferroelectric import Ferroelectric
from probescout.replay.twin.instrument import Twin
from probescout.replay.twin.lattice import Lattice
from probescout.replay.twin.plasmonic import Plasmonic
from probescout.replay.twin.scene import Channel, OutlierKind, Scene

__all__ = ["SCENES", "Channel", "OutlierKind", "Scene", "Twin", "make_scene", "make_twin", "to_dataset"]

SCENES: dict[str, type[Scene]] = {scene.name: scene for scene in (Plasmonic, Lattice, Ferroelectric)}
"""The scenes by name."""


def make_scene(name: str, seed: int = 0, size: int | tuple[int, int] = 64) -> Scene:
    """Return the scene of that name.

    Args:
        name: One of `SCENES`.
        seed: Decides the layout of the sample.
        size: Edge of a square image in pixels, or (height, width).

    Raises:
        InvalidInput: PARAM_INVALID with the nearest name, or SHAPE_MISMATCH when the size is out of range.
    """
    if name not in SCENES:
        near = difflib.get_close_matches(name, SCENES, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise InvalidInput(
            Reason.PARAM_INVALID, f"no scene is named '{name}'; {hint}choose one of {', '.join(SCENES)}", field="scene"
        )
    return SCENES[name](seed, (size, size) if isinstance(size, int) else size)


def make_twin(
    name: str,
    seed: int = 0,
    size: int | tuple[int, int] = 64,
    *,
    scene_seed: int | None = None,
    **options: Any,
) -> Twin:
    """Return a simulated instrument that looks at the scene of that name.

    Args:
        name: One of `SCENES`.
        seed: Decides the noise and, without `scene_seed`, the layout of the sample.
        size: Edge of a square image in pixels, or (height, width).
        scene_seed: Decides the layout of the sample alone, to repeat experiments on one sample.
        options: Of `Twin`.

    Raises:
        InvalidInput: PARAM_INVALID or SHAPE_MISMATCH naming the argument that is wrong.
    """
    return Twin(make_scene(name, seed if scene_seed is None else scene_seed, size), seed=seed, **options)
