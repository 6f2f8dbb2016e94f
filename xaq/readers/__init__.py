"""Readers: tables and networks in, station datasets out."""

from .dispatch import FORMATS, open_stations

__all__ = ["FORMATS", "open_stations"]
