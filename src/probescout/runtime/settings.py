"""Bounds and patience of the runtime."""

from __future__ import annotations

import os
from dataclasses import dataclass

LEAST_WORKERS, MOST_WORKERS = 4, 32
WORKER_BYTES = 1 << 30
"""Room for a campaign worker with its share of everything else; one of a megapixel frame takes half of it."""


@dataclass(frozen=True)
class Settings:
    """What an operator may tune; the defaults suit two cores."""

    max_workers: int = 4
    """Most campaign workers alive at once."""
    compute_budget_s: float = 2.0
    """How long a suggestion may take before it degrades, when the client does not say."""
    hang_s: float = 60.0
    """A worker that has not answered for so long is replaced."""
    fit_timeout_s: float = 180.0
    """A fit that takes longer is given up and its process replaced."""
    max_blob_bytes: int = 1 << 30
    """Largest blob taken."""
    max_inflight: int = 256
    """Most calls in progress; more are refused with QUEUE_FULL."""
    is_inline: bool = False
    """Run models and fits inside this process: for notebooks and tests."""
    is_fit_awaited: bool = False
    """Wait for a due fit before suggesting, so that a run can be repeated to the last digit."""
    theory_slots: int = 0
    """Most theory jobs that this process runs beside the campaigns; 0: none, others may take them."""
    theory_memory_bytes: int = 4 << 30
    """Address space of every process of a theory job."""


def workers_that_fit(memory_bytes: int = 0) -> int:
    """Return how many campaign workers a computer has room for, from 4 to 32.

    Args:
        memory_bytes: Its memory; 0: that of this computer.
    """
    memory = memory_bytes or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(max(memory // WORKER_BYTES, LEAST_WORKERS), MOST_WORKERS)
