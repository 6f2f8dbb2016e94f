"""``xaq export``: a stored cube as netCDF or GeoTIFF."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import xarray as xr

from ..conventions import LAT, LON, TIME
from ..cube.calendar import local_times
from ..cube.provenance import provenance
from . import output, text
from .verb import Verb

_GEOTIFF = (".tif", ".tiff")
#: What missing cells hold in a GeoTIFF.
_NODATA = -9999
#: How the bands of a cube of periods are named; others by their time.
_WRITTEN = {"D": "%Y-%m-%d", "MS": "%Y-%m", "QS": "%Y-%m", "YS": "%Y"}


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("cube", help="Zarr store")
    parser.add_argument("--time", type=text.period, metavar="PERIOD", help=f"part to write: {text.TIME_HELP}")
    group = parser.add_argument_group("netCDF")
    group.add_argument("--unlimited", action="store_true", help="make time the record dimension")
    group.add_argument(
        "--attrs", metavar="NAME=TEXT,...", help="global attributes, such as institution='University of Somewhere'"
    )
    group = parser.add_argument_group("GeoTIFF")
    group.add_argument("--variable", metavar="NAME", help="variable to write, a band per time (default: the estimate)")
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="file to write: .nc, or .tif of one variable"
    )


def _run(a: argparse.Namespace) -> None:
    from ..cube.store import open_cube
    from ..export.netcdf import to_netcdf
    from ..stations.schema import select_period

    output.require_suffix(a.output, (".nc", *_GEOTIFF), "cube.nc")
    attrs = text.attributes(a.attrs)
    cube = open_cube(a.cube)
    zone = provenance(cube).get("tz") or "UTC"
    # A date is one of the periods' time zone, as in xaq plot.
    local = xr.Dataset({"index": (TIME, np.arange(cube.sizes[TIME]))}, {TIME: local_times(cube[TIME].values, zone)})
    cube = cube.isel({TIME: select_period(local, a.time)["index"].values})
    if Path(a.output).suffix.lower() in _GEOTIFF:
        if a.unlimited or attrs:
            raise output.usage(f"--unlimited and --attrs are for netCDF; fix: -o {Path(a.output).with_suffix('.nc')}")
        _write_geotiff(cube, a.variable, zone, a.output)
    else:
        if a.variable is not None:
            raise output.usage(f"--variable is for GeoTIFF; fix: -o {Path(a.output).with_suffix('.tif')}")
        to_netcdf(cube, a.output, attrs=attrs, unlimited=a.unlimited)
    print(f"{a.output}: {cube.attrs['title']} ({cube.sizes[TIME]} times)")


def _write_geotiff(cube: xr.Dataset, variable: str | None, zone: str, path: str) -> None:
    """Write the supported cells of a variable as a Cloud-Optimised GeoTIFF whose bands are named by their times."""
    import rioxarray  # noqa: F401 - registers .rio

    known = [str(name) for name, array in cube.data_vars.items() if array.dims == (TIME, LAT, LON)]
    name = variable or str(provenance(cube)["target"])
    if name not in known:
        raise output.usage(f"{name!r} is no variable of the cube with times; fix: --variable {known[0]}")
    values = cube[name].where(cube["supported"] == 1).sortby(LAT, ascending=False)
    written = _WRITTEN.get(provenance(cube).get("freq", ""), "%Y-%m-%dT%H:%MZ")
    values.attrs["long_name"] = local_times(cube[TIME].values, zone).strftime(written).tolist()
    with output.written(path, "-o"):
        values.rio.write_nodata(_NODATA, encoded=True).rio.to_raster(path, driver="COG", compress="deflate")


VERB = Verb(
    "export",
    "write a cube, or a part of it, as netCDF or GeoTIFF",
    "xaq export pm25.zarr --time 2017-01 --unlimited -o pm25.nc",
    _add,
    _run,
)
