"""Markdown tables of benchmark results."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

Cell = str | float | int | bool | None


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]], digits: int = 2) -> str:
    """Return a Markdown table; numbers with that many digits, what is missing as a dash."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(cell(value, digits) for value in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def cell(value: Cell, digits: int = 2) -> str:
    """Return the text of one value."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, float):
        return f"{value:.{digits}f}"
    return str(value)


def interval(mean: float | None, ends: Sequence[float | None], digits: int = 1) -> str:
    """Return "mean [low, high]"."""
    if mean is None:
        return "-"
    if any(end is None for end in ends):
        return f"{mean:.{digits}f}"
    low, high = (f"{end:.{digits}f}" for end in ends if end is not None)
    return f"{mean:.{digits}f} [{low}, {high}]"


def machine(told: Mapping[str, Any]) -> str:
    """Return the machine of a result in words."""
    m = told["machine"]
    return f"{m['cpus']} processors, Python {m['python']}, {m['system']}"


def this_machine() -> dict[str, Any]:
    """Return what a result tells of the machine that it was made on."""
    system = f"{platform.system()} {platform.machine()}"
    return {"cpus": os.cpu_count(), "python": platform.python_version(), "system": system}


def seeds_text(seeds: Sequence[int]) -> str:
    """Return seeds as a range where they are one."""
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]}-{seeds[-1]}"
    return ", ".join(str(s) for s in seeds)
