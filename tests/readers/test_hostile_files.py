"""Files that are small and hold gigabytes, and paths that are no files: refused at once, with little memory."""

import bz2
import gzip
import json
import lzma
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made import MAKERS, assert_the_record

import xaq
from xaq.errors import SchemaError
from xaq.readers import compressed, folders
from xaq.readers.dispatch import open_stations

#: Opens each path in turn and prints what happened, and the peak of memory in MiB.
OPEN = """
import json, pathlib, re, sys, warnings
import pandas as pd, xaq
warnings.simplefilter("ignore")
said = []
places = pd.DataFrame({"station": ["a"], "lon": [1.0], "lat": [2.0]})
for path in sys.argv[1:]:
    try:
        xaq.open_stations(path, stations=places, tz="UTC")
        said.append("opened")
    except xaq.errors.XaqError as error:
        said.append(str(error))
status = pathlib.Path("/proc/self/status").read_text()
print(json.dumps([said, int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) / 1024]))
"""
HEADER, ROW = b"station,time,pm25\n", b"a,2020-01-01 00:00,1.0\n"


def opened_elsewhere(*paths: Path) -> tuple[list[str], float]:
    """Return what opening the files says, in a process of its own, and the peak of its memory in MiB."""
    env = {**os.environ, "PYTHONPATH": str(Path(xaq.__file__).parents[1])}
    run = subprocess.run(
        [sys.executable, "-c", OPEN, *map(str, paths)], capture_output=True, text=True, env=env, timeout=120, check=True
    )
    said, peak = json.loads(run.stdout.splitlines()[-1])
    return said, peak


