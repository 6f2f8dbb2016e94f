"""Fixes of a table whose rows come from several files: how the files are read as one frame."""

import pathlib
import re

import numpy as np
import pandas as pd
import pytest

from xaq.errors import SchemaError
from xaq.readers.dispatch import open_stations

IDS = ["11", "12", "13", "14", "15", "16"]
PLACES = pd.DataFrame({"sensor_index": IDS[:5], "lon": -73.7 + 0.1 * np.arange(5), "lat": 42.5})


def write(folder, *, n=6, **options):
    times, rng = 1656720000 + 3600 * np.arange(24), np.random.default_rng(0)
    for i in IDS[-n:]:
        a = rng.uniform(1, 9, 24).round(2)
        table = pd.DataFrame({"sensor_index": i, "time_stamp": times, "pm2.5_cf_1_a": a, "pm2.5_cf_1_b": a})
        table.to_csv(folder / f"sensor {i}.csv", index=False, **options)


def applied(error):
    """Return the frame after the fix of an error, read as the error says."""
    fix, read = re.search(r"(table = [^;]*); the files are read by (table = .*\)); then open_stations", error).groups()
    names = {"pd": pd, "pathlib": pathlib}
    exec(f"{read}\n{fix}", names)
    return names["table"]


@pytest.mark.parametrize("n", [2, 6])
@pytest.mark.parametrize("options", [{}, {"sep": ";", "decimal": ","}])
def test_a_folder_with_a_sensor_that_the_list_lacks(tmp_path, n, options):
    write(tmp_path, n=n, **options)
    for source in (tmp_path, f"{tmp_path}/*.csv", sorted(tmp_path.iterdir())):
        with pytest.raises(SchemaError, match=rf"1 of {n} stations have no coordinates: 16 .*fix: ") as raised:
            open_stations(source, stations=PLACES)
        ds = open_stations(applied(str(raised.value)), stations=PLACES)
        assert ds.station.values.tolist() == IDS[-n:-1]


def test_some_files_of_a_folder_are_read_alone(tmp_path):
    write(tmp_path)
    with pytest.raises(SchemaError) as raised:
        open_stations([tmp_path / f"sensor {i}.csv" for i in IDS[2:]], stations=PLACES)
    assert open_stations(applied(str(raised.value)), stations=PLACES).station.values.tolist() == IDS[2:-1]


def test_files_of_different_forms_have_no_common_call(tmp_path):
    write(tmp_path)
    write(tmp_path, n=1, sep=";")
    with pytest.raises(SchemaError, match=r"leave them out: table = table\[[^;]*$"):
        open_stations(tmp_path, stations=PLACES)
