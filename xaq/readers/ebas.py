"""EBAS: NASA-Ames files (FFI 1001) of EMEP, ACTRIS and GAW-WDCA, ``*.nas``.

Times are days since a reference date in UTC; each value has a start and an end. Station, place, unit and matrix are in the
header. A flag column belongs to the variables between it and the flag column before. A value counts where all its flags
are valid ones (https://projects.nilu.no/ccc/flags/). Means are read; uncertainties and percentiles are not.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..conventions import (
    AREA,
    ELEVATION,
    INSTRUMENT,
    LAT,
    LON,
    MASS_UNITS,
    NAME,
    POLLUTANTS,
    STATION,
    TIME,
    canonical_units,
)
from ..errors import SchemaError
from ..stations.schema import some
from .assembly import PARAMETER, UNITS, VALUE, Rows, assemble
from .compressed import open_bytes
from .instruments import MONITOR, apart, recorded
from .intervals import END, on_steps
from .source import Format, Request, Source

_NAMES = {
    "pm1_mass": "pm1", "pm25_mass": "pm25", "pm10_mass": "pm10", "ozone": "o3", "nitrogen_dioxide": "no2", "nitrogen_monoxide": "no",
    "sulphur_dioxide": "so2", "carbon_monoxide": "co",
}  # fmt: skip
#: Flags with which a value is valid, category V of the list of flags; 100 overrides all others but those of missing values.
_VALID = frozenset({
    100, 101, 102, 103, 110, 111, 120, 147, 185, 186, 187, 188, 189, 190, 191, 210, 211, 220, 247, 248, 249, 250, 257, 258, 275, 276, 298,
    299, 370, 380, 382, 388, 390, 392, 394, 410, 411, 420, 440, 450, 457, 458, 470, 472, 475, 476, 498, 499, 521, 531, 532, 555, 556, 557,
    558, 559, 630, 632, 640, 644, 645, 647, 648, 649, 650, 651, 652, 653, 654, 655, 656, 657, 660, 662, 665, 668, 674, 675, 676, 678, 679,
    680, 701, 740, 741, 760, 770, 771, 780, 781, 782, 797, 798,
})  # fmt: skip
_CHECKED, _MISSING = 100, frozenset({750, 783, 890, 899, 900, 980, 990, 999})
#: What makes a column another quantity than its component.
_OTHER_QUANTITIES = ("Fraction", "Wavelength", "D", "Location", "Artifact")
#: Atomic masses in g mol-1: EBAS gives gases as mass of nitrogen or sulfur too.
_ATOMS = {"N": 14.007, "S": 32.06}
_UNITS_OF_TIME = {"mn": "min", "h": "h", "d": "D", "w": "W"}


@dataclass(frozen=True)
class _File:
    """A file of EBAS: its header, and its columns as numbers; those of flags as text too, whose digits are the flags."""

    path: Path
    names: list[str]
    scales: list[float]
    missing: list[float]
    header: dict[str, str]
    begins: pd.Timestamp
    table: pd.DataFrame
    text: pd.DataFrame


def _read(source: Source, request: Request) -> xr.Dataset:
    if not source.paths:
        raise SchemaError("NASA-Ames is read from files, not from a frame; fix: pass the path")
    request.check_zone_unused("the files are in UTC")
    files = [_open(path) for path in source.paths]
    read = [_rows(file) for file in files]
    notes = [note for _, found in read for note in found]
    places = request.places()
    request.check_taken(places)
    rows, places, more = apart(Rows(pd.concat([frame for frame, _ in read], ignore_index=True)), places)
    made, step, means = on_steps(rows, request.step, _resolution(files, request.step))
    return recorded(assemble(made, places, tz="UTC", step=step), [*notes, *more, *means])


def _open(path: Path) -> _File:
    with open_bytes(path) as raw:
        lines = raw.read().decode("utf-8", errors="replace").splitlines()
    first = lines[0].split() if lines else []
    known = len(first) > 1 and first[0].isdigit() and first[1] == "1001"
    if not known or not any(line.strip() for line in lines[int(first[0]) :]):
        raise SchemaError(
            f"is no NASA-Ames file of EBAS with data: its first line is {' '.join(first)[:40]!r}, expected the number of header lines and "
            "1001; fix: download it from https://ebas-data.nilu.no as NASA-Ames",
            subject=str(path),
        )
    try:
        n, count = int(first[0]), int(lines[9])
        year, month, day = (int(part) for part in lines[6].split()[:3])
        names, scales, missing = lines[12 : 12 + count], lines[10].split(), lines[11].split()
        header = dict(_key_and_value(line) for line in lines[12 + count : n - 1] if ":" in line)
        table = pd.read_csv(
            io.StringIO("\n".join(lines[n:])), sep=r"\s+", header=None, dtype=str, keep_default_na=False
        )
        numbers = table.apply(pd.to_numeric, errors="coerce")
        begins = pd.Timestamp(year, month, day)
        read = _File(path, names, [*map(float, scales)], [*map(float, missing)], header, begins, numbers, table)
    except (ValueError, IndexError) as error:
        raise SchemaError(
            f"has a header that is not that of EBAS ({' '.join(str(error).split())[:100]}); fix: download it again",
            subject=str(path),
        ) from error
    if not len(scales) == len(missing) == count == table.shape[1] - 1:
        raise SchemaError(
            f"has {table.shape[1] - 1} columns beside the time, and a header of {count}; fix: download it again",
            subject=str(path),
        )
    broken = numbers.isna().any(axis=1)
    if broken.any():
        at = n + int(broken.argmax())
        raise SchemaError(
            f"line {at + 1} is not numbers: {lines[at][:60]!r}; fix: download it again", subject=str(path)
        )
    if header.get("Timezone", "UTC") != "UTC":
        raise SchemaError(
            f"is in the time zone {header['Timezone']!r}, expected UTC; fix: download it again", subject=str(path)
        )
    return read


def _key_and_value(line: str) -> tuple[str, str]:
    key, _, value = line.partition(":")
    return key.strip(), value.strip()


def _rows(file: _File) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of a file, narrow, and what was left out."""
    base: Any = _base(file)
    parts, notes, left_out = [], list[str](), list[str]()
    for i, title in enumerate(file.names):
        component, units, tags = _title(title)
        if component.startswith(("numflag", "start_time", "end_time")):
            continue
        statistics = tags.get("Statistics", file.header.get("Statistics") or "arithmetic mean")
        if statistics != "arithmetic mean" or any(tag in tags for tag in _OTHER_QUANTITIES):
            left_out.append(
                ", ".join(
                    [component, *(f"{k}={v}" for k, v in tags.items() if k in ("Statistics", *_OTHER_QUANTITIES))]
                )
            )
            continue
        values = file.table[i + 1] * file.scales[i]
        absent = file.table[i + 1] == file.missing[i]
        bad = _invalid(file, i) & ~absent
        if bad.any():
            notes.append(
                f"{file.header['Station code']}: {int(bad.sum())} value(s) of {component} with flags of invalid data are left out"
            )
        name = _variable(component, tags.get("Matrix") or file.header.get("Matrix", ""))
        factor, units = _units(name, tags.get("Unit", units))
        parts.append(base.assign(**{PARAMETER: name, UNITS: units, VALUE: values.mask(absent | bad) * factor}))
    if left_out:
        notes.append(f"{file.header['Station code']}: not read: {some(dict.fromkeys(left_out), 8)}")
    if not parts:
        raise SchemaError(
            f"has no variable with means; it has {some(file.names)}; fix: another file", subject=str(file.path)
        )
    return pd.concat(parts, ignore_index=True), notes


