"""Measurements. Run as modules: ``python -m benchmarks.accuracy``."""
