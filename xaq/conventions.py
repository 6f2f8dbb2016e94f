"""Conventions: pollutants, units, CF names, dimension and coordinate names."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

STATION, TIME, LAT, LON, POINT = "station", "time", "lat", "lon", "point"
QUANTILE, MEMBER = "quantile", "member"
REFERENCE_TIME, LEAD = "forecast_reference_time", "forecast_period"
ELEVATION, HIDDEN = "elevation", "hidden"
KIND, AREA, INSTRUMENT, NAME = "kind", "area", "instrument", "station_name"

#: Common names of each role in the data of agencies and networks, tried after CF attributes.
ROLE_NAMES: dict[str, tuple[str, ...]] = {
    STATION: (
        "station", "station_id", "stationid", "id", "site", "site_id", "site_code", "code", "sensor", "airqualitystationeoicode",
        "air.quality.station.eoi.code",
    ),
    TIME: ("time", "datetime", "date_time", "timestamp", "date", "when", "utc_time", "valid_time"),
    LON: ("lon", "longitude", "long", "lng"),
    LAT: ("lat", "latitude"),
    ELEVATION: ("elevation", "altitude", "altitude_m", "elev", "height_above_sea_level", "alt"),
}  # fmt: skip

#: CF attributes that give a variable its role, tried before any name.
ROLE_ATTRS: dict[str, tuple[tuple[str, str], ...]] = {
    STATION: (("cf_role", "timeseries_id"),),
    TIME: (("standard_name", "time"), ("axis", "T")),
    LON: (("standard_name", "longitude"), ("units", "degrees_east")),
    LAT: (("standard_name", "latitude"), ("units", "degrees_north")),
    ELEVATION: (
        ("standard_name", "surface_altitude"),
        ("standard_name", "altitude"),
        ("standard_name", "height_above_mean_sea_level"),
    ),
}

#: CF attributes that xaq writes.
ROLE_CF: dict[str, dict[str, str]] = {
    STATION: {"cf_role": "timeseries_id", "long_name": "station identifier"},
    TIME: {"standard_name": "time", "axis": "T", "long_name": "time, start of the interval (UTC)"},
    LON: {"standard_name": "longitude", "units": "degrees_east", "long_name": "longitude"},
    LAT: {"standard_name": "latitude", "units": "degrees_north", "long_name": "latitude"},
    ELEVATION: {"standard_name": "surface_altitude", "units": "m", "long_name": "elevation above sea level"},
    HIDDEN: {"long_name": "hidden station: never trained on, never a neighbour, used for verification only"},
    KIND: {"long_name": "type of station by its main source: traffic, industrial or background"},
    AREA: {"long_name": "type of area: urban, suburban, rural"},
    INSTRUMENT: {"long_name": "instrument or method of measurement"},
    NAME: {"long_name": "name of the station"},
}


#: Text coordinates of stations, with the names of their columns in plain lower case, spaces and full stops as underscores.
STATION_TEXT: dict[str, tuple[str, ...]] = {
    KIND: ("kind", "station_type", "airqualitystationtype", "air_quality_station_type", "typ_stacji"),
    AREA: ("area", "station_area", "airqualitystationarea", "air_quality_station_area", "location_setting", "typ_obszaru"),
    INSTRUMENT: ("instrument", "measurementequipment", "measurement_equipment"),
    NAME: (
        "station_name", "stationname", "site_name", "sitename", "name", "nazwa_stacji", "airqualitystationname", "air_quality_station_name",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Pollutant:
    """A pollutant.

    Attributes
    ----------
    label : str
        Its name in figures and reports.
    species : str
        Its spelling in CF standard names.
    molar_mass : float or None
        In g mol-1; None for particulate matter, which has no mole fraction, and whose units may be assumed to be a mass
        concentration where a table states none.
    """

    label: str
    species: str
    molar_mass: float | None = None

    @property
    def particle(self) -> bool:
        """Whether it is particulate matter rather than a gas."""
        return self.molar_mass is None


#: Molar masses from the IUPAC standard atomic weights (2021).
POLLUTANTS: dict[str, Pollutant] = {
    "pm1": Pollutant("PM1", "pm1_ambient_aerosol_particles"),
    "pm25": Pollutant("PM2.5", "pm2p5_ambient_aerosol_particles"),
    "pm10": Pollutant("PM10", "pm10_ambient_aerosol_particles"),
    "o3": Pollutant("O3", "ozone", molar_mass=47.998),
    "no2": Pollutant("NO2", "nitrogen_dioxide", molar_mass=46.006),
    "no": Pollutant("NO", "nitrogen_monoxide", molar_mass=30.006),
    "so2": Pollutant("SO2", "sulfur_dioxide", molar_mass=64.064),
    "co": Pollutant("CO", "carbon_monoxide", molar_mass=28.010),
}

ALIASES: dict[str, str] = {
    "pm2.5": "pm25", "pm2_5": "pm25", "pm2p5": "pm25", "pm25_concentration": "pm25", "pm_2.5": "pm25",
    "pm_10": "pm10", "pm10_concentration": "pm10", "ozone": "o3", "o3_8h": "o3",
}  # fmt: skip

MASS_UNITS = "ug m-3"

_UNIT_SPELLINGS: dict[str, str] = {
    "ug m-3": "ug m-3", "ug/m3": "ug m-3", "ug/m^3": "ug m-3", "ug m**-3": "ug m-3", "ug.m-3": "ug m-3", "ugm-3": "ug m-3",
    "ug m^-3": "ug m-3", "microgram m-3": "ug m-3", "micrograms/m3": "ug m-3",
    "mg m-3": "mg m-3", "mg.m-3": "mg m-3", "mgm-3": "mg m-3", "mg/m3": "mg m-3", "mg/m^3": "mg m-3", "ng m-3": "ng m-3", "ng/m3": "ng m-3",
    "kg m-3": "kg m-3", "kg/m3": "kg m-3",
    "ppb": "1e-9", "ppbv": "1e-9", "nmol mol-1": "1e-9", "nmol/mol": "1e-9", "1e-9": "1e-9", "1e-09": "1e-9",
    "ppm": "1e-6", "ppmv": "1e-6", "umol mol-1": "1e-6", "umol/mol": "1e-6", "1e-6": "1e-6", "1e-06": "1e-6",
}  # fmt: skip

#: Characters of units that have no plain one in Unicode's NFKC: mu, minus and three dots of multiplication.
_UNIT_CHARACTERS = str.maketrans({"\u03bc": "u", "\u2212": "-", "\u00b7": ".", "\u22c5": ".", "\u2219": "."})


def plain_text(text: str) -> str:
    """Return a text in plain characters, without spaces around it: ``"PM₂.₅ (µg/m³)"`` -> ``"PM2.5 (μg/m3)"``.

    Compatibility characters (subscripts, full width, ``µ`` for ``μ``) are replaced as in Unicode's NFKC, and invisible ones
    (a zero-width space, a byte order mark) are removed.
    """
    if text.isascii():
        return text.strip()
    normal = unicodedata.normalize("NFKC", text)
    return "".join(c for c in normal if unicodedata.category(c) != "Cf").strip()


def match_key(name: object) -> str:
    """Return a name as names are compared: in plain characters and lower case."""
    return plain_text(str(name)).lower()


def canonical_name(name: str) -> str:
    """Return xaq's name of a column: ``"PM2.5"`` -> ``"pm25"``; names that it does not know in plain lower case."""
    key = match_key(name).replace(" ", "_")
    # Countries with a decimal comma write "PM2,5".
    return ALIASES.get(key.replace(",", "."), key)


