"""What a replay is about: an instrument, its candidates, the target, and the truth that only the scores may see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probescout.core.errors import InvalidInput, ProbescoutError, Reason
from probescout.core.ports import FloatArray, Microscope, Scalarizer
from probescout.core.registry import SCALARIZERS, find
from probescout.core.specs import GIVEN
from probescout.replay.microscope import RecordedMicroscope
from probescout.replay.recording import Recording
from probescout.replay.twin import make_scene, make_twin
from probescout.runtime.plugins import build


@dataclass(frozen=True)
class Case:
    """An experiment to be planned again and again.

    Example:
        >>> case = twin_case("plasmonic", size=16)
        >>> case.name, case.n_candidates
        ('plasmonic', 256)
    """

    name: str
    open: Callable[[int], Microscope]
    """Returns a fresh instrument; its noise is decided by the seed."""
    candidates: NDArray[np.bool_]
    """(y, x), true where a measurement can be made."""
    truth: FloatArray
    """(y, x) true target in `unit`, NaN where there is none. Only the scores look at it."""
    scalarizer: str
    params: Mapping[str, Any] = field(default_factory=dict)
    unit: str = ""
    """Unit of the target."""
    is_truth_noisy: bool = True
    """Whether `truth` is one noisy measurement of each pixel, as a recording is, and not the expected value."""

    @property
    def n_candidates(self) -> int:
        """Number of pixels that may be proposed."""
        return int(self.candidates.sum())


def recorded_case(
    source: str | Path | Recording,
    *,
    scalarizer: str | None = None,
    params: Mapping[str, Any] | None = None,
    target: str | None = None,
    name: str = "recording",
) -> Case:
    """Return the case of a recorded experiment.

    Args:
        source: File in the neutral format, or a recording.
        scalarizer: Installed plug-in that makes the target from the recorded spectra.
        params: Its parameters; windows are in the unit of the file's axis.
        target: Name of a ready scalar map, instead of a scalarizer; neither: the only map there is.
        name: Name of the case when `source` is a recording.

    Raises:
        InvalidInput: The file, the scalarizer or its parameters cannot be used, or no pixel can be measured.
        NotFound: FIELD_MISSING when there is no map named `target`.
        MissingExtra: For a Zarr store where zarr is not installed.
    """
    if not isinstance(source, Recording):
        name, source = Path(source).name.split(".")[0], Recording.load(source)
    if target is not None and scalarizer is not None:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"both a scalarizer ('{scalarizer}') and a ready map ('{target}') are given; choose one",
            field="target",
        )
    if scalarizer is None:
        return _mapped(source, name, target, params)
    return _scalarized(source.loaded(), name, scalarizer, params or {})


def _mapped(recording: Recording, name: str, target: str | None, params: Mapping[str, Any] | None) -> Case:
    if target is None and recording.spectrum is not None:
        maps = f" or --target NAME ({', '.join(recording.targets)})" if recording.targets else ""
        raise InvalidInput(
            Reason.FIELD_MISSING,
            f"this recording has a spectrum at every pixel: name what makes the target of it with --scalarizer{maps}",
            field="scalarizer",
        )
    if params:
        raise InvalidInput(
            Reason.PARAM_INVALID,
            f"a ready map takes no parameters, {', '.join(params)} were given; leave them out or name a scalarizer",
            field="params",
        )
    chosen = RecordedMicroscope(recording, target=target).target
    assert chosen is not None
    truth = np.asarray(recording.target_map(chosen), dtype=np.float64)
    candidates = _measurable(recording, np.isfinite(truth))
    return Case(
        name=name,
        open=lambda seed: RecordedMicroscope(recording, target=chosen, seed=seed),
        candidates=candidates,
        truth=np.where(candidates, truth, np.nan),
        scalarizer=GIVEN,
        unit=recording.target_units.get(chosen, ""),
    )


def _scalarized(recording: Recording, name: str, scalarizer: str, params: Mapping[str, Any]) -> Case:
    if recording.spectrum is None:
        raise InvalidInput(
            Reason.FIELD_INVALID,
            f"'{scalarizer}' needs a spectrum at every pixel and this recording has none; use --target with one of "
            f"its scalar maps: {', '.join(recording.targets)}",
            field="scalarizer",
        )
    params = in_axis_unit(recording, scalarizer, params)
    plugin: Scalarizer = build(SCALARIZERS, {"name": scalarizer, "params": params}, field="scalarizer")
    values = np.asarray(recording.spectrum)
    known = np.isfinite(values).reshape(*recording.shape, -1).any(axis=-1) if values.dtype.kind == "f" else True
    candidates = _measurable(recording, np.broadcast_to(np.asarray(known), recording.shape))
    truth, unit = true_map(recording, candidates, plugin)
    return Case(
        name=name,
        open=lambda seed: RecordedMicroscope(recording, seed=seed),
        candidates=candidates,
        truth=truth,
        scalarizer=scalarizer,
        params=params,
        unit=unit,
    )


def _measurable(recording: Recording, known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    candidates = recording.recorded & known
    if not candidates.any():
        raise InvalidInput(
            Reason.NON_FINITE, "no pixel of this recording holds data; there is nothing to replay", field="mask"
        )
    return np.asarray(candidates, dtype=bool)


def in_axis_unit(recording: Recording, scalarizer: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters with the unit of the file's axis, where the scalarizer asks for one.

    Raises:
        InvalidInput: PLUGIN_UNKNOWN or PLUGIN_BROKEN.
    """
    schema = find(SCALARIZERS, scalarizer, field="scalarizer").load().params_schema
    unit = next((axis.unit for axis in recording.axes if axis.unit), "")
    if "axis_unit" in schema.get("properties", {}) and unit:
        return {"axis_unit": unit, **params}
    return dict(params)


