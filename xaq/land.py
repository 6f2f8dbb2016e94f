"""Where the land is, from the bundled coastline: a station in the sea is a station at a wrong place."""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from importlib.resources import files

import numpy as np
import shapely
from numpy.typing import NDArray

from .sphere import EARTH_RADIUS_KM

#: The coastline ends here; what is farther south is the ice sheet.
_SOUTH = -84.0


@lru_cache(maxsize=1)
def _land() -> shapely.STRtree:
    """Return the bundled coastline as polygons in a search tree. Read once per process."""
    packed = (files("xaq") / "data" / "basemap.geojson.gz").read_bytes()
    features = json.loads(gzip.decompress(packed))["features"]
    coast = next(f["geometry"]["coordinates"] for f in features if f["properties"]["layer"] == "coastline")
    # Rings that the date line cuts are open in the file; a polygon closes them along it.
    return shapely.STRtree([shapely.Polygon(line) for line in coast if len(line) > 3])


def at_sea(lon: NDArray, lat: NDArray, within_km: float) -> NDArray[np.bool_]:
    """Mark places in the sea, farther than ``within_km`` from any coast; ``lon``, ``lat`` in degrees, finite.

    The coastline is Natural Earth 10m, simplified to 0.02 degrees (2 km), and lacks the smallest islands.
    """
    lon, lat = (np.asarray(lon, float) + 180) % 360 - 180, np.asarray(lat, float)
    tree, points = _land(), shapely.points(lon, lat)
    wet = lat > _SOUTH
    wet[tree.query(points, predicate="within")[0]] = False
    # Degrees of latitude are 111 km; those of longitude are stretched, so a box of the reach is searched.
    reach = np.degrees(within_km / EARTH_RADIUS_KM)
    east = reach / np.maximum(np.cos(np.radians(lat)), 0.01)
    boxes = shapely.box(lon - east, lat - reach, lon + east, lat + reach)
    wet[np.flatnonzero(wet)[np.unique(tree.query(boxes[wet], predicate="intersects")[0])]] = False
    return wet
