"""Which places lie in the sea, by the bundled coastline."""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from importlib.resources import files

import numpy as np
import shapely
from numpy.typing import NDArray

from ..arrays.longitudes import canonical
from ..arrays.sphere import EARTH_RADIUS_KM

#: Southern end of the coastline, degrees; farther south is the Antarctic ice sheet.
_SOUTH = -84.0


@lru_cache(maxsize=1)
def _land() -> shapely.STRtree:
    """Return the bundled land polygons in a search tree. Loaded once per process."""
    packed = (files("xaq") / "data" / "basemap.geojson.gz").read_bytes()
    features = json.loads(gzip.decompress(packed))["features"]
    coast = next(f["geometry"]["coordinates"] for f in features if f["properties"]["layer"] == "coastline")
    # Rings cut by the date line are open in the file; a polygon closes them along it.
    return shapely.STRtree([shapely.Polygon(line) for line in coast if len(line) > 3])


def at_sea(lon: NDArray, lat: NDArray, within_km: float) -> NDArray[np.bool_]:
    """Return which places lie in the sea, farther than ``within_km`` from the coast, ``(place,)`` bool.

    ``lon`` and ``lat`` are in degrees and finite. The coastline is Natural Earth 10m, simplified to 0.02 degrees (2 km);
    it lacks the smallest islands.
    """
    lon, lat = canonical(lon), np.asarray(lat, float)
    tree, points = _land(), shapely.points(lon, lat)
    wet = lat > _SOUTH
    wet[tree.query(points, predicate="within")[0]] = False
    # A degree of longitude shortens towards the poles, so the box that is searched widens.
    reach = np.degrees(within_km / EARTH_RADIUS_KM)
    east = reach / np.maximum(np.cos(np.radians(lat)), 0.01)
    for turn in (-360.0, 0.0, 360.0):  # the box of a place at the date line lies on both sides of it
        boxes = shapely.box(lon + turn - east, lat - reach, lon + turn + east, lat + reach)
        wet[np.flatnonzero(wet)[np.unique(tree.query(boxes[wet], predicate="intersects")[0])]] = False
    return wet
