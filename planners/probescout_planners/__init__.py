"""Planners: one file per policy, found through the entry-point group probescout.planners."""
