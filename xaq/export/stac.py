"""A stored cube as a STAC Collection, with the extensions datacube, projection and CF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import zarr

from .._arguments import check_text
from ..conventions import LAT, LON, MEMBER, TIME
from ..cube.calendar import DURATIONS
from ..cube.geozarr import CRS_CODE, affine, bbox
from ..cube.location import StoreLike, Target, plain, resolve
from ..cube.provenance import provenance
from ..cube.store import open_cube, store_errors
from ..errors import StoreError

VERSION = "1.1.0"
EXTENSIONS = [
    "https://stac-extensions.github.io/datacube/v2.2.0/schema.json",
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/cf/v0.2.0/schema.json",
]
#: The dimension of bounds, which is none of a data cube.
_BOUNDS = "bnds"
_AXES = {LON: "x", LAT: "y"}


def stac(
    store: StoreLike,
    *,
    id: str | None = None,  # noqa: A002
    href: str | None = None,
    license: str | None = None,  # noqa: A002
) -> dict[str, Any]:
    """Return a stored cube as a STAC Collection, so that catalogues can list it.

    Parameters
    ----------
    store : path, URL or zarr.abc.store.Store
        Of a complete cube, as it was given to :func:`xaq.reanalyze`.
    id : str, optional
        Of the collection; by default the name of the store without its ending.
    href : str, optional
        Where the store is published. By default the URL, or ``"./pm25.zarr"``, which is right for a file beside the store;
        required for a store object.
    license : str, optional
        An SPDX identifier such as ``"CC-BY-4.0"``, or the address of a text; ``"other"`` by default.

    Returns
    -------
    dict
        STAC 1.1.0, ready for ``json.dumps``: bounding box and period of the cells' and times' bounds, UTC; dimensions and
        variables with units (extension datacube), CRS, transform and shape (projection), CF standard names (CF), keywords
        and the store as an asset. Reads metadata, coordinates and bounds.

    Raises
    ------
    SchemaError
        An argument is no text.
    StoreError
        There is no complete cube, or the store has no address and none is given.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=12, days=2)
    >>> cube = ds.aq.reanalyze("idw", grid=0.5, store="idw.zarr", progress=False, overwrite=True)
    >>> collection = xaq.stac("idw.zarr", license="CC-BY-4.0")
    >>> collection["id"], collection["extent"]["temporal"]["interval"]
    ('idw', [['2020-01-01T00:00:00Z', '2020-01-03T00:00:00Z']])
    """
    given = {"id": id, "href": href, "license": license}
    examples = {"id": "pm25", "href": "https://example.org/pm25.zarr", "license": "CC-BY-4.0"}
    for name, value in given.items():
        if value is not None:
            check_text(value, name, "a text, or None", fix=f"{name}={examples[name]!r}")
    cube, target = open_cube(store), resolve(store)
    address = href or _address(target)
    title = str(cube.attrs["title"])
    linked = license is not None and "://" in license
    producer = [{"name": cube.attrs["institution"], "roles": ["producer"]}] if "institution" in cube.attrs else []
    return {
        "type": "Collection",
        "stac_version": VERSION,
        "stac_extensions": EXTENSIONS,
        "id": id or address.rstrip("/").rsplit("/", 1)[-1].removesuffix(".zarr"),
        "title": title,
        "description": str(cube.attrs.get("summary", title)),
        "license": "other" if linked or license is None else license,
        "keywords": _keywords(cube),
        **({"providers": producer} if producer else {}),
        "extent": {"spatial": {"bbox": [_geographic(bbox(cube))]}, "temporal": {"interval": [_period(cube)]}},
        # Without a field of CF in the summaries its schema refuses them: both of its alternatives would hold.
        "summaries": {"proj:code": [CRS_CODE], "cf:parameter": _parameters(cube)},
        "cube:dimensions": {str(d): _dimension(cube, str(d)) for d in cube.dims if d != _BOUNDS},
        "cube:variables": {str(name): _variable(v) for name, v in cube.data_vars.items()},
        "links": [{"rel": "license", "href": license}] if linked else [],
        "assets": {"zarr": _asset(cube, target, address)},
    }


def _address(target: Target) -> str:
    if isinstance(target, Path):
        return f"./{target.name}"
    if isinstance(target, str):
        return target
    raise StoreError(f"a {type(target).__name__} has no address; fix: href='https://example.org/pm25.zarr'")


def _keywords(cube: xr.Dataset) -> list[str]:
    """Return words to find the cube by: its subject and the standard names of its variables."""
    names = [v.attrs["standard_name"] for v in cube.data_vars.values() if "standard_name" in v.attrs]
    return ["air quality", *dict.fromkeys(map(str, names))]


def _geographic(edges: list[float]) -> list[float]:
    """Return a bounding box with longitudes within -180 .. 180; west above east where it crosses 180 degrees."""
    west, south, east, north = edges
    if east - west >= 360.0:
        return [-180.0, south, 180.0, north]
    west, east = (round((lon + 180.0) % 360.0 - 180.0, 12) for lon in (west, east))
    # An eastern edge at 180 degrees stays there.
    return [west, south, 180.0 if east == -180.0 else east, north]


def _period(cube: xr.Dataset) -> list[str]:
    bounds = cube["time_bnds"].values
    return [_utc(bounds.min()), _utc(bounds.max())]


def _utc(time: Any) -> str:
    return f"{np.datetime64(time, 's')}Z"


def _dimension(cube: xr.Dataset, name: str) -> dict[str, Any]:
    """Return a dimension of the datacube extension."""
    values = cube[name].values
    if name == MEMBER:
        return {"type": "realization", "values": values.tolist()}
    if name == TIME:
        step = _step(cube)
        times = {"type": "temporal", "extent": [_utc(values[0]), _utc(values[-1])]}
        return {**times, "step": step} if step else {**times, "values": [_utc(t) for t in values]}
    place = {"type": "spatial", "axis": _AXES[name], "reference_system": int(CRS_CODE.split(":")[1])}
    extent = {"extent": [float(values.min()), float(values.max())]}
    transform = affine(cube)
    if transform is None:
        return {**place, **extent, "values": values.tolist()}
    return {**place, **extent, "step": abs(transform[0 if name == LON else 4])}


def _step(cube: xr.Dataset) -> str | None:
    """Return the step in time as an ISO 8601 duration; None where times are uneven, or one."""
    made = provenance(cube)
    if made.get("freq") in DURATIONS and made["tz"] in (None, "UTC"):
        return DURATIONS[made["freq"]]
    steps = np.unique(np.diff(cube[TIME].values))
    return pd.Timedelta(steps[0]).isoformat() if len(steps) == 1 else None


def _variable(variable: xr.DataArray) -> dict[str, Any]:
    """Return a variable of the datacube extension."""
    described = {"unit": "units", "description": "long_name"}
    said = {key: str(variable.attrs[name]) for key, name in described.items() if name in variable.attrs}
    return {"type": "data", "dimensions": [str(d) for d in variable.dims], **said}


def _asset(cube: xr.Dataset, target: Target, address: str) -> dict[str, Any]:
    """Return the store as an asset, with the fields of the extensions projection and CF."""
    with store_errors(target):
        zarr_format = zarr.open_group(plain(target), mode="r").metadata.zarr_format
    transform = affine(cube)
    return {
        "href": address,
        "type": f"application/vnd.zarr; version={zarr_format}",
        "title": "the cube",
        "roles": ["data"],
        "proj:code": CRS_CODE,
        "proj:bbox": bbox(cube),
        "proj:shape": [cube.sizes[LAT], cube.sizes[LON]],
        **({"proj:transform": transform} if transform is not None else {}),
        "cf:parameter": _parameters(cube),
    }


def _parameters(cube: xr.Dataset) -> list[dict[str, str]]:
    """Return the standard names of the variables and their units, as the extension CF has them."""
    names = {
        str(v.attrs["standard_name"]): {"name": str(v.attrs["standard_name"]), "unit": str(v.attrs.get("units", "1"))}
        for v in cube.data_vars.values()
        if "standard_name" in v.attrs
    }
    return list(names.values())
