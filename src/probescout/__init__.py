"""Probescout: the planner that tells a microscope where to measure next."""

__version__ = "0.1.0"
