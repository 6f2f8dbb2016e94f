"""Maps of the field, of the stations and of the errors; series at one station. Needs no network."""

from .basemap import draw as draw_basemap
from .maps import errors, map  # noqa: A004 - a user writes xaq.plot.map
from .series import series

__all__ = ["draw_basemap", "errors", "map", "series"]
