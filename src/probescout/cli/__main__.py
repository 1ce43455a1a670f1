"""Lets `python -m probescout.cli` run the command line."""

from probescout.cli.main import run

run()
