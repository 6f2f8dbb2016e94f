"""Damaged files end in a SchemaError or in a correct dataset: never in another exception, and never in a value at a
station or hour where the record does not have it."""

import bz2
import gzip
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made import IDS, MAKERS, STARTS, VALUES

from xaq.errors import SchemaError
from xaq.readers.dispatch import open_stations

pytestmark = pytest.mark.filterwarnings("ignore")

TEXT = [
    "long",
    "wide",
    "prsa",
    "china_sites",
    "airnow_monitors",
    "airnow_sites",
    "eea_csv",
    "openaq_download",
    "openair",
]


def lines(change):
    """Return a change of the bytes of a file from a change of its lines."""
    return lambda data: ("\n".join(change(data.decode().splitlines())) + "\n").encode()


def separator_of(text: str) -> str:
    return "|" if text.count("|") > text.count(",") else ","


def other_separator(rows):
    s = separator_of(rows[0])
    return [text.replace(s, ";") if i > 1 and i % 3 == 0 else text for i, text in enumerate(rows)]


def drop_field(rows, at):
    s = separator_of(rows[0])
    return [s.join(f for i, f in enumerate(text.split(s)) if i != at % len(text.split(s))) for text in rows]


def replace_last_number(new):
    def change(rows):
        out = []
        for i, text in enumerate(rows):
            s = separator_of(text)
            fields = text.split(s)
            if i == len(rows) // 2:
                fields = [new if f.strip('"').replace(".", "", 1).isdigit() and "." in f else f for f in fields]
            out.append(s.join(fields))
        return out

    return change


def replace_timestamp(new):
    def change(rows):
        s = separator_of(rows[-1])
        fields = rows[-1].split(s)
        at = next(
            (i for i, f in enumerate(fields) if f.strip('"')[:5] in ("2020-", "2019-", "01/01", "12/31", "20200")), 0
        )
        fields[at] = new
        return [*rows[:-1], s.join(fields)]

    return change


