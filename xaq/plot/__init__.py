"""Figures of fields, stations, errors, series and scores, moving and interactive maps. Needs no network."""

from .attention import attention
from .basemap import draw as draw_basemap
from .explanation import explanation
from .maps import compare, map, panels, width  # noqa: A004 - a user writes xaq.plot.map
from .moving import Explorer, animation, explore
from .places import errors, stations
from .scores import reliability, skill, table
from .series import hours, series

__all__ = [
    "Explorer",
    "animation",
    "attention",
    "compare",
    "draw_basemap",
    "errors",
    "explanation",
    "explore",
    "hours",
    "map",
    "panels",
    "reliability",
    "series",
    "skill",
    "stations",
    "table",
    "width",
]
