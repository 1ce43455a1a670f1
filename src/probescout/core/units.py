"""Units of length as instruments write them."""

from __future__ import annotations

_METRES = {
    "m": 1.0, "meter": 1.0, "metre": 1.0, "meters": 1.0, "metres": 1.0,
    "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "micron": 1e-6, "microns": 1e-6, "micrometer": 1e-6,
    "nm": 1e-9, "nanometer": 1e-9, "å": 1e-10, "angstrom": 1e-10, "angstroms": 1e-10, "pm": 1e-12,
}  # fmt: skip


def metres_per(unit: str) -> float | None:
    """Return how many metres one `unit` is, or None when it is not a unit of length."""
    return _METRES.get(unit.strip().lower())
