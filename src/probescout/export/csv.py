"""The table of steps as CSV, with a schema beside it that says what the columns are."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

STEP = "step"


class Csv:
    """One row a measurement; raw signals and the overview image are left out."""

    name = "csv"
    suffix = ".csv"
    summary = "the table of measurements as CSV, with names, units and descriptions as JSON beside it"
    has_maps = False

    def write(self, tree: xr.DataTree, path: Path) -> None:
        """Write PATH and PATH with .schema.json for its suffix."""
        table = tree["steps"].to_dataset()
        columns = [str(name) for name, v in table.variables.items() if v.dims == (STEP,)]
        columns.sort(key=lambda name: name not in table.coords)
        values = [table[name].values for name in columns]
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([STEP, *columns])
            writer.writerows([i, *map(_cell, row)] for i, row in enumerate(zip(*values, strict=True)))
        fields = [{"name": STEP, "type": "integer", "unit": "", "description": "number of the measurement, from 0"}]
        fields += [_field(name, table[name]) for name in columns]
        about = {"format": "probescout steps 1", "attributes": dict(tree.attrs), "fields": fields}
        text = json.dumps(about, indent=2, ensure_ascii=False, allow_nan=False, default=str)
        path.with_suffix(".schema.json").write_text(text + "\n", encoding="utf-8")


def _field(name: str, column: xr.DataArray) -> dict[str, str]:
    attrs = column.attrs
    told = [str(attrs[key]) for key in ("long_name", "comment") if key in attrs]
    kind = {"f": "number", "i": "integer", "u": "integer", "b": "boolean"}.get(column.dtype.kind, "string")
    return {"name": name, "type": kind, "unit": str(attrs.get("units", "")), "description": ", ".join(told)}


def _cell(value: Any) -> Any:
    """Return a cell: numbers to the last digit, and nothing for NaN."""
    plain = value.item() if hasattr(value, "item") else value
    return "" if isinstance(plain, float) and plain != plain else plain
