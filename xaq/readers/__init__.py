"""Readers: tables and networks in, station datasets out."""

from .dispatch import open_stations

__all__ = ["open_stations"]