def _base(file: _File) -> pd.DataFrame:
    """Return start and end of each value, with station, place and instrument."""
    header = file.header
    ends = [i for i, title in enumerate(file.names) if title.startswith("end_time")]
    where = {
        role: _number(file, name) for role, name in ((LAT, "latitude"), (LON, "longitude"), (ELEVATION, "altitude"))
    }
    code = header.get("Station code")
    if not code or not ends:
        raise SchemaError(
            f"its header has no {'Station code' if ends else 'end_time'}; fix: download it again",
            subject=str(file.path),
        )
    start, end = (file.begins + pd.to_timedelta((file.table[i] * 86400).round(), unit="s") for i in (0, ends[0] + 1))
    name = header.get("Instrument name") or header.get("Instrument type") or ""
    return pd.DataFrame({
        STATION: code, TIME: start, END: end, **{role: value for role, value in where.items() if value is not None},
        NAME: header.get("Station name", ""), AREA: header.get("Station setting", ""), INSTRUMENT: name, MONITOR: name,
    })  # fmt: skip


def _number(file: _File, name: str) -> float | None:
    """Return a coordinate of the station, the same in all its files, without its unit; None where the header has none."""
    text = file.header.get(f"Station {name}") or ""
    try:
        return float(text.split()[0]) if text else None
    except ValueError as error:
        raise SchemaError(
            f"its header has 'Station {name}: {text}', expected a number such as 46.8; fix: write the number there, or nothing, with the "
            "place of the station in stations=",
            subject=str(file.path),
        ) from error


