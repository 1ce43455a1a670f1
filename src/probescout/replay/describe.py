"""What a recording or a signal of a file is, for a person and for a program."""

from __future__ import annotations

from typing import Any

import numpy as np

from probescout.core.spectra import Axis
from probescout.replay.readers import Signal
from probescout.replay.recording import Recording


def axis_json(axis: Axis) -> dict[str, Any]:
    """Return dimension, quantity, unit, length, and first and last coordinate."""
    return {
        "dim": axis.dim,
        "quantity": axis.quantity,
        "unit": axis.unit,
        "n": int(axis.values.size),
        "first": float(axis.values[0]),
        "last": float(axis.values[-1]),
        "min": float(axis.values.min()),
        "max": float(axis.values.max()),
    }


def axis_text(axis: Axis) -> str:
    """Return the range of an axis with its unit, for example "channel: energy 0 to 20.47 keV"."""
    quantity = f" {axis.quantity}" if axis.quantity and axis.quantity != axis.dim else ""
    return f"{axis.dim}:{quantity} {axis.values.min():.5g} to {axis.values.max():.5g} {axis.unit}".rstrip()


def signal_json(signal: Signal) -> dict[str, Any]:
    """Return what a signal of a file is, without reading its data."""
    return {
        "name": signal.name,
        "dims": list(signal.dims),
        "shape": list(signal.shape),
        "dtype": str(signal.data.dtype),
        "unit": signal.unit,
        "value_kind": signal.kind.value,
        "axes": [axis_json(a) for a in signal.axes],
        "n_recorded": None if signal.recorded is None else int(signal.recorded.sum()),
    }


def signal_line(signal: Signal) -> str:
    """Return one line about a signal of a file."""
    shape = ", ".join(f"{d} {n}" for d, n in zip(signal.dims, signal.shape, strict=True))
    axes = "; ".join(axis_text(a) for a in signal.axes if a.dim in signal.signal_dims)
    parts = [f"{signal.name}  ({shape})", str(signal.data.dtype), _kind_text(signal.unit, signal.kind.value), axes]
    if signal.recorded is not None:
        parts.append(f"{int(signal.recorded.sum())} of {signal.recorded.size} pixels recorded")
    return "  ".join(p for p in parts if p)


def recording_json(recording: Recording) -> dict[str, Any]:
    """Return what a recording holds, without reading its cube."""
    spectrum = None
    if recording.spectrum is not None:
        spectrum = {
            "dims": ["y", "x", *recording.spectrum_dims],
            "shape": list(recording.spectrum.shape),
            "dtype": str(recording.spectrum.dtype),
            "unit": recording.spectrum_unit,
            "value_kind": recording.spectrum_kind.value,
            "axes": [axis_json(a) for a in recording.axes],
        }
    return {
        "image": {
            "name": recording.image_name,
            "shape": list(recording.image.shape),
            "dtype": str(recording.image.dtype),
            "unit": recording.image_unit,
        },
        "spectrum": spectrum,
        "targets": {name: {"unit": recording.target_units.get(name, "")} for name in recording.targets},
        "pixel_size_m": recording.pixel_size_m,
        "n_pixels": int(np.prod(recording.shape)),
        "n_recorded": int(recording.recorded.sum()),
        "attrs": dict(recording.attrs),
    }


def recording_lines(recording: Recording) -> list[str]:
    """Return a few lines about a recording, without reading its cube."""
    image = f"image     '{recording.image_name}' {recording.image.shape} {recording.image.dtype}"
    derived = recording.attrs.get("image_derived_from")
    lines = [f"{image}, derived: {derived}" if derived else image]
    if recording.spectrum is not None:
        kind = _kind_text(recording.spectrum_unit, recording.spectrum_kind.value)
        dims = ", ".join(("y", "x", *recording.spectrum_dims))
        lines.append(f"spectrum  ({dims}) {recording.spectrum.shape} {recording.spectrum.dtype} {kind}".rstrip())
        lines += [f"          {axis_text(a)}" for a in recording.axes]
    for name in recording.targets:
        unit = recording.target_units.get(name, "")
        lines.append(f"target    '{name}' {recording.shape} {unit}".rstrip())
    size = recording.pixel_size_m
    lines.append("pixel     size unknown" if size is None else f"pixel     {size:.4g} m")
    n_pixels = int(np.prod(recording.shape))
    lines.append(f"recorded  {int(recording.recorded.sum())} of {n_pixels} pixels")
    return lines


def _kind_text(unit: str, kind: str) -> str:
    known = "" if kind == "unknown" or kind == unit else kind
    return ", ".join(t for t in (unit, known) if t)
