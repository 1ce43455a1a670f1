"""Campaigns in open formats: one xarray DataTree, and an exporter a format."""

from probescout.export.tree import campaign_tree
from probescout.export.writing import EXPORTERS, read, write

__all__ = ["EXPORTERS", "campaign_tree", "read", "write"]
