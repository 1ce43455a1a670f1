"""Writes what came of a campaign file: report.json, and per region the formats that the file asks for."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from pathlib import Path
from typing import Any

from probescout.campaigns.results import ROW, Region, Report
from probescout.campaigns.rounds import round_name
from probescout.core.errors import InvalidInput, Reason
from probescout.store import durable

COLORS = {"mean": "viridis", "std": "cividis", "prior": "PuOr"}
TITLES = {"mean": "mean of the target", "std": "std of the target", "prior": "part of the mean from theory"}


def folder_of(report: Report) -> Path:
    """Return where the results of this time go."""
    return report.file.directory / "runs" / round_name(report.file.digest, report.key)


def write_outputs(report: Report, region: Region) -> list[Path]:
    """Write the report as it stands and the files of one region; return their paths.

    Every file is whole or not there: who looks at it in the night never reads half of it.

    Raises:
        InvalidInput: FILE_UNREADABLE when the folder cannot be written; the measurements are with the server all the
            same.
    """
    folder = folder_of(report)
    contents: dict[str, bytes] = {}
    formats = report.file.outputs.formats if region.rows else ()
    if "csv" in formats:
        contents[f"{region.name}.csv"] = _csv(region)
    if "netcdf" in formats:
        contents[f"{region.name}.nc"] = _netcdf(report, region)
    if "png" in formats and region.maps:
        contents[f"{region.name}.png"] = picture(region)
    about = {**report.to_json(), "campaign": report.file.to_json()}
    contents[f"report-{report.part}.json" if report.part else "report.json"] = (
        json.dumps(about, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            durable.write(folder / name, content, scratch=folder / f".{name}.{os.getpid()}.tmp")
    except OSError as error:
        raise InvalidInput(
            Reason.FILE_UNREADABLE,
            f"the results cannot be written to {folder} ({error}); the measurements are in the planner's journal: free "
            "the disk or give outputs.directory another place, and run the file again",
            field="outputs.directory",
        ) from error
    return [folder / name for name in contents]


def _csv(region: Region) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ROW, lineterminator="\n")
    writer.writeheader()
    for row in region.rows:
        writer.writerow({k: "" if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()})
    return text.getvalue().encode()


def _netcdf(report: Report, region: Region) -> bytes:
    """Return a NetCDF file: the observations (step,), and the maps (y, x) in fractions of the frame."""
    import numpy as np
    import xarray as xr

    variables: dict[str, Any] = {}
    for name in ROW:
        column = [row[name] for row in region.rows]
        kind = object if isinstance(column[0], str) else None
        variables[name] = ("step", np.array(column, dtype=kind), {"units": region.unit} if "target" in name else {})
    coordinates = {f"step_{name}": variables.pop(name) for name in ("y", "x")}
    for name, values in region.maps.items():
        if values.ndim == 2:
            variables[name] = (("y", "x"), values.astype(np.float32), {"units": region.unit})
            for dim, n in zip(("y", "x"), values.shape, strict=True):
                coordinates[dim] = ((dim,), (np.arange(n) + 0.5) / n, {"units": "1"})
    about = {"title": f"{report.file.campaign.name}: {region.name}", "report_json": json.dumps(report.to_json())}
    return bytes(xr.Dataset(variables, coordinates, about).to_netcdf(engine="h5netcdf"))


def picture(region: Region) -> bytes:
    """Return a PNG of the predicted map, its uncertainty, what simulations add to it, and the measured points."""
    from matplotlib.figure import Figure

    unit = f" ({region.unit})" if region.unit else ""
    figure = Figure(figsize=(4.5 * len(region.maps), 4.2), layout="constrained", dpi=100)
    figure.suptitle(f"{region.name}: {region.n_measured} points, {region.state}")
    frames = figure.subplots(1, len(region.maps), squeeze=False)[0]
    for axes, (name, values) in zip(frames, region.maps.items(), strict=True):
        if values.ndim != 2:
            axes.set_axis_off()
            continue
        shown = axes.imshow(values, extent=(0.0, 1.0, 1.0, 0.0), interpolation="nearest", cmap=COLORS[name])
        axes.plot([row["x"] for row in region.rows], [row["y"] for row in region.rows], "w.", ms=4, mec="k", mew=0.4)
        axes.set(title=f"{TITLES[name]}{unit}", xlabel="x (fraction)", ylabel="y (fraction)")
        figure.colorbar(shown, ax=axes, shrink=0.85)
    image = io.BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()