#: Changes that keep the record: the dataset must be correct, or the error must be named.
HARMLESS = {
    "byte order mark": lambda d: b"\xef\xbb\xbf" + d,
    "utf-16": lambda d: d.decode().encode("utf-16"),
    "windows line ends": lambda d: d.replace(b"\n", b"\r\n"),
    "blank lines": lines(lambda r: [x for t in r for x in (t, "")]),
    "no last line end": lambda d: d.rstrip(b"\n"),
    "leading blank lines": lambda d: b"\n\n" + d,
    "rows in reverse": lines(lambda r: [*r[:1], *r[:0:-1]]),
}
#: Changes that damage it.
HARMFUL = {
    "empty": lambda d: b"",
    "blanks only": lambda d: b" \n\n \n",
    "header only": lines(lambda r: r[:1]),
    "cut in half": lambda d: d[: len(d) // 2],
    "cut near the end": lambda d: d[: -len(d.splitlines()[-1]) // 2 - 2],
    "cut in the header": lambda d: d[:9],
    "not utf-8": lambda d: d[: len(d) // 2] + b"\xff\xfe\xb0" + d[len(d) // 2 :],
    "latin-1": lambda d: d.replace(b"\n", b"\xb5\n", 3),
    "nul bytes": lambda d: d[:200] + b"\x00\x00\x00" + d[200:],
    "random bytes": lambda d: np.random.default_rng(1).bytes(4000),
    "a web page": lambda d: b"<!DOCTYPE html>\n<html><body>404, Not Found</body></html>\n",
    "json": lambda d: json.dumps({"results": [1, 2, 3], "meta": {"found": 3}}, indent=1).encode(),
    "gzip without its name": lambda d: gzip.compress(d),
    "bzip2 without its name": lambda d: bz2.compress(d),
    "second separator": lines(other_separator),
    "first column gone": lines(lambda r: drop_field(r, 0)),
    "second column gone": lines(lambda r: drop_field(r, 1)),
    "last column gone": lines(lambda r: drop_field(r, -1)),
    "a field too many": lines(lambda r: [*r[:2], r[2] + separator_of(r[0]) + "1", *r[3:]]),
    "rows twice": lines(lambda r: [*r, *r[1:4]]),
    "header twice": lines(lambda r: [r[0], *r]),
    "header at the end": lines(lambda r: [*r[1:], r[0]]),
    "columns twice": lines(lambda r: [t + separator_of(r[0]) + t for t in r]),
    "value 1e999": lines(replace_last_number("1e999")),
    "value 1e40": lines(replace_last_number("1e40")),
    "value of 400 digits": lines(replace_last_number("9" * 400)),
    "value in words": lines(replace_last_number("twelve")),
    "value with a unit": lines(replace_last_number("12 ug")),
    "year 0001": lines(replace_timestamp("0001-01-01 00:00:00")),
    "year 9999": lines(replace_timestamp("9999-12-31 23:00:00")),
    "no such day": lines(replace_timestamp("2020-02-31 00:00:00")),
    "no date": lines(replace_timestamp("yesterday")),
    "an open quote": lambda d: d[: len(d) // 3] + b'"' + d[len(d) // 3 :],
    "a very long field": lambda d: d[:-1] + b"7" * 200_000 + b"\n",
}
DEFECTS = {**HARMLESS, **HARMFUL}


def text_files(folder):
    return sorted(p for p in folder.rglob("*") if p.is_file())


def opened(made):
    """Return the dataset, or None where a SchemaError names the problem."""
    try:
        return open_stations(made.source, **made.options)
    except SchemaError:
        return None


def assert_no_strange_value(ds, made, *, cut=False):
    """Assert that every value is that of the record.

    A file that is cut inside its last number ends in another number; it cannot be recognised, and is allowed.
    """
    for i, name in enumerate(made.ids):
        if name in ds.station:
            got = ds.pm25.sel(station=name).to_series().dropna() if "pm25" in ds else []
            expected = dict(zip(STARTS, VALUES[i], strict=True))
            strange = {t: v for t, v in (got.items() if len(got) else ()) if expected.get(t) != np.float32(v)}
            if cut and len(strange) == 1:
                ((time, value),) = strange.items()
                assert str(expected[time]).startswith(f"{value:g}")
            else:
                assert not strange


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("name", TEXT)
def test_a_damaged_text_file(name, defect, tmp_path):
    made = MAKERS[name](tmp_path)
    # One file of several is damaged, and the others must not hide it.
    path = text_files(tmp_path)[0]
    path.write_bytes(DEFECTS[defect](path.read_bytes()))
    if len(text_files(tmp_path)) > 3:
        made = replace(made, source=text_files(tmp_path)[:3])
    ds = opened(made)
    if ds is None:
        # Line ends and byte order marks are no reason for an error.
        assert defect not in ("byte order mark", "windows line ends", "blank lines", "no last line end")
        return
    assert_no_strange_value(ds, made, cut=defect.startswith("cut"))


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_damaged_station_list(defect, tmp_path):
    made = MAKERS["long"](tmp_path)
    path = tmp_path / "list" / "stations.csv"
    path.parent.mkdir()
    made.options["stations"].to_csv(path, index=False)
    path.write_bytes(DEFECTS[defect](path.read_bytes()))
    ds = opened(replace(made, options={**made.options, "stations": path}))
    if ds is not None:
        np.testing.assert_array_equal(ds.pm25, VALUES)
        np.testing.assert_array_equal(ds.station, IDS)


BINARY = {
    "empty": lambda d: b"",
    "cut in half": lambda d: d[: len(d) // 2],
    "cut at the end": lambda d: d[:-9],
    "first bytes gone": lambda d: d[16:],
    "a byte turned": lambda d: d[: len(d) // 2] + bytes([d[len(d) // 2] ^ 0xFF]) + d[len(d) // 2 + 1 :],
    "random bytes": lambda d: np.random.default_rng(1).bytes(4000),
    "text": lambda d: b"station,time,pm25\n",
    "more behind": lambda d: d + b"garbage",
    "twice": lambda d: d + d,
}


def excel(folder):
    made = MAKERS["long"](folder)
    pd.read_csv(made.source, dtype={"station": str}).to_excel(folder / "obs.xlsx", index=False)
    made.source.unlink()
    return replace(made, source=folder / "obs.xlsx")


def netcdf(folder):
    made = MAKERS["long"](folder)
    open_stations(made.source, **made.options).to_netcdf(folder / "obs.nc")
    made.source.unlink()
    return replace(made, source=folder / "obs.nc", options={})


@pytest.mark.parametrize("defect", BINARY)
@pytest.mark.parametrize(
    "maker",
    [MAKERS["eea_parquet"], MAKERS["openaq_archive"], excel, netcdf],
    ids=["parquet", "gzip", "excel", "netcdf"],
)
def test_a_damaged_binary_file(maker, defect, tmp_path):
    made = maker(tmp_path)
    path = text_files(tmp_path)[0]
    path.write_bytes(BINARY[defect](path.read_bytes()))
    ds = opened(made)
    if ds is not None and defect != "a byte turned":
        assert_no_strange_value(ds.compute(), made)


def test_there_are_over_200_cases():
    assert len(DEFECTS) * len(TEXT) + len(DEFECTS) + 4 * len(BINARY) >= 200