def repeated(compress, mebibytes: int) -> bytes:
    """Return a table of so many MiB, as compressed streams of 4 MiB one after the other, which is one compressed file."""
    return compress(HEADER) + compress(ROW * (4 * 2**20 // len(ROW))) * (mebibytes // 4)


def sheet(path: Path, data: str, times: int = 1) -> Path:
    """Write a workbook with the rows of its sheet in XML."""
    pd.DataFrame({"station": ["a"]}).to_excel(path, index=False)
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in parts.items():
            if not name.endswith("sheet1.xml"):
                new.writestr(name, content)
        with new.open("xl/worksheets/sheet1.xml", "w") as out:
            out.write(b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>')
            for _ in range(times):
                out.write(data.encode())
            out.write(b"</sheetData></worksheet>")
    return path


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells a process the peak of its memory")
def test_files_that_hold_gigabytes_are_refused_with_little_memory(tmp_path):
    for name, compress in {"g.csv.gz": gzip.compress, "b.csv.bz2": bz2.compress, "x.csv.xz": lzma.compress}.items():
        (tmp_path / name).write_bytes(repeated(compress, 600))
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("z.csv", HEADER + ROW * 5_000_000)
    (tmp_path / "line.csv.gz").write_bytes(gzip.compress(b"1," * 2**21) * 200)
    batch = pa.table(
        {"station": ["a"] * 100_000, "time": [pd.Timestamp("2020-01-01")] * 100_000, "pm25": [1.0] * 100_000}
    )
    with pq.ParquetWriter(tmp_path / "p.parquet", batch.schema) as writer:
        for _ in range(200):
            writer.write_table(batch)
    cell, row = '<c t="n"><v>1</v></c>', '<row r="{}"><c r="XFD{}"><v>1</v></c></row>'
    sheet(tmp_path / "cells.xlsx", f"<row>{cell * 1000}</row>", 4000)
    sheet(tmp_path / "wide.xlsx", "".join(row.format(i, i) for i in range(1, 2000)))
    sheet(tmp_path / "far.xlsx", row.format(1, 1) + row.format(10**12, 10**12))
    expected = {
        **dict.fromkeys(("g.csv.gz", "b.csv.bz2", "x.csv.xz", "z.zip"), "and holds over"),
        "line.csv.gz": "a line has over 8,388,608 characters",
        **dict.fromkeys(("p.parquet", "cells.xlsx"), "more than a table plausibly does"),
        **dict.fromkeys(("wide.xlsx", "far.xlsx"), "has more than 1,048,576 rows or 10,000,000 cells"),
    }
    said, peak = opened_elsewhere(*(tmp_path / name for name in expected))
    assert [text in message for text, message in zip(expected.values(), said, strict=True)] == [True] * len(said), said
    assert [message.count("fix:") for message in said] == [1] * len(said)
    assert peak < 1024


# -- archives ----------------------------------------------------------------------------------------------------------


def advised(error: pytest.ExceptionInfo) -> str:
    """Return the path in the advice of an error, after its call."""
    call, path = re.search(r"fix: (?:if you trust it, )?(shutil\..*), then the path '(.*)'", str(error.value)).groups()
    eval(call, {"shutil": shutil, "gzip": gzip, "bz2": bz2, "lzma": lzma, "open": open})
    return path


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv.bz2", ".csv.xz", ".csv.zip"])
def test_a_refused_file_is_read_once_it_is_unpacked(suffix, tmp_path, monkeypatch):
    made = MAKERS["long"](tmp_path)
    pd.read_csv(made.source).to_csv(tmp_path / f"packed{suffix}", index=False)
    monkeypatch.setattr(compressed, "_FLOOR", 500)
    monkeypatch.setattr(compressed, "_RATIO", 1)
    with pytest.raises(SchemaError, match="and holds over") as error:
        open_stations(tmp_path / f"packed{suffix}", **made.options)
    assert_the_record(open_stations(advised(error), **made.options), made)


@pytest.mark.parametrize("name", ["obs.zip", "obs.csv.zip", "obs.csv"])
def test_a_zip_archive_of_one_file_is_that_file(name, tmp_path):
    made = MAKERS["long"](tmp_path)
    text = made.source.read_text()
    made.source.unlink()
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("folder/obs.csv", text)
        archive.writestr("__MACOSX/folder/._obs.csv", "x")
    assert_the_record(open_stations(tmp_path / name, **made.options), made)
    assert_the_record(open_stations(tmp_path, **made.options), made)


def test_a_zip_archive_of_several_files_names_them(tmp_path):
    made = MAKERS["long"](tmp_path)
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("a.csv", made.source.read_text())
        archive.writestr("b.csv", "station,time\n")
    with pytest.raises(SchemaError, match=r"several files: a.csv, b.csv; fix: shutil.unpack_archive") as error:
        open_stations(tmp_path / "two.zip", **made.options)
    assert_the_record(open_stations(advised(error), **made.options), made)


@pytest.mark.parametrize("suffix", ["xlsx", "parquet", "feather"])
def test_a_zip_archive_of_a_file_that_is_not_text(suffix, tmp_path):
    made = MAKERS["long"](tmp_path)
    table = pd.read_csv(made.source, dtype={"station": str})
    path = tmp_path / f"obs.{suffix}"
    {"xlsx": lambda p: table.to_excel(p, index=False), "parquet": table.to_parquet, "feather": table.to_feather}[
        suffix
    ](path)
    assert_the_record(open_stations(path, **made.options), made)
    with zipfile.ZipFile(tmp_path / "obs.zip", "w") as archive:
        archive.write(path, path.name)
    assert_the_record(open_stations(tmp_path / "obs.zip", **made.options), made)


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (b"\x28\xb5\x2f\xfd1234", "it is compressed by Zstandard"),
        (b"<!DOCTYPE html><html>", "it is a web page"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "it is a workbook of Excel 97"),
        (b"PAR1abcd", "holds Parquet"),
        (b"\x89HDF\r\n", "holds netCDF"),
        (gzip.compress(gzip.compress(HEADER, mtime=0), mtime=0), "holds a file of gzip"),
        (b"PK\x03\x04broken", "is damaged, or not what its name says"),
    ],
)
def test_what_is_no_text_is_named(start, says, tmp_path):
    (tmp_path / "a.csv").write_bytes(start)
    with pytest.raises(SchemaError, match=says) as error:
        open_stations(tmp_path / "a.csv", stations=tmp_path / "a.csv", tz="UTC")
    assert str(error.value).count("fix:") == 1


# -- paths that are no files -------------------------------------------------------------------------------------------


def test_pipes_devices_and_the_root_are_refused_at_once(tmp_path):
    made = MAKERS["long"](tmp_path)
    for name in ("pipe.csv", "pipe.csv.gz", "pipe.zip", "pipe.parquet", "pipe.xlsx", "pipe.nc", "location-1.csv"):
        os.mkfifo(tmp_path / name)
        for call in (
            lambda path: open_stations(path, **made.options),
            lambda path: open_stations([made.source, path], **made.options),
            lambda path: open_stations(made.source, stations=path, tz="UTC"),
        ):
            with pytest.raises(SchemaError, match="is a pipe, expected a file or a folder; fix: the path of a file"):
                call(tmp_path / name)
    with pytest.raises(SchemaError, match="is a device"):
        open_stations("/dev/zero", **made.options)
    with pytest.raises(SchemaError, match="is the root of a file system; fix: the folder of the data"):
        open_stations("/", **made.options)
    # A pipe in a folder of data is none of its files.
    assert_the_record(open_stations(tmp_path, **made.options), made)


def test_a_folder_that_is_none_of_data_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_SEEN", 20)
    for i in range(30):
        (tmp_path / f"{i}.py").write_text("")
    with pytest.raises(SchemaError, match="holds over 20 files, of which 0 are data"):
        open_stations(tmp_path)


@pytest.mark.parametrize(
    "path", ["nothing.csv", "x" * 5000, "nul\x00byte.csv", "https://example.org/a.csv", "s3://bucket/a.csv"]
)
def test_paths_that_do_not_exist(path):
    with pytest.raises(SchemaError) as error:
        open_stations(path, tz="UTC")
    assert str(error.value).count("fix:") == 1
