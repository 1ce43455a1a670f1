"""Recorded and simulated microscopes behind the port of a real one, and experiments run on them."""
