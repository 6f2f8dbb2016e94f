"""``xaq estimate``: one row per point and time, ids as they are written, the values of Python."""

import numpy as np
import pandas as pd
import pytest

import xaq
from xaq.cli import main
from xaq.cli.estimate import rows

POINTS = pd.DataFrame({"person": ["007", "008", "007"], "x": [10.0, 10.2, 10.1], "y": [50.0, 50.1, 50.2]})
COLUMNS = ["--id", "person", "--point-columns", "lon=x,lat=y"]
ASKED = ["--target", "pm25", "--time", "2020-01-01"]


@pytest.fixture
def cohort(here):
    POINTS.to_csv("cohort.csv", index=False)
    return here


def of_python(network, method, **asked):
    ds = xaq.open_stations(network / "obs.csv", stations=network / "stations.csv", tz="UTC", units={"no2": "ppb"})
    return ds.aq.estimate(method, lon=POINTS.x.to_numpy(), lat=POINTS.y.to_numpy(), target="pm25", **asked).compute()


@pytest.mark.parametrize("name", ["e.csv", "e.parquet"])
def test_rows_are_points_and_times_with_the_values_of_python(network, data, cohort, name):
    assert main(["estimate", "idw", *data, *ASKED, "--points", "cohort.csv", *COLUMNS, "-o", name]) == 0
    read = {"e.csv": lambda: pd.read_csv(name, dtype={"person": str}), "e.parquet": lambda: pd.read_parquet(name)}
    table = read[name]()
    assert table.person.tolist() == ["007"] * 24 + ["008"] * 24 + ["007"] * 24, "also where an id repeats"
    assert pd.to_datetime(table.time[:2]).tolist() == list(pd.date_range("2020-01-01", periods=2, freq="h", tz="UTC"))
    expected = of_python(network, "idw", time="2020-01-01")
    np.testing.assert_allclose(table.pm25, expected.pm25.T.values.ravel(), rtol=1e-5)
    assert table.lon.unique().tolist() == [10.0, 10.2, 10.1]


def test_members_are_columns_and_times_are_utc():
    ds = xaq.datasets.synthetic(n_stations=5, days=1)
    lon = pd.Series([10.0, 10.2], pd.Index(["7", "7"], name="person"))
    found = ds.aq.estimate("idw", lon=lon, lat=lon + 40, time=("2020-01-01T00", "2020-01-01T01"))
    members = (("member", *found.pm25.dims), np.arange(12.0).reshape(3, *found.pm25.shape))
    found = found.assign(pm25_member=members).assign_coords(
        member=[0, 1, 2], period_end=found.time + np.timedelta64(1, "h")
    )
    table = rows(found, "person")
    assert list(table)[:5] == ["person", "lon", "lat", "time", "period_end"]
    assert table.person.tolist() == ["7"] * 4
    assert table.pm25_member_2.tolist() == [8.0, 10.0, 9.0, 11.0]
    assert (table.period_end - table.time == pd.Timedelta("1h")).all()
    assert str(table.period_end.dt.tz) == str(table.time.dt.tz) == "UTC"


def test_the_options_of_periods_reach_python(data, cohort, monkeypatch):
    options = (
        "--freq D --period-tz Europe/Berlin --members 2 --members-seed 3 --level 0.8 --statistic max --capture 0.5"
    )
    points = ["--points", "cohort.csv", *COLUMNS, "-o", "e.csv"]
    parsed = {}
    monkeypatch.setattr(xaq.cube.reanalyze, "estimate", lambda ds, mapper, **asked: parsed.update(asked) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(
            ["estimate", "idw", *data, *ASKED, *options.split(), "--init", "2020-01-01", "--max-distance", "9", *points]
        )
    del parsed["lon"], parsed["lat"]
    assert parsed == {
        "target": "pm25", "time": "2020-01-01", "init": "2020-01-01", "freq": "D", "tz": "Europe/Berlin", "members": 2,
        "seed": 3, "level": 0.8, "statistic": "max", "capture": 0.5, "max_distance": 9.0,
        "background": None, "rasters": None, "fields": None,
    }  # fmt: skip


def test_points_without_ids_are_counted_and_common_names_are_found(data, here):
    pd.DataFrame({"Longitude": [10.0, 10.1], "LAT": [50.0, 50.1]}).to_csv("p.csv", index=False)
    assert main(["estimate", "idw", *data, *ASKED, "--points", "p.csv", "-o", "e.csv"]) == 0
    assert pd.read_csv("e.csv").point.unique().tolist() == [0, 1]
    pd.DataFrame({"site": ["a", "b"], "lon": [10.0, 10.1], "lat": [50.0, 50.1]}).to_parquet("p.parquet")
    assert main(["estimate", "idw", *data, *ASKED, "--points", "p.parquet", "-o", "e.csv"]) == 0
    assert pd.read_csv("e.csv").site.unique().tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("points", "arguments", "fix"),
    [
        (POINTS, [], "--point-columns lon=COLUMN"),
        (POINTS, ["--id", "name", "--point-columns", "lon=x,lat=y"], "--id 'person'"),
        (POINTS.assign(x=["10", "?", "11"]), COLUMNS, "correct the file, or leave these rows out"),
        (POINTS.assign(y=[50.0, None, 50.0]), COLUMNS, "correct the file, or leave these rows out"),
        (POINTS.assign(x=100.0, y=[50.0, 500.0, 50.0]), COLUMNS, "leave these points out of the file"),
    ],
)
def test_points_that_cannot_be_used_are_refused_with_a_fix(data, here, capsys, points, arguments, fix):
    points.to_csv("p.csv", index=False)
    assert main(["estimate", "idw", *data, *ASKED, "--points", "p.csv", *arguments, "-o", "e.csv"]) == 1
    assert capsys.readouterr().err.strip().endswith(f"fix: {fix}")
    assert not (here / "e.csv").exists()


def test_a_wrong_place_is_said_before_anything_is_read(here, capsys):
    assert main(["estimate", "idw", "no.csv", "--points", "no.csv", "-o", "e.xlsx"]) == 2
    assert capsys.readouterr().err.endswith("fix: -o e.csv\n")
    assert main(["estimate", "idw", "no.csv", "--points", "no.csv", "-o", "e.csv"]) == 1
    assert "fix: --points points.csv" in capsys.readouterr().err
