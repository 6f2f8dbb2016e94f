"""The version, also where xaq is imported from a folder that is not installed."""

__version__ = "0.1.0"
