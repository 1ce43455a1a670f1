"""Writes docs/benchmarks from the latest results: `make bench-tables`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.latency_page import latency_page
from benchmarks.plots import plot_coverage, plot_found, plot_growth
from benchmarks.quality_page import quality_page
from benchmarks.recorded import OUT, ROOT
from benchmarks.runs import digest_of_sources

DOCS = ROOT / "docs" / "benchmarks"


def main(arguments: list[str] | None = None) -> None:
    """Write the pages of those results that are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quality", type=Path, default=OUT / "quality.json")
    parser.add_argument("--latency", type=Path, default=OUT / "latency.json")
    parser.add_argument("--docs", type=Path, default=DOCS)
    args = parser.parse_args(arguments)
    args.docs.mkdir(parents=True, exist_ok=True)
    if not args.quality.exists() and not args.latency.exists():
        sys.exit(f"error: neither {args.quality} nor {args.latency} is there; run make bench-quality or bench-latency")
    if args.quality.exists():
        told = json.loads(args.quality.read_text(encoding="utf-8"))
        if told["sources"] != digest_of_sources():
            print(f"warning: {args.quality} is of other sources than these; run make bench-quality", file=sys.stderr)
        (args.docs / "quality.md").write_text(quality_page(told), encoding="utf-8")
        plot_found(told, args.docs / "quality-found.png")
        plot_coverage(told, args.docs / "quality-coverage.png")
    if args.latency.exists():
        told = json.loads(args.latency.read_text(encoding="utf-8"))
        (args.docs / "latency.md").write_text(latency_page(told), encoding="utf-8")
        plot_growth(told, args.docs / "latency-growth.png")


if __name__ == "__main__":
    main()