def _title(title: str) -> tuple[str, str, dict[str, str]]:
    """Return component, unit and tags of a column: ``"organic_carbon, ug C/m3, Statistics=uncertainty"``."""
    component, *rest = [part.strip() for part in title.split(",")]
    units = rest[0] if rest else ""
    tags = dict(part.split("=", 1) for part in rest[1:] if "=" in part)
    return component, units, {key.strip(): value.strip() for key, value in tags.items()}


def _invalid(file: _File, column: int) -> pd.Series:
    """Return where the flags of a variable make it invalid: those of the next flag column."""
    flags = next((i for i in range(column + 1, len(file.names)) if file.names[i].startswith("numflag")), None)
    if flags is None:
        return pd.Series(False, file.table.index)
    text = file.text[flags + 1]
    return text.map({value: not _counts(value) for value in text.unique()}).astype(bool)


def _counts(flag: str) -> bool:
    """Whether a value with these flags counts; ``0.147780`` holds the flags 147 and 780."""
    digits = flag.partition(".")[2]
    digits += "0" * (-len(digits) % 3)
    flags = {int(digits[i : i + 3]) for i in range(0, len(digits), 3)} - {0}
    return flags <= _VALID or (_CHECKED in flags and not flags & _MISSING)


def _variable(component: str, matrix: str) -> str:
    """Return the name of a variable: a pollutant that xaq knows, else the component, with the size of its particles."""
    if component in _NAMES:
        return _NAMES[component]
    return f"{component}_{matrix}" if matrix.startswith("pm") else component


def _units(name: str, units: str) -> tuple[float, str]:
    """Return units in CF spelling and the factor to them: of gases given as mass of N or S, the mass of the gas."""
    atom = re.fullmatch(r"ug ([A-Z][a-z]?)/m3", units)
    if atom is None:
        return 1.0, canonical_units(units)
    gas = POLLUTANTS.get(name)
    if gas is not None and gas.molar_mass is not None and atom[1] in _ATOMS:
        return gas.molar_mass / _ATOMS[atom[1]], MASS_UNITS
    # The mass of carbon is what organic and elemental carbon are defined by.
    return 1.0, MASS_UNITS if atom[1] == "C" else units


def _resolution(files: list[_File], step: np.timedelta64 | None) -> pd.Timedelta | None:
    """Return the resolution of the files, or None where the caller's step is that of none of them."""
    found: dict[pd.Timedelta, str] = {}
    for file in files:
        code = file.header.get("Resolution code", "")
        parts = re.fullmatch(r"(\d+)(mn|h|d|w)", code)
        if parts is None:
            raise SchemaError(
                f"has the resolution {code!r}, expected one of minutes to weeks; fix: leave the file out",
                subject=str(file.path),
            )
        found.setdefault(pd.Timedelta(f"{parts[1]}{_UNITS_OF_TIME[parts[2]]}"), file.header["Station code"])
    if step is not None:
        return pd.Timedelta(step) if pd.Timedelta(step) in found else None
    if len(found) > 1:
        listed = ", ".join(
            f"{name} of {station}" for name, station in ((_named(r), s) for r, s in sorted(found.items()))
        )
        raise SchemaError(
            f"the files have several resolutions: {listed}; expected one; fix: step={_named(max(found))!r}"
        )
    return next(iter(found))


def _named(resolution: pd.Timedelta) -> str:
    hours = resolution / pd.Timedelta("1h")
    return f"{hours / 24:g}D" if hours % 24 == 0 else f"{hours:g}h" if hours >= 1 else f"{hours * 60:g}min"


FORMAT = Format("ebas", "EBAS NASA-Ames", _read, files=("*.nas",), intervals=True)
