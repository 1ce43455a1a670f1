"""The page docs/benchmarks/latency.md from the result of the latency benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.latency_client import WARM_UP
from benchmarks.latency_figures import LAST
from benchmarks.markdown import machine, table

AIMS = {
    "4096": [("last_step_less_commit_ms_p50", 8.0), ("last_step_ms_p99", 50.0)],
    "65536": [("last_step_ms_p50", 40.0)],
    "1048576": [("last_step_ms_p50", 400.0)],
}
"""Largest allowed values, ms, over the last Steps."""

INTRODUCTION = """# Latency

Written by `make bench-tables` from the result of `make bench-latency`; do not edit. A real server and a client on
loopback, one durable Step (tell and suggest in one round trip, two synced commits) for each of {n} points, with a
spectrum of 1,024 counts; the first {warm_up} are left out. The last {last} Steps are told apart too, and the aims are
judged by them. Less commits means less the time of both, although the model works while the first one syncs. Steps
come as fast as the planner answers. Every other block of 15 waits for fits to end before each Step, so that Steps
beside a fit and without one are seen at the same numbers of observations; a fit takes processors away, which matters
more on few of them. Times are wall times at the client, in ms.

{machine}.
"""


def latency_page(told: Mapping[str, Any]) -> str:
    """Return the page.

    Args:
        told: The JSON of `benchmarks.latency`.
    """
    intro = INTRODUCTION.format(n=told["observations"], warm_up=WARM_UP, last=LAST, machine=machine(told))
    parts = [intro, _steps(told), "## Aims\n\n" + _aims(told), "## Growth\n\n" + _growth(told)]
    parts += ["## Memory after the run, MiB\n\n" + _memory(told), "## AtomAI\n\n" + _atomai(told)]
    return "\n".join(parts)


def _steps(told: Mapping[str, Any]) -> str:
    columns = {
        "Step p50": "step_ms_p50",
        "p99": "step_ms_p99",
        "less commits p50": "step_less_commit_ms_p50",
        "p99 ": "step_less_commit_ms_p99",
        "commits p50": "commit_ms_p50",
        "last Steps p50": "last_step_ms_p50",
        "p99    ": "last_step_ms_p99",
        "less commits p50 ": "last_step_less_commit_ms_p50",
        "beside a fit p50": "step_ms_beside_fit_p50",
        "p99  ": "step_ms_beside_fit_p99",
        "without p50": "step_ms_no_fit_p50",
        "p99   ": "step_ms_no_fit_p99",
        "p99 ratio": "p99_ratio_beside_fit",
        "first Step": "first_step_ms",
        "health p99": "health_ms_p99",
        "fits": "fits",
        "degraded": "n_degraded",
    }
    rows = [[f"{int(n):,}", *(row[c] for c in columns.values())] for n, row in told["latency"].items()]
    return table(["candidates", *columns], rows)


def _aims(told: Mapping[str, Any]) -> str:
    rows: list[list[Any]] = []
    for n, aims in AIMS.items():
        for name, most in aims:
            if n in told["latency"]:
                value = told["latency"][n][name]
                rows.append([f"{name} at {int(n):,} candidates", most, value, value <= most])
    for n, row in told["latency"].items():
        if (ratio := row["p99_ratio_beside_fit"]) is not None:
            rows.append([f"p99 beside a fit over p99 without, at {int(n):,}", 2.0, ratio, ratio <= 2.0])
    if (rss := told["rss_mib"].get("65536")) is not None:
        rows.append(["front + worker at 65,536, MiB", 500.0, rss["front_and_worker"], rss["front_and_worker"] < 500.0])
        rows.append(["fit pool at 65,536, MiB", 1228.8, rss["fit"], rss["fit"] < 1228.8])
    for what, most in (("candidates", 1.1), ("observations", 1.2)):
        found = (told["growth"][what] or {}).get("exponent")
        if found is not None:
            rows.append([f"exponent of Step time in {what}", most, found, found <= most])
    if told["atomai_ratio"] is not None:
        rows.append(["AtomAI's step over ours (at least)", 300.0, told["atomai_ratio"], told["atomai_ratio"] >= 300.0])
    return table(["what", "aim", "found", "met"], rows)


def _growth(told: Mapping[str, Any]) -> str:
    g = told["growth"]
    text = f"Step time less commits grows as candidates to the power {g['candidates']['exponent']}"
    if g["observations"]:
        o = g["observations"]
        text += f", and as observations to the power {o['exponent']} from 100 on, at {o['candidates']:,} candidates"
    return text + ".\n\n![Step time against candidates and observations](latency-growth.png)\n"


def _memory(told: Mapping[str, Any]) -> str:
    names = ("front", "worker", "front_and_worker", "spare", "fit")
    rows = [[f"{int(n):,}", *(row[name] for name in names)] for n, row in told["rss_mib"].items()]
    return table(["candidates", "front", "worker", "front + worker", "spare worker", "fit pool"], rows, 1)


def _atomai(told: Mapping[str, Any]) -> str:
    found = told.get("atomai")
    if not found or "ratio" not in found:
        return f"Not timed: {found['error'] if found else 'left out'}.\n"
    return (
        f"One step of its recipe (a new deep kernel, 100 cycles, prediction of {found['candidates']:,} candidates) "
        f"with {found['n']} measurements takes {found['step_s']:.2f} s of one processor on the same machine in the "
        f"same run: {found['ratio']:.0f} times our median Step.\n"
    )
