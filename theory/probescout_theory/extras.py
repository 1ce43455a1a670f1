"""Optional packages, loaded where they are first needed."""

from __future__ import annotations

import importlib
from typing import Any

from probescout.core.errors import MissingExtra, Reason


def load(module: str) -> Any:
    """Return a module of the extra `theory`.

    Raises:
        MissingExtra: MISSING_EXTRA with the install line.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            Reason.MISSING_EXTRA,
            f"structures need {module.partition('.')[0]}, which is not installed; run: "
            'pip install "probescout[theory]"',
            field="module",
        ) from error
