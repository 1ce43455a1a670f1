"""The whole tree in one NetCDF 4 file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr


class NetCdf:
    """NetCDF 4 by h5netcdf; xarray, and every other reader of NetCDF or HDF5, opens it."""

    name = "netcdf"
    suffix = ".nc"
    summary = "the whole campaign in one NetCDF 4 file, groups as in the tree"
    has_maps = True

    def write(self, tree: xr.DataTree, path: Path) -> None:
        """Write the tree."""
        tree.to_netcdf(path, engine="h5netcdf")
