"""Figures of cubes, stations, errors, series and scores; animations and interactive maps. No network is needed.

In: a station dataset, and a cube, a mapper or a table of scores. Out: the Matplotlib axes drawn on; nothing is shown.
"""

from .attention import attention
from .basemap import draw as draw_basemap
from .error_covariance import error_covariance
from .explanation import explanation
from .held_out import errors
from .maps import map, width  # noqa: A004 - users write xaq.plot.map
from .means import reliability_of_means
from .moving import Explorer, animation, explore
from .network import stations
from .panels import compare, panels
from .scores import reliability, skill, table
from .series import hours, series

__all__ = [
    "Explorer",
    "animation",
    "attention",
    "compare",
    "draw_basemap",
    "error_covariance",
    "errors",
    "explanation",
    "explore",
    "hours",
    "map",
    "panels",
    "reliability",
    "reliability_of_means",
    "series",
    "skill",
    "stations",
    "table",
    "width",
]
