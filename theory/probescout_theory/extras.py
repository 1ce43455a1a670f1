"""Optional packages, loaded where they are first needed."""

from __future__ import annotations

import importlib
from typing import Any

from probescout.core.errors import MissingExtra, Reason


def load(module: str, extra: str = "theory") -> Any:
    """Return a module of an extra.

    Args:
        module: Dotted name.
        extra: Of this distribution, that brings it.

    Raises:
        MissingExtra: MISSING_EXTRA with the install line.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtra(
            Reason.MISSING_EXTRA,
            f'theory needs {module.partition(".")[0]}, which is not installed; run: pip install "probescout[{extra}]"',
            field="module",
        ) from error
