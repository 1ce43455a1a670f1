"""A plug-in as a spec names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class PluginSpec:
    """A plug-in by name with its parameters."""

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
