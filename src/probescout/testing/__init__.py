"""Conformance suites and fakes for the authors of plug-ins and adapters."""
