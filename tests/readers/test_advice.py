"""Every error of the readers: one problem, one ``fix:``, no text of another library; a fix that is a call leads to the right dataset."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made import IDS, MAKERS, PLACES, STARTS, VALUES

from xaq.errors import SchemaError
from xaq.readers.dispatch import open_stations

pytestmark = pytest.mark.filterwarnings("ignore")

TABLE = pd.DataFrame({"code": np.repeat(IDS, 24), "when": [*STARTS, *STARTS], "pm25": VALUES.ravel()})
WIDE = pd.DataFrame({"when": STARTS, **dict(zip(IDS, VALUES, strict=True))})
LISTED = pd.concat([PLACES.astype({"lon": object}), pd.DataFrame([{"station": "x", "lon": "there", "lat": 1.0}])])
#: What must not be in a message: words of pandas, xarray and Python.
LEAKS = re.compile(
    r"utc=True|dtype_backend|to_datetime or|DatetimeIndex to|Traceback|<class|Error tokenizing|infer_datetime|dayfirst|nan, nan"
)


@dataclass(frozen=True)
class Case:
    """A table that cannot be read, and how its advice is applied.

    ``apply`` is "frame" (the fix assigns ``table``), "places" (it assigns ``places``), "option" (it is an argument), or None
    where the user has to act.
    """

    table: Any
    apply: str | None
    options: dict[str, Any] = field(default_factory=dict)
    stations: Any = None
    part: bool = False


def changed(**columns) -> pd.DataFrame:
    return TABLE.assign(**columns)


def at(row: int, column: str, value: Any) -> pd.DataFrame:
    table = TABLE.astype({column: object})
    table.loc[row, column] = value
    return table


TEXT = TABLE.when.astype(str)
CASES: dict[str, Case] = {
    "no station": Case(at(3, "code", None), "frame", part=True),
    "no time": Case(at(3, "when", None), "frame", part=True),
    "a word as time": Case(changed(when=[*TEXT[:47], "yesterday"]), "frame", part=True),
    "no times at all": Case(changed(when=TABLE.when.dt.strftime("%Y%m%d%H") + "h"), None),
    "offsets in some rows": Case(changed(when=[f"{t}+00:00" if i % 2 else t for i, t in enumerate(TEXT)]), "frame"),
    "day or month": Case(changed(when=[f"{t:%d/%m/%Y %H:%M}" for t in [*pd.date_range("2020-01-01", periods=24, freq="h")] * 2]), "frame", part=True),
    "times as seconds": Case(changed(when=TABLE.when.astype("int64") // 10**6), "frame"),
    "times as milliseconds": Case(changed(when=TABLE.when.astype("datetime64[ms]").astype("int64")), "frame"),
    "no zone": Case(TABLE, "option", {"tz": None}),
    "unknown zone": Case(TABLE, None, {"tz": "Mars/Olympus"}),
    "a row twice": Case(pd.concat([TABLE, TABLE.iloc[:3]]), "frame"),
    "a station without coordinates": Case(pd.concat([TABLE, TABLE.iloc[:24].assign(code="x")]), "frame"),
    "a word among values": Case(at(3, "pm25", "b.d."), None),
    "swapped": Case(TABLE, "option", stations=PLACES.rename(columns={"lon": "lat", "lat": "lon"})),
    "two places": Case(TABLE, "option", stations=pd.concat([PLACES, PLACES.assign(lon=1.0)])),
    "a place in words": Case(TABLE, "places", stations=LISTED),
    "an elevation in words": Case(TABLE, "places", stations=PLACES.assign(elevation=["high", "5"])),
    "the same header twice": Case(pd.concat([TABLE, TABLE[["pm25"]] + 1], axis=1), "frame"),
    "no column for station": Case(TABLE.rename(columns={"code": "who"}), None),
    "no column for time": Case(TABLE.rename(columns={"when": "stunde"}), None),
    "no rows": Case(TABLE.iloc[:0], None),
    "no values": Case(TABLE.drop(columns="pm25"), None),
    "one time": Case(TABLE.iloc[[0, 24]], None),
    "wide without a pollutant": Case(WIDE, "option"),
    "wide without values": Case(WIDE[["when"]], None, {"format": "wide", "pollutant": "pm25"}),
    "an unknown column": Case(TABLE, None, {"columns": {"pm10": "nowhere"}}),
    "unknown units": Case(TABLE, None, {"units": "bananas"}),
    "units of what is not there": Case(TABLE, None, {"units": {"pm10": "ug/m3"}}),
    "an unknown format": Case(TABLE, None, {"format": "aqs"}),
    "timestamps in the middle": Case(TABLE, "option", {"timestamps": "middle"}),
    "three levels": Case(WIDE.set_index("when").set_axis(pd.MultiIndex.from_tuples([(s, "pm25", "raw") for s in IDS]), axis=1), None),
    "a number": Case(42, None),
}  # fmt: skip


def error_of(case: Case, source: Any, stations: Any) -> SchemaError:
    with pytest.raises(SchemaError) as error:
        open_stations(source, stations=stations, **{"tz": "UTC", **case.options})
    return error.value


def assert_clear(error: SchemaError) -> None:
    for problem in error.problems:
        assert problem.count("fix:") == 1, problem
        assert not LEAKS.search(problem), problem
    head = str(error).split("; fix:")[0]
    assert "station dataset:" not in head, head
    assert not re.match(r"^[^;]*: (table|station list|station dataset): ", str(error)), str(error)


def call_of(fix: str) -> str:
    """Return the first call of an advice, without the words after it."""
    return re.split(r", (?:where|which|with|or)\b|; then\b| or tz=", fix)[0]


def applied(fix: str, case: Case, table: Any, places: Any) -> tuple[Any, dict[str, Any]]:
    """Return the source and the options after the advice: its first call, as the user would copy it."""
    names = {"table": table, "places": places, "pd": pd, "open_stations": open_stations}
    fix = re.sub(r"; the (file|list) is read by.*", "", fix)
    if case.apply in ("frame", "places"):
        fix = fix[re.search(rf"\b{'table' if case.apply == 'frame' else 'places'}(\[[^]]*\])? = ", fix).start() :]
        exec(call_of(fix), names)
        return names["table"], {"stations": names["places"]}
    return table, eval(f"dict({call_of(fix)})", names)


def assert_the_values(ds, *, part: bool) -> None:
    got = ds.pm25.values
    if part:
        assert np.isfinite(got).sum() >= 45
        assert set(got[np.isfinite(got)].tolist()) <= set(VALUES.ravel().tolist())
    else:
        np.testing.assert_array_equal(got, VALUES)
        np.testing.assert_array_equal(ds.time.values.astype("datetime64[s]"), STARTS.values.astype("datetime64[s]"))


@pytest.mark.parametrize("name", CASES)
def test_the_advice_about_a_frame(name):
    case = CASES[name]
    places = PLACES if case.stations is None else case.stations
    error = error_of(case, case.table, places)
    assert_clear(error)
    if case.apply is None:
        return
    table, options = applied(error.problems[0].split("fix: ")[1], case, case.table.copy(), places.copy())
    ds = open_stations(table, **{"stations": places, "tz": "UTC", **case.options, **options})
    assert_the_values(ds, part=case.part)


@pytest.mark.parametrize(
    "name", [n for n, c in CASES.items() if isinstance(c.table, pd.DataFrame) and c.table.columns.nlevels == 1]
)
def test_the_advice_about_a_file(name, tmp_path):
    case = CASES[name]
    path, listed = tmp_path / "obs.csv", tmp_path / "list.csv"
    case.table.to_csv(path, index=False)
    (PLACES if case.stations is None else case.stations).to_csv(listed, index=False)
    error = error_of(case, path, listed)
    assert_clear(error)
    if case.apply not in ("frame", "places"):
        return
    text = error.problems[0]
    called = "table" if case.apply == "frame" else "places"
    reading = re.search(
        rf"(?:is read by|fix:) {called} = (pd\.read_csv\('[^']*'(?:, \w+=(?:\{{[^}}]*\}}|'[^']*'))*\))", text
    )
    assert reading, text
    frame = eval(reading[1])
    given = {"table": frame, "places": PLACES} if called == "table" else {"table": case.table, "places": frame}
    table, options = applied(text.split("fix: ")[1], case, given["table"], given["places"])
    table = table.astype({"code": str})
    ds = open_stations(
        table,
        **{
            "stations": listed if called == "table" else None,
            "tz": "UTC",
            **case.options,
            **({} if called == "table" else options),
        },
    )
    assert_the_values(ds, part=case.part)


def broken(name: str, change: Callable[[bytes], bytes]):
    def make(folder: Path):
        made = MAKERS[name](folder)
        path = sorted(p for p in folder.rglob("*") if p.is_file())[0]
        path.write_bytes(change(path.read_bytes()))
        return made

    return make


FILES = {
    **{f"{name}, {what}": broken(name, change) for name in MAKERS if name != "eea_parquet" for what, change in {
        "empty": lambda d: b"",
        "no columns that are known": lambda d: b"x,y\n1,2\n",
        "one column": lambda d: b"x\n1\n",
        "a field too many": lambda d: d.replace(b"\n", b",1,2\n", 2).replace(b",1,2\n", b"\n", 1),
        "not utf-8": lambda d: d[: len(d) // 2] + b"\xff\xfe\xb0" + d[len(d) // 2 :],
        "an open quote": lambda d: d[: len(d) // 3] + b'"' + d[len(d) // 3 :],
        "bytes of zero": lambda d: bytes(500),
        "a tar archive": lambda d: b"obs.csv" + bytes(250) + b"ustar" + bytes(300),
    }.items()},
    **{f"parquet, {what}": broken("eea_parquet", change) for what, change in {
        "cut": lambda d: d[:100], "empty": lambda d: b"", "text": lambda d: b"a,b\n1,2\n",
    }.items()},
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_the_error_of_a_damaged_file(name, tmp_path):
    made = FILES[name](tmp_path)
    try:
        open_stations(made.source, **made.options)
    except SchemaError as error:
        assert_clear(error)
