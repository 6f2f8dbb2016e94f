"""Units of concentrations: mass and mixing ratio, by name.

The table of units is small and closed (four masses per volume, two mixing ratios), and what a general units library
cannot know, the molar mass and the state of the air, is what a conversion between the two needs; so it is a table here.
"""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr

from ..conventions import POLLUTANTS, canonical_name, canonical_units, cf_attrs, is_concentration
from ..errors import SchemaError
from . import schema

#: Reference state of concentrations in the European Union (Directive 2008/50/EC, annex VI): 293 K and 101.3 kPa.
TEMPERATURE, PRESSURE = 20.0, 1013.25
#: J mol-1 K-1 (CODATA 2018, exact).
_GAS_CONSTANT = 8.314462618
_MASS = {"kg m-3": 1e9, "mg m-3": 1e3, "ug m-3": 1.0, "ng m-3": 1e-3}
_RATIO = {"1e-6": 1e3, "1e-9": 1.0}

State = float | xr.DataArray


def factor(
    pollutant: str, old: str, new: str, *, temperature: State = TEMPERATURE, pressure: State = PRESSURE
) -> State:
    """Return what a value in the old units is multiplied by to be in the new.

    Parameters
    ----------
    pollutant : str
        A name of xaq's, such as ``"o3"``.
    old, new : str
        Units in any spelling that xaq knows: ``"ppb"``, ``"ug/m3"``.
    temperature : float or xarray.DataArray, degC
    pressure : float or xarray.DataArray, hPa

    Raises
    ------
    SchemaError
        Units that are no concentration of this pollutant.
    """
    old, new = canonical_units(old), canonical_units(new)
    bad = [unit for unit in (old, new) if not is_concentration(unit, pollutant)]
    if bad:
        known = "'ug m-3', 'mg m-3'" if POLLUTANTS[pollutant].particle else "'ug m-3', 'mg m-3', 'ppb', 'ppm'"
        raise SchemaError(
            f"{', '.join(map(repr, bad))}: no units of {pollutant} that xaq knows, expected such as {known}"
        )
    if old == new:
        return 1.0
    if old in _MASS and new in _MASS:
        return _MASS[old] / _MASS[new]
    if old in _RATIO and new in _RATIO:
        return _RATIO[old] / _RATIO[new]
    # Ideal gas; 1e-9 mol mol-1 in ug (1e6) at a pressure in hPa (1e2): 0.1. A particle was refused above.
    air = pressure * 0.1 / (_GAS_CONSTANT * (temperature + 273.15))
    mass_of_ppb = (POLLUTANTS[pollutant].molar_mass or float("nan")) * air
    return _RATIO[old] * mass_of_ppb / _MASS[new] if old in _RATIO else _MASS[old] / (mass_of_ppb * _RATIO[new])


def convert_units(
    ds: xr.Dataset,
    units: str | Mapping[str, str],
    *,
    temperature: float | xr.DataArray = TEMPERATURE,
    pressure: float | xr.DataArray = PRESSURE,
) -> xr.Dataset:
    """Convert concentrations to other units, by name.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset.
    units : str or mapping
        The units wanted by variable, ``{"o3": "ppb", "co": "mg m-3"}``; or one string for every pollutant.
    temperature : float or xarray.DataArray, degC
        Of the air in which a mass was stated. Default 20 degC, the reference of EU reporting; US EPA uses 25 degC,
        Chinese gases are stated at 25 degC since 2018-09 and at 0 degC before.
    pressure : float or xarray.DataArray, hPa
        Likewise; default 1013.25 hPa.

    Returns
    -------
    xarray.Dataset
        New values, ``units`` and ``standard_name``; each conversion is recorded in ``history``, with temperature and
        pressure where they took part. Variables that have the units already, or are not named, are left as they are. Lazy.

    Raises
    ------
    SchemaError
        A variable that is not there or is no pollutant, has no units, or cannot have those asked for.

    Notes
    -----
    Ideal gas: c [ug m-3] = x [ppb] M p / (R T). Mass to mass and ratio to ratio need neither temperature nor pressure.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=5, days=2)
    >>> ds.aq.convert_units("mg m-3").pm25.units
    'mg m-3'
    """
    ds = schema.conform(ds)
    names = {canonical_name(str(name)): str(name) for name in schema.pollutants(ds)}
    wanted = dict.fromkeys(names, units) if isinstance(units, str) else {canonical_name(n): u for n, u in units.items()}
    problems = [
        f"no pollutant {name!r}; the dataset has {', '.join(names.values()) or 'none'}"
        for name in wanted
        if name not in names
    ]
    problems += [
        f"{names[name]!r} has no units to convert from; fix: ds.aq.repair(units={{{names[name]!r}: 'ug m-3'}})"
        for name in wanted
        if name in names and not ds[names[name]].attrs.get("units")
    ]
    if problems:
        raise SchemaError(problems)
    done = []
    for pollutant, unit in wanted.items():
        name, new = names[pollutant], canonical_units(unit)
        old = canonical_units(ds[name].attrs["units"])
        times = factor(pollutant, old, new, temperature=temperature, pressure=pressure)
        if old == new:
            continue
        attrs = {k: v for k, v in ds[name].attrs.items() if k != "units_note"}
        converted = (ds[name] * times).astype(ds[name].dtype).transpose(*ds[name].dims)
        fresh = cf_attrs(pollutant, new)
        ds[name] = converted.assign_attrs({**fresh, **attrs, "units": new, "standard_name": fresh["standard_name"]})
        state = f" at {_text(temperature)} degC and {_text(pressure)} hPa" if (old in _MASS) != (new in _MASS) else ""
        done.append(f"{name} from {old} to {new}{state}")
    return schema.record(ds, "convert_units", done)


def _text(state: float | xr.DataArray) -> str:
    return f"{state:g}" if isinstance(state, (int, float)) else f"the values of {state.name or 'an array'}"
