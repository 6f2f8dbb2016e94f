"""The forms in which gridded fields are downloaded: how each is recognised, and what makes of it a field as xaq reads it.

A form knows one family of files. What all share (one lead of each time, axes, names and units) is done after it, by
:func:`settled` for files and by :func:`readable` for what a user has opened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
import xarray as xr

from ..conventions import LAT, LON
from ..stations import schema
from . import cams_europe, ecmwf, field_units, ioapi, model_grid, nasa, wrf
from .bounds import at_start
from .combine import combined
from .forecasts import take_lead
from .settle import settle_axes

#: Begins what ``history`` says of a field that has been normalised.
_RECORDED = "xaq open_field:"


@dataclass(frozen=True)
class Form:
    """A form of gridded files.

    Attributes
    ----------
    name : str
        What ``history`` calls it.
    recognise : callable
        Whether a dataset as :func:`xarray.open_dataset` returns it has this form. Looks at metadata only.
    normalise : callable
        Returns such a dataset with a coordinate ``time`` (UTC, the start of each interval), or without one where it is
        static, and with axes that :class:`xaq.fields.gridded.Gridded` reads. A time may occur several times where a
        coordinate ``forecast_period(time)`` tells the leads apart. Lazy.
    dated : callable, optional
        Returns a normalised dataset of a file without a time with the date that the file states. What a user has opened
        and passes to a verb stays static.
    """

    name: str
    recognise: Callable[[xr.Dataset], bool]
    normalise: Callable[[xr.Dataset], xr.Dataset]
    dated: Callable[[xr.Dataset], xr.Dataset] | None = None


#: All forms; the first that recognises a dataset is taken. A module per family has the two functions of each.
FORMS: tuple[Form, ...] = (
    # Before the data stores of ECMWF: CMAQ writes "m**3" in its units, as they do.
    Form("CMAQ or another I/O API file", ioapi.recognise, ioapi.normalise),
    Form("WRF or CHIMERE", wrf.recognise, wrf.normalise),
    Form("CAMS Europe", cams_europe.recognise, cams_europe.normalise),
    Form("ECMWF data store or GRIB", ecmwf.recognise, ecmwf.normalise),
    Form("MERRA-2 or GEOS", nasa.recognise_merra, nasa.normalise_merra),
    Form("level-3 product", nasa.recognise_level3, nasa.normalise_level3, nasa.with_day),
    Form("curvilinear", model_grid.is_two_dimensional, model_grid.places_as_coordinates),
)


def form_of(ds: xr.Dataset) -> Form | None:
    """Return the form of a dataset; None where it has none of the known ones, or has been normalised."""
    histories = [ds.attrs.get("history", ""), *(v.attrs.get("history", "") for v in ds.data_vars.values())]
    if any(_RECORDED in str(history) for history in histories):
        return None
    return next((form for form in FORMS if form.recognise(ds)), None)


def settled(ds: xr.Dataset, *, is_file: bool = False) -> xr.Dataset:
    """Return the fields of a dataset on settled axes, by its form where it has one; times may have several leads. Lazy.

    ``is_file`` is whether the dataset is a whole file, whose date may become its time.
    """
    form = form_of(ds)
    if form is None:
        return settle_axes(ds)
    made = form.normalise(ds)
    if is_file and form.dated is not None:
        made = form.dated(made)
    return settle_axes(made).pipe(_recorded, form.name)


def completed(ds: xr.Dataset, lead: pd.Timedelta | None = None) -> xr.Dataset:
    """Return settled fields with each time once, and with xaq's names and units, or raise where they are packed. Lazy."""
    for array in ds.data_vars.values():
        field_units.check_unpacked(array, "gridded field")
    return field_units.convert(take_lead(ds, lead))


def readable(field: xr.DataArray | xr.Dataset, name: str | None = None) -> xr.DataArray | xr.Dataset:
    """Return what a user has opened as xaq reads it; unchanged where it has none of the known forms and no bounds of time. Lazy.

    An array keeps its name. Of a dataset, ``name`` chooses a variable by its name here or in its file.
    """
    if isinstance(field, xr.DataArray):
        ds = as_dataset(field)
    elif isinstance(field, xr.Dataset):
        ds = field
        if name in field.data_vars:
            kept = {name, *_state_of_air(field, str(name))}
            ds = field.drop_vars([n for n in on_degrees(field) if n not in kept])
    else:
        return field
    if form_of(ds) is None:
        # An array has lost its bounds.
        return at_start(field) if isinstance(field, xr.Dataset) else field
    made = completed(combined([settled(ds)]))
    if not made.data_vars:
        return field  # a row, a point: the caller says what is missing
    if isinstance(field, xr.DataArray):
        (array,) = made.data_vars.values()
        return array.rename(field.name).assign_attrs(history=made.attrs["history"])
    return made


def as_dataset(field: xr.DataArray) -> xr.Dataset:
    """Return an array as a dataset of one variable."""
    return field.to_dataset(name="field" if field.name is None or field.name in field.coords else field.name)


def on_degrees(ds: xr.Dataset) -> list[str]:
    """Return the variables on one-dimensional axes of longitude and latitude; of other grids each variable may be needed."""
    coords = ds.coords.to_dataset()
    axes = [schema.find_role(coords, role) for role in (LON, LAT)]
    if any(axis not in ds.coords or ds[axis].ndim != 1 for axis in axes):
        return []
    dims = {ds[axis].dims[0] for axis in axes}
    return [str(n) for n, v in ds.data_vars.items() if dims <= {*v.dims}]


def find_variable(ds: xr.Dataset, name: str) -> str | None:
    """Return the variable of completed fields of this name, here or in its file; None where there is none."""
    if name in ds.data_vars:
        return name
    originals = {v.attrs.get("original_name"): str(n) for n, v in ds.data_vars.items()}
    return originals.get(name) or next((str(n) for n in ds.data_vars if n == field_units.field_name(name)), None)


def _state_of_air(ds: xr.Dataset, name: str) -> list[str]:
    """Return the variables beside a variable that its conversion needs."""
    if not field_units.needs_air(ds, name):
        return []
    return [n for n in (*field_units.PRESSURE, *field_units.TEMPERATURE) if n in ds.data_vars and n != name]


def _recorded(ds: xr.Dataset, name: str) -> xr.Dataset:
    """Return a dataset whose history says of which form it was, before what was done."""
    lines = str(ds.attrs.get("history", "")).split("\n") if ds.attrs.get("history") else []
    first = next((i for i, line in enumerate(lines) if line.startswith(_RECORDED)), len(lines))
    lines.insert(first, f"{_RECORDED} form {name}")
    return ds.assign_attrs(history="\n".join(lines))
