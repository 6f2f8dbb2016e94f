"""Maps of the field, of the stations and of the errors, and of one estimate explained; series at one station. Needs no network."""

from .basemap import draw as draw_basemap
from .explanation import explanation
from .maps import errors, map  # noqa: A004 - a user writes xaq.plot.map
from .series import series

__all__ = ["draw_basemap", "errors", "explanation", "map", "series"]
