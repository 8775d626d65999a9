"""Benchmarks: they print tables and are never run by the tests. `python -m benchmarks --help`."""