def is_pollutant(name: str) -> bool:
    """Whether a variable or column name is that of a pollutant that xaq knows."""
    return canonical_name(name) in POLLUTANTS


def split_header(header: str) -> tuple[str, str | None]:
    """Return the name and the units of a column header: ``"PM2.5 (ug/m3)"`` and ``"PM2.5 ug/m3"`` -> ``("pm25", "ug m-3")``."""
    header = plain_text(header).strip()
    found = re.fullmatch(r"(.+?)\s*[(\[]([^()\[\]]+)[)\]]", header)
    if found is not None:
        return canonical_name(found[1]), canonical_units(found[2])
    # Without brackets, "PM2.5 ug/m3" or "pm2.5_ug/m3", only where both parts are known: "no2 max" is a name.
    for gap in re.finditer(r"[\s_]+", header):
        name, units = header[: gap.start()], canonical_units(header[gap.end() :].replace("_", " "))
        if is_pollutant(name) and units in _UNIT_SPELLINGS.values():
            return canonical_name(name), units
    return canonical_name(header), None


def is_concentration(units: str, pollutant: str) -> bool:
    """Whether units (in CF spelling) can be those of a pollutant; particles have no mole fraction."""
    if units not in _UNIT_SPELLINGS.values():
        return False
    return not (POLLUTANTS[pollutant].particle and units.startswith("1e-"))


def is_units(text: str) -> bool:
    """Whether a text is a unit of concentration in a spelling that xaq knows."""
    return canonical_units(text) in _UNIT_SPELLINGS.values()


def canonical_units(units: str) -> str:
    """Return the CF spelling of a unit of concentration; other units are returned unchanged, without spaces around them."""
    return _UNIT_SPELLINGS.get(match_key(units).translate(_UNIT_CHARACTERS), units.strip())


def common_units(units: str) -> str:
    """Return a unit as people write it, which :func:`canonical_units` reads: ``"1e-9"`` -> ``"ppb"``; others as in CF."""
    units = canonical_units(units)
    return {"1e-9": "ppb", "1e-6": "ppm"}.get(units, units)


def label(name: str) -> str:
    """Return the name of a variable in figures and reports: ``"pm25"`` -> ``"PM2.5"``."""
    known = POLLUTANTS.get(name)
    return known.label if known else name


def cf_attrs(name: str, units: str | None) -> dict[str, str]:
    """Return CF attributes (``standard_name``, ``long_name``, ``units``) of a pollutant in the given units."""
    attrs: dict[str, str] = {} if units is None else {"units": units}
    known = POLLUTANTS.get(name)
    if known is None:
        return attrs
    if units is not None:
        quantity = "mole_fraction" if units.startswith("1e-") else "mass_concentration"
        attrs["standard_name"] = f"{quantity}_of_{known.species}_in_air"
    attrs["long_name"] = f"{known.label} concentration"
    return attrs
