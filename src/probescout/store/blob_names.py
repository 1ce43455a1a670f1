"""How a blob is named in messages and events: blobs/sha256-{hex}."""

from __future__ import annotations

import re

from probescout.core.errors import InvalidInput, Reason

NAME_PREFIX = "blobs/sha256-"
NAME_ANYWHERE = re.compile(re.escape(NAME_PREFIX) + r"([0-9a-f]{64})")

_HEX = re.compile(r"[0-9a-f]{64}")


def blob_name(digest: str) -> str:
    """Return the resource name of a blob."""
    return NAME_PREFIX + digest


def is_digest(text: str) -> bool:
    """Return whether this is a hex SHA-256; nothing else may become part of a path."""
    return _HEX.fullmatch(text) is not None


def digest_of(name: str, *, field: str = "name") -> str:
    """Return the digest in the resource name of a blob.

    Raises:
        InvalidInput: ID_INVALID when it is no such name.
    """
    digest = name.removeprefix(NAME_PREFIX)
    if not (name.startswith(NAME_PREFIX) and is_digest(digest)):
        message = f"{name[:100]!r} is not the name of a blob; give {NAME_PREFIX} and 64 characters of 0-9 a-f"
        raise InvalidInput(Reason.ID_INVALID, message, field=field)
    return digest
