"""A twin's whole frame as a recording, to be saved and replayed."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.geometry import pixel_centers
from probescout.replay.neutral import FORMAT
from probescout.replay.twin.instrument import Twin

if TYPE_CHECKING:
    import xarray as xr


def to_dataset(twin: Twin, *, noise_free: bool = False) -> xr.Dataset:
    """Return the frame in the neutral replay format: overview, then a signal at every pixel, row by row.

    A noisy frame is measured by the twin itself, so its clock, drift, outliers and failures take part; pixels that
    failed are excluded by `mask` and hold 0 (counts) or NaN. The dataset holds no truth.

    Args:
        twin: The instrument and its sample.
        noise_free: Whether to give the expected image and signals at the twin's dose instead of measuring them.
    """
    import xarray as xr

    scene = twin.scene
    image, cube, mask = _expected(twin) if noise_free else _measured(twin)
    axis, signal, picture = scene.axis, scene.signal_channel, scene.image_channel
    variables: dict[str, Any] = {
        "image": (
            ("y", "x"),
            image,
            {"units": picture.unit, "long_name": picture.name, "value_kind": picture.kind.value},
        ),
        "spectrum": (
            ("y", "x", axis.dim),
            cube,
            {"units": signal.unit, "value_kind": signal.kind.value, "long_name": signal.name},
        ),
    }
    if not mask.all():
        variables["mask"] = (("y", "x"), mask, {"long_name": "true where something was recorded"})
    coordinates: dict[str, Any] = {
        dim: ((dim,), (np.arange(edge) + 0.5) * scene.pixel_size_m, {"units": "m"})
        for dim, edge in zip(("y", "x"), scene.shape, strict=True)
    }
    coordinates[axis.dim] = ((axis.dim,), axis.values, {"units": axis.unit, "quantity": axis.quantity})
    return xr.Dataset(variables, coordinates, _about(twin, noise_free))


def _about(twin: Twin, noise_free: bool) -> dict[str, Any]:
    """Return where the numbers come from, complete enough to make them again."""
    scene = twin.scene
    how = "expected values" if noise_free else "measured row by row"
    return {
        "format": FORMAT,
        "title": scene.title,
        "source": f"simulation: {scene.source}",
        "pixel_size_m": scene.pixel_size_m,
        "licence": "Apache-2.0",
        "history": (
            f"probescout {version('probescout')}: scene {scene.name}, scene seed {scene.seed}, "
            f"{scene.shape[0]} x {scene.shape[1]} pixels, noise seed {twin.seed}, dose {twin.dose:g}, "
            f"drift (y, x) {twin.drift_per_s[0]:g}, {twin.drift_per_s[1]:g} per s, "
            f"outlier rate {twin.outlier_rate:g}, failure rate {twin.failure_rate:g}, {how}"
        ),
    }


def _expected(twin: Twin) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
    scene = twin.scene
    return (
        scene.image * twin.scale(scene.image_channel),
        scene.cube() * twin.scale(scene.signal_channel),
        np.ones(scene.shape, dtype=bool),
    )


def _measured(twin: Twin) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
    scene = twin.scene
    image = twin.overview().image
    taken = [twin.measure(float(y), float(x)).spectrum for y, x in pixel_centers(*scene.shape)]
    mask = np.array([spectrum is not None for spectrum in taken])
    found = [spectrum.values for spectrum in taken if spectrum is not None]
    dtype = found[0].dtype if found else np.dtype(np.float64)
    cube = np.full((len(taken), len(scene.axis.values)), 0 if dtype.kind == "u" else np.nan, dtype=dtype)
    if found:
        cube[mask] = found
    return image, cube.reshape(*scene.shape, -1), mask.reshape(scene.shape)