def true_map(recording: Recording, candidates: NDArray[np.bool_], scalarizer: Scalarizer) -> tuple[FloatArray, str]:
    """Return the target (y, x) of every recorded spectrum, NaN where there is none, and its unit.

    Raises:
        InvalidInput: When the scalarizer refuses every pixel, as it did the first.
    """
    truth = np.full(recording.shape, np.nan)
    unit, refusal = "", None
    for row, column in np.argwhere(candidates):
        try:
            scalar = scalarizer(recording.spectrum_at(int(row), int(column)))
        except ProbescoutError as error:
            # The campaign meets the same refusal as a failed score; such a pixel has no true value.
            refusal = refusal or error
            continue
        truth[row, column], unit = scalar.value, scalar.unit
    if refusal is not None and not np.isfinite(truth).any():
        raise refusal
    return truth, unit


def twin_case(scene: str, *, size: int = 64, scene_seed: int = 0, **options: Any) -> Case:
    """Return the case of a simulated sample: every run sees the same sample through its own noise.

    Args:
        scene: Name of the scene; see `probescout.replay.twin.SCENES`.
        size: Edge of the image in pixels.
        scene_seed: Decides the sample.
        options: Of `probescout.replay.twin.Twin`.

    Raises:
        InvalidInput: PARAM_INVALID or SHAPE_MISMATCH naming the argument that is wrong.
    """
    sample = make_scene(scene, scene_seed, size)
    unit = sample.suggested_scalarizer()(sample.wrap(sample.spectrum(0.5, 0.5))).unit
    return Case(
        name=scene,
        open=lambda seed: make_twin(scene, seed, size, scene_seed=scene_seed, **options),
        candidates=np.ones(sample.shape, dtype=bool),
        truth=make_twin(scene, 0, size, scene_seed=scene_seed, **options).truth(),
        scalarizer=sample.scalarizer,
        params=dict(sample.params),
        unit=unit,
        is_truth_noisy=False,
    )
