"""Names and units of gridded fields in xaq's spelling, by name: pollutants in ``ug m-3`` or as mole fractions."""

from __future__ import annotations

import re

import numpy as np
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr

from ..conventions import MASS_UNITS, POLLUTANTS, canonical_name, canonical_units, cf_attrs, plain_text
from ..errors import SchemaError
from ..stations import schema
from .levels import level_pressure, without_marks

#: Names of pollutants in files of models, beside :data:`xaq.conventions.ALIASES`.
_NAMES = {"go3": "o3", "so2smass": "so2", "cosc": "co"}
#: Other concentrations in mass by name: components of aerosol in MERRA-2.
_AEROSOL = frozenset(["BCSMASS", "OCSMASS", "DUSMASS", "DUSMASS25", "SSSMASS", "SSSMASS25", "SO4SMASS", "DMSSMASS"])
#: New units and the factor to them.
_CONVERSIONS = {"kg m-3": (MASS_UNITS, 1e9), "g m-3": (MASS_UNITS, 1e6), "mol mol-1": ("1e-9", 1e9)}
_SPELLINGS = {"~": "1", "(0 - 1)": "1", "dimensionless": "1"}
#: Names of surface pressure (Pa) and temperature (K), the first that a file has.
PRESSURE, TEMPERATURE = ("sp", "PS", "PSFC"), ("t", "t2m", "2t", "T2M", "T2")
#: Attributes that say which number is missing, as rioxarray reads them.
_NODATA = ("_FillValue", "missing_value", "fill_value", "nodata")
#: Attributes by which numbers are packed, and what they are where they change nothing.
_PACKING = {"scale_factor": 1, "add_offset": 0}
#: J kg-1 K-1 of dry air.
_DRY_AIR = 287.05


def field_name(name: str) -> str:
    """Return xaq's name of a variable of a model: ``"pm2p5_conc"`` -> ``"pm25"``; others as they are."""
    key = re.sub(r"_conc$", "", name.lower())
    known = _NAMES.get(key, canonical_name(key))
    return known if known in POLLUTANTS else name


def field_units(units: str) -> str:
    """Return units in CF spelling where xaq knows them: ``"kg m**-3"``, ``"kg/m^3"`` and ``"kg.m-3"`` -> ``"kg m-3"``."""
    # A power of a unit; that of a number, as in "10^15 cm-2", stays.
    plain = re.sub(r"(?<=[a-zA-Z])(\*\*|\^)(?=-?\d)", "", plain_text(units))
    known = canonical_units(_SPELLINGS.get(plain, plain))
    if known != plain:
        return known
    terms = re.sub(r"\bmoles?\b", "mol", plain).replace(".", " ")
    fraction = re.fullmatch(r"([a-zA-Z\u03bc]+) ?/ ?([a-zA-Z]+)(\d?)", terms)
    terms = f"{fraction[1]} {fraction[2]}-{fraction[3] or 1}" if fraction is not None else terms
    made = canonical_units(terms)
    return made if made in (*_CONVERSIONS, MASS_UNITS, "mg m-3", "ng m-3", "1e-9", "1e-6", "kg kg-1") else plain


def needs_air(ds: xr.Dataset, name: str) -> bool:
    """Whether a variable is a pollutant in kg kg-1, which needs the density of air to become a concentration."""
    return field_name(name) in POLLUTANTS and field_units(str(ds[name].attrs.get("units", ""))) == "kg kg-1"


