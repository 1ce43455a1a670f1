"""Scalarizers: one file per descriptor, found through the entry-point group probescout.scalarizers."""
