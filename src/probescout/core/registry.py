"""Plug-ins by entry-point name, from what is installed and from nowhere else."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from probescout.core.errors import InvalidInput, Reason

SCALARIZERS = "probescout.scalarizers"
PLANNERS = "probescout.planners"
THEORY = "probescout.theory"
INSTRUMENTS = "probescout.instruments"


@dataclass(frozen=True)
class PluginInfo:
    """An installed plug-in, loaded only when asked."""

    group: str
    name: str
    distribution: str
    version: str
    entry: EntryPoint

    def load(self) -> Any:
        """Import and return the plug-in class.

        Raises:
            InvalidInput: PLUGIN_BROKEN when its import fails.
        """
        try:
            return self.entry.load()
        except Exception as error:
            raise InvalidInput(
                Reason.PLUGIN_BROKEN,
                f"plug-in '{self.name}' of {self.distribution} {self.version} cannot be imported: {error!r}; "
                "reinstall that distribution",
                field="name",
            ) from error


def installed(group: str) -> Iterator[PluginInfo]:
    """Yield the installed plug-ins of an entry-point group, by name."""
    for entry in sorted(entry_points(group=group), key=lambda e: e.name):
        dist = entry.dist
        yield PluginInfo(group, entry.name, dist.name if dist else "", dist.version if dist else "", entry)


def find(group: str, name: str, *, field: str = "name") -> PluginInfo:
    """Return the plug-in of that name.

    Raises:
        InvalidInput: PLUGIN_UNKNOWN with the nearest names.
    """
    known = {info.name: info for info in installed(group)}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    what = group.rsplit(".", 1)[-1].rstrip("s")
    raise InvalidInput(
        Reason.PLUGIN_UNKNOWN,
        f"no {what} named '{name}' is installed; {hint}installed: {', '.join(known)}",
        field=field,
    )
