"""Benchmarks: separate from the tests, each prints one JSON object on its last line."""
