"""The recorded and the simulated microscope as instruments that a campaign file can name."""

from __future__ import annotations

from typing import ClassVar

from probescout.core.ports import Json
from probescout.replay.microscope import RecordedMicroscope
from probescout.replay.recording import Recording
from probescout.replay.twin import SCENES, make_scene
from probescout.replay.twin.instrument import Twin
from probescout.replay.twin.scene import MAX_SIZE, MIN_SIZE


def _number(title: str, description: str, default: float, most: float | None = None) -> Json:
    bounds = {"minimum": 0} if most is None else {"minimum": 0, "maximum": most}
    return {"title": title, "description": description, "type": "number", "default": default, **bounds}


_SHARED: Json = {
    "latency_s": _number("Latency", "Real time that a measurement takes (s)", 0.0),
    "failure_rate": _number("Failures", "Share of measurements that fail (fraction)", 0.0, 1.0),
    "seed": {"title": "Seed", "description": "Of noise and failures", "type": "integer", "default": 0, "minimum": 0},
}


class RecordedInstrument(RecordedMicroscope):
    """A recording in the neutral format that behaves like the instrument that made it."""

    summary: ClassVar[str] = "A recorded experiment: a point gives what was measured there"
    params_schema: ClassVar[Json] = {
        "type": "object",
        "properties": {
            "file": {
                "title": "File",
                "description": "Recording in the neutral format",
                "type": "string",
                "format": "path",
            },
            "target": {"title": "Target", "description": "Ready scalar map instead of spectra", "type": "string"},
            "dwell_s": _number("Dwell", "Reported with every measurement (s)", 0.0),
            "dose_per_probe": _number("Dose", "Reported with every measurement (dose unit of the campaign)", 0.0),
            **_SHARED,
        },
        "required": ["file"],
        "additionalProperties": False,
    }

    def __init__(
        self,
        file: str,
        target: str | None = None,
        dwell_s: float = 0.0,
        dose_per_probe: float = 0.0,
        latency_s: float = 0.0,
        failure_rate: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Load the file; see RecordedMicroscope."""
        super().__init__(
            Recording.load(file),
            target=target,
            dwell_s=dwell_s,
            dose_per_probe=dose_per_probe,
            latency_s=latency_s,
            failure_rate=failure_rate,
            seed=seed,
        )


class TwinInstrument(Twin):
    """A simulated sample under a simulated microscope."""

    summary: ClassVar[str] = "A simulated sample with a known truth, measured now"
    params_schema: ClassVar[Json] = {
        "type": "object",
        "properties": {
            "scene": {"title": "Scene", "description": "Kind of sample", "type": "string", "enum": list(SCENES)},
            "size": {
                "title": "Size",
                "description": "Edge of the image (pixels)",
                "type": "integer",
                "default": 64,
                "minimum": MIN_SIZE,
                "maximum": MAX_SIZE,
            },
            "scene_seed": {"title": "Sample", "description": "Layout of the sample", "type": "integer", "minimum": 0},
            "dose": {**_number("Dose", "Exposure relative to the scene's own", 1.0), "exclusiveMinimum": 0},
            "outlier_rate": _number("Outliers", "Share of measurements 10 to 100 times too large (fraction)", 0.0, 1.0),
            **_SHARED,
        },
        "required": ["scene"],
        "additionalProperties": False,
    }

    def __init__(
        self,
        scene: str,
        size: int = 64,
        scene_seed: int = 0,
        dose: float = 1.0,
        outlier_rate: float = 0.0,
        latency_s: float = 0.0,
        failure_rate: float = 0.0,
        seed: int = 0,
    ) -> None:
        """Put a sample of that kind under the microscope; see Twin."""
        super().__init__(
            make_scene(scene, scene_seed, size),
            seed=seed,
            dose=dose,
            outlier_rate=outlier_rate,
            latency_s=latency_s,
            failure_rate=failure_rate,
        )
