"""Warnings name the line of the user's code, however deep inside xaq their cause is found; hints to install work."""

import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import xaq
from xaq import errors
from xaq.errors import XaqWarning


@pytest.fixture(scope="module")
def ds():
    made = xaq.datasets.synthetic(n_stations=12, days=4)
    made["pm25"][3] = np.nan
    return made


@pytest.mark.parametrize(
    ("verb", "message"),
    [
        (lambda ds: ds.aq.train("pm25", max_epochs=0, progress=False), "never report"),
        (lambda ds: ds.aq.train("pm25", max_epochs=0, progress=False), "k lowered"),
        (lambda ds: xaq.train(ds, "pm25", max_epochs=0, progress=False), "k lowered"),
        (lambda ds: ds.where(ds.time > ds.time[5]).aq.reanalyze("idw", target="pm25", grid=1.0), "no visible station"),
    ],
)
def test_the_line_that_called_xaq_is_named(ds, verb, message):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        verb(ds)
    found = [w.filename for w in caught if issubclass(w.category, XaqWarning) and message in str(w.message)]
    assert found == [__file__]


def test_hints_to_install_do_not_look_for_xaq_in_an_index():
    """xaq is installed from a clone, so that pip finds no ``xaq[readers]``."""
    root = Path(xaq.__file__).parent
    paths = [*root.rglob("*.py"), *(root.parent / "docs").glob("*.md")]
    hints = [h for path in paths for h in re.findall(r"pip install [^`]*", path.read_text(encoding="utf-8"))]
    assert len(hints) >= 5
    assert [h for h in hints if re.match(r"""pip install ["']?xaq""", h)] == []


def test_a_damaged_file_asks_for_netcdf4_only_where_it_is_absent(tmp_path, monkeypatch):
    path = tmp_path / "a.nc"
    path.write_bytes(b"\x89HDF\r\n\x1a\n damaged")
    for found, fix in ((None, ", or for netCDF 4 pip install netCDF4"), (object(), "")):
        monkeypatch.setattr(errors, "find_spec", lambda name, found=found: found)
        for read in (xaq.open_stations, xaq.open_field):
            with pytest.raises(errors.SchemaError, match=rf"cannot be opened .*; fix: a valid file{fix}$"):
                read(path)


def test_excel_without_its_reader_names_the_package(tmp_path, monkeypatch):
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(errors.SchemaError, match=r"Excel needs openpyxl; fix: pip install openpyxl$"):
        xaq.open_stations(tmp_path / "a.xlsx")
