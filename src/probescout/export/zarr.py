"""The whole tree in one Zarr store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from probescout.export.port import missing

if TYPE_CHECKING:
    import xarray as xr


class Zarr:
    """Zarr, version 3 of the format, without consolidated metadata, which that version does not define."""

    name = "zarr"
    suffix = ".zarr"
    summary = "the whole campaign in one Zarr 3 store, groups as in the tree"
    has_maps = True

    def write(self, tree: xr.DataTree, path: Path) -> None:
        """Write the tree.

        Raises:
            MissingExtra: MISSING_EXTRA with the install line.
        """
        try:
            import zarr  # noqa: F401
        except ImportError as error:
            raise missing("zarr", self.name) from error
        tree.to_zarr(path, mode="w-", zarr_format=3, consolidated=False)
