"""Units of variables: those that the caller gives, else those that the source states, else those of particles."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr

from ..conventions import MASS_UNITS, POLLUTANTS, canonical_name, canonical_units, is_concentration
from ..errors import SchemaError, warn
from ..stations import schema
from ..stations.units import attrs_in_units


def with_units(ds: xr.Dataset, units: str | Mapping[str, str] | None) -> xr.Dataset:
    """Return the dataset with units on its pollutants: those given, else those stated, else ug m-3 for particles.

    A gas without units is a warning, and so are units that contradict those that the source states.
    """
    names = [str(n) for n in ds.data_vars]
    if isinstance(units, str):
        known = schema.pollutants(ds)
        if len(known) != 1:
            raise SchemaError(
                f"units={units!r} for {len(known)} pollutants ({', '.join(known)}); fix: units={{'pm25': {units!r}, ...}}"
            )
        units = {known[0]: units}
    given = {canonical_name(name): text for name, text in (units or {}).items()}
    _check(given, names)
    gases, changes = [], []
    for name in names:
        attrs = ds[name].attrs
        if name in given:
            unit = canonical_units(given[name])
            changes += _contradicted(name, given[name], attrs)
            ds[name].attrs = attrs_in_units(attrs, name, unit) if name in POLLUTANTS else {**attrs, "units": unit}
        elif not attrs.get("units") and name in POLLUTANTS:
            if POLLUTANTS[name].particle:
                attrs.update(units=MASS_UNITS, units_note="assumed: none given")
            else:
                gases.append(name)
    if gases:
        warn(
            f"no units for {', '.join(gases)}: usable as covariates, not as a target; "
            f"fix: units={{{gases[0]!r}: '{MASS_UNITS}'}} or 'ppb'"
        )
    return schema.record(ds, "open_stations", changes)


def _check(given: Mapping[str, str], names: list[str]) -> None:
    """Refuse units of variables that do not exist, and those in which a pollutant has no concentration."""
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise SchemaError(f"units= names {', '.join(unknown)}, not in the table; fix: one of {', '.join(names)}")
    pollutants = {name: canonical_units(text) for name, text in given.items() if name in POLLUTANTS}
    odd = [f"{unit!r} of {name}" for name, unit in pollutants.items() if not is_concentration(unit, name)]
    if odd:
        raise SchemaError(
            f"units {', '.join(odd)} are not units of concentration that xaq knows; fix: 'ug m-3' or 'mg m-3', "
            "for gases also 'ppb' or 'ppm'"
        )


def _contradicted(name: str, given: str, attrs: Mapping[str, str]) -> list[str]:
    """Warn where the caller's units of a pollutant are others than the source states; return what the history says of it."""
    stated, new = canonical_units(str(attrs.get("units", ""))), canonical_units(given)
    # Units that were assumed, or that xaq does not know, are what units= is for.
    if name not in POLLUTANTS or stated == new or "units_note" in attrs or not is_concentration(stated, name):
        return []
    warn(
        f"the source states {stated} of {name}, and units= says {given!r}, which is taken; values are not converted; "
        f"fix: leave units= out and, for values in other units, call ds.aq.convert_units({{{name!r}: {given!r}}}); nothing "
        "where the source is wrong"
    )
    return [f"{name} is in {new} by units=, values not converted (stated: {stated})"]
