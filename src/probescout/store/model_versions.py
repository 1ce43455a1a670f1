"""What the registry of models says of a model: its versions, which of them is current, and what was done."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from probescout.core.errors import InvalidInput, NotFound, Reason
from probescout.core.specs import checked_id

_REFERENCE = re.compile(r"([^@]*)(?:@([1-9][0-9]{0,8}))?")


@dataclass(frozen=True)
class Version:
    """One version of a model."""

    number: int
    digest: str
    """Hex SHA-256 of the file."""
    size_bytes: int
    registered_time: float
    """Seconds since 1970-01-01 UTC."""
    about: Mapping[str, Any]
    """What the file's header says of schema, lineage and metrics."""
    note: str = ""


@dataclass(frozen=True)
class Act:
    """One line of the log of a model."""

    time: float
    what: str
    """register, promote or rollback."""
    version: int
    reason: str = ""


@dataclass(frozen=True)
class Entry:
    """All versions of one model."""

    name: str
    versions: tuple[Version, ...]
    """Numbered from 1; none is ever removed."""
    promoted: tuple[int, ...] = ()
    """Versions that were promoted and not rolled back, the current one last."""
    log: tuple[Act, ...] = ()

    @property
    def current(self) -> int:
        """Number of the current version; 0: none was promoted."""
        return self.promoted[-1] if self.promoted else 0

    def version(self, number: int) -> Version:
        """Return a version.

        Raises:
            NotFound: MODEL_NOT_FOUND.
        """
        if not 1 <= number <= len(self.versions):
            raise NotFound(
                Reason.MODEL_NOT_FOUND,
                f"model '{self.name}' has versions 1 to {len(self.versions)}, not {number}",
                field="model",
            )
        return self.versions[number - 1]


def parse_reference(text: str, *, field: str = "model") -> tuple[str, int]:
    """Return name and version of NAME@VERSION; version 0 for NAME alone, which means the current one.

    Raises:
        InvalidInput: ID_INVALID.
    """
    matched = _REFERENCE.fullmatch(text)
    if matched is None:
        raise InvalidInput(
            Reason.ID_INVALID, f"'{text[:80]}' names no model; give NAME or NAME@VERSION, as in steel@2", field=field
        )
    return checked_id(matched[1], field=field), int(matched[2] or 0)