def convert(ds: xr.Dataset) -> xr.Dataset:
    """Return a dataset with xaq's names and units of pollutants; ``history`` has each change. Lazy.

    Mixing ratios in kg kg-1 become concentrations where the dataset has the temperature on the same cells and, at the ground,
    the surface pressure; on a pressure level, with its pressure and temperature. They are left as they are elsewhere.
    """
    notes, made = [], {}
    new_names = {str(n): field_name(str(n)) for n in ds.data_vars}
    doubled = {new for new in new_names.values() if list(new_names.values()).count(new) > 1}
    for old, new in new_names.items():
        array, known = ds[old], new in POLLUTANTS
        new = old if new in doubled else new
        given = str(array.attrs.get("units", ""))
        units = field_units(given)
        air = _air(ds, old) if known and units == "kg kg-1" else None
        if air is not None and {*air[0].dims} <= {*array.dims}:
            array, units = without_nodata(array), MASS_UNITS
            array = (array * air[0] * 1e9).transpose(*array.dims).assign_attrs(array.attrs)
            notes.append(f"{new} from kg kg-1 to {units} with {air[1]}")
        elif (known or old in _AEROSOL) and units in _CONVERSIONS:
            target, factor = _CONVERSIONS[units]
            array = without_nodata(array)
            array = (array * factor).assign_attrs(array.attrs)
            notes.append(f"{new} from {given} to {target}, times {factor:g}")
            units = target
        attrs = {**array.attrs, **({"units": units} if given else {})}
        if new != old:
            attrs["original_name"] = old
            notes.append(f"{new} is {old} of the file")
        if known and canonical_units(units) in (MASS_UNITS, "1e-9", "1e-6"):
            attrs.update({k: v for k, v in cf_attrs(new, units).items() if k == "standard_name"})
        made[new] = array.assign_attrs(attrs)
    return schema.record(without_marks(ds.drop_vars([*ds.data_vars]).assign(made)), "open_field", notes)


def _air(ds: xr.Dataset, name: str) -> tuple[xr.DataArray, str] | None:
    """Return the density of dry air around a variable in kg m-3, and what it is of; None where the dataset cannot tell."""
    level = level_pressure(ds[name])
    if level is not None:
        if "t" not in ds or ds["t"].attrs.get("units") != "K" or not _same_level(level, level_pressure(ds["t"])):
            return None
        return level / (_DRY_AIR * ds["t"]), "the density of dry air from the pressure of its level and t"
    at_ground = [n for n in TEMPERATURE if n in ds and (n != "t" or level_pressure(ds[n]) is None)]
    pressure, temperature = (next((n for n in names if n in ds), None) for names in (PRESSURE, at_ground))
    if pressure is None or temperature is None:
        return None
    if (ds[pressure].attrs.get("units"), ds[temperature].attrs.get("units")) != ("Pa", "K"):
        return None
    density = without_nodata(ds[pressure]) / (_DRY_AIR * without_nodata(ds[temperature]))
    return density, f"the density of dry air from {pressure} and {temperature}"


def without_nodata(array: xr.DataArray) -> xr.DataArray:
    """Return an array with NaN in place of the number that its attributes say is missing, before it is calculated with. Lazy."""
    nodata = array.rio.nodata
    if nodata is None or np.isnan(nodata):
        return array
    made = array.where(array != nodata)
    made.attrs = {k: v for k, v in array.attrs.items() if k not in _NODATA}
    return made


def check_unpacked(array: xr.DataArray, subject: str) -> None:
    """Raise where the numbers of an array are packed, as xarray leaves them with ``mask_and_scale=False`` and rioxarray by default.

    What has been unpacked has scale and offset in its encoding.
    """
    packing = {
        name: array.attrs[name]
        for name in _PACKING
        if not np.array_equal(array.attrs.get(name, _PACKING[name]), _PACKING[name])
    }
    if packing:
        name = str(array.name or "field")
        said = " and ".join(f"{key} {value}" for key, value in packing.items())
        raise SchemaError(
            f"{name!r} has {said} among its attributes, so that its numbers are packed; fix: "
            f"xr.decode_cf(field.to_dataset(name={name!r}))[{name!r}], rioxarray.open_rasterio(path, mask_and_scale=True) for a "
            "raster, or field.assign_attrs(scale_factor=1, add_offset=0), if they have been applied", subject=subject,
        )  # fmt: skip


def _same_level(level: float | xr.DataArray, other: float | xr.DataArray | None) -> bool:
    """Whether two levels, or axes of levels, are the same; those that are not known are not."""
    if isinstance(level, xr.DataArray):
        return isinstance(other, xr.DataArray) and level.equals(other)
    return not isinstance(other, xr.DataArray) and level == other
