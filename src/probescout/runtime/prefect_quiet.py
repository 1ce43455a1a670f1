"""What we ask of Prefect where nobody has asked otherwise; it reads its settings when it is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping

QUIET: Mapping[str, str] = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}
"""No telemetry, and time to start."""


def set_quiet(more: Mapping[str, str] = QUIET) -> None:
    """Put settings into the environment of this process, where it has none."""
    for name, value in more.items():
        os.environ.setdefault(name, value)
