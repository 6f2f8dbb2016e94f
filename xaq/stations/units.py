"""Units of concentration: mass concentration and mole fraction, by pollutant.

The units are few (four mass concentrations, two mole fractions), and a conversion between the two kinds needs the molar
mass and the state of the air, which a general units library does not know. So a table is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from .._arguments import check_mapping, check_number, check_text
from ..conventions import MASS_UNITS, POLLUTANTS, canonical_name, canonical_units, cf_attrs, is_concentration
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
    """Return the factor that converts values from the old units to the new ones.

    Parameters
    ----------
    pollutant : str
        One of xaq's names, such as ``"o3"``.
    old, new : str
        Units in any spelling that xaq knows: ``"ppb"``, ``"ug/m3"``.
    temperature, pressure : float or xarray.DataArray, degC and hPa
        State of the air, for a conversion between mass concentration and mole fraction.

    Returns
    -------
    float or xarray.DataArray
        An array where the state of the air is one and takes part.

    Raises
    ------
    SchemaError
        Units in which this pollutant has no concentration.
    """
    bad = [unit for unit in (old, new) if not is_concentration(canonical_units(unit), pollutant)]
    if bad:
        known = "'ug m-3', 'mg m-3'" if POLLUTANTS[pollutant].particle else "'ug m-3', 'mg m-3', 'ppb', 'ppm'"
        raise SchemaError(
            f"{', '.join(map(repr, bad))} are not units of {pollutant} that xaq knows, such as {known}; "
            f"fix: units={{{pollutant!r}: {MASS_UNITS!r}}}"
        )
    old, new = canonical_units(old), canonical_units(new)
    if old == new:
        return 1.0
    if old in _MASS and new in _MASS:
        return _MASS[old] / _MASS[new]
    if old in _RATIO and new in _RATIO:
        return _RATIO[old] / _RATIO[new]
    # Ideal gas; 1e-9 mol mol-1 in ug (1e6) at a pressure in hPa (1e2): 0.1. Particles have raised above.
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
    r"""Convert concentrations to other units, by name.

    Parameters
    ----------
    ds : xarray.Dataset
        A station dataset.
    units : str or mapping
        New units by variable, ``{"o3": "ppb", "co": "mg m-3"}``, or one string for every pollutant.
    temperature : float or xarray.DataArray, degC
        Temperature of the air to which a mass concentration refers. Default 20 degC, the reference of EU reporting; US
        EPA uses 25 degC, China 25 degC since 2018-09 and 0 degC before.
    pressure : float or xarray.DataArray, hPa
        Pressure of that air. Default 1013.25 hPa.

    Returns
    -------
    xarray.Dataset
        New values, ``units`` and ``standard_name``; ``history`` records each conversion, with temperature and pressure
        where they are used. Other variables, and those that have the units already, do not change. Lazy.

    Raises
    ------
    SchemaError
        A variable that does not exist, is not a pollutant, has no units, or cannot have the new ones.

    Notes
    -----
    Mass concentration ``c`` in kg m-3 and mole fraction ``x`` of an ideal gas of molar mass ``M`` at pressure ``p`` and
    temperature ``T``:

    .. math:: c = x \, \frac{M p}{R T}

    Conversions within mass concentrations, or within mole fractions, need neither temperature nor pressure.

    Examples
    --------
    >>> import xaq
    >>> ds = xaq.datasets.synthetic(n_stations=5, days=2)
    >>> ds.aq.convert_units("mg m-3").pm25.units
    'mg m-3'
    """
    ds = schema.conform(ds)
    names = {canonical_name(str(name)): str(name) for name in schema.pollutants(ds)}
    units = _wanted(units)
    _check_state(temperature, "temperature", "degC above -273.15", TEMPERATURE, -273.15)
    _check_state(pressure, "pressure", "hPa above 0", PRESSURE, 0.0)
    wanted = dict.fromkeys(names, units) if isinstance(units, str) else {canonical_name(n): u for n, u in units.items()}
    problems = [
        f"no pollutant {name!r} in the dataset; fix: one of {', '.join(names.values()) or 'none'}"
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
        times = factor(pollutant, old, unit, temperature=temperature, pressure=pressure)
        if old == new:
            continue
        converted = (ds[name] * times).astype(ds[name].dtype).transpose(*ds[name].dims)
        ds[name] = converted.drop_attrs(deep=False).assign_attrs(attrs_in_units(ds[name].attrs, pollutant, new))
        state = f" at {_text(temperature)} degC and {_text(pressure)} hPa" if (old in _MASS) != (new in _MASS) else ""
        done.append(f"{name} from {old} to {new}{state}")
    return schema.record(ds, "convert_units", done)


def _wanted(units: Any) -> str | dict[str, str]:
    fix = "units='ug m-3', or units={'o3': 'ppb'}"
    if isinstance(units, str):
        return units
    wanted = check_mapping(units, "units", "units of every pollutant, or by variable", fix=fix)
    return {
        check_text(name, "a name in units", "a variable", fix=fix): check_text(
            unit, f"units[{name!r}]", "units", fix=fix
        )
        for name, unit in wanted.items()
    }


def _check_state(state: Any, name: str, expected: str, default: float, least: float) -> None:
    """Refuse a state of the air that is no number above ``least``; the values of an array are not computed."""
    if isinstance(state, xr.DataArray) and state.dtype.kind in "iuf":
        return
    check_number(
        state, name, f"{expected}, or an array", fix=f"{name}={default}", valid=lambda x: least < x < float("inf")
    )


def attrs_in_units(attrs: Mapping[str, Any], pollutant: str, units: str) -> dict[str, Any]:
    """Return the attributes of a variable in other units: ``units`` and ``standard_name`` change, others are kept."""
    fresh = cf_attrs(pollutant, units)
    kept = {k: v for k, v in attrs.items() if k != "units_note"}
    return {**fresh, **kept, "units": units, "standard_name": fresh["standard_name"]}


def _text(state: float | xr.DataArray) -> str:
    return f"{state:g}" if isinstance(state, (int, float)) else f"the values of {state.name or 'an array'}"
