"""Suites: cases, arms and seeds as one file, run in parallel, resumed after a kill, and compared."""
