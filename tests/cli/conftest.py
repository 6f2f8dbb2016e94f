"""A small network in files, a cube and a model of it, for commands."""

from pathlib import Path

import pandas as pd
import pytest

import xaq
from xaq.cli import main


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """The folder of a small network: tables and a cube ``c.zarr``."""
    folder = tmp_path_factory.mktemp("network")
    ds = xaq.datasets.synthetic(n_stations=12, days=2, seed=6)
    ds.pm25[2, 5:8] = -4
    table = ds.pm25.to_dataframe().reset_index()[["station", "time", "pm25"]].dropna()
    table["no2"] = 0.5 * table["pm25"]
    table.to_csv(folder / "obs.csv", index=False)
    pd.DataFrame({"station": ds.station, "lon": ds.lon, "lat": ds.lat}).to_csv(folder / "stations.csv", index=False)
    data = data_of(folder)
    cube = ["--target", "pm25", "--grid", "0.5", "--time", "2020-01-02T08/2020-01-02T09", "--store"]
    assert main(["reanalyze", "idw", *data, *cube, str(folder / "c.zarr")]) == 0
    return folder


@pytest.fixture(scope="session")
def with_model(network):
    """The same folder with an untrained model ``m.xaq``, from which two stations were hidden."""
    ds = xaq.open_stations(network / "obs.csv", stations=network / "stations.csv", tz="UTC").aq.hide(["s003", "s010"])
    config = xaq.AQNetConfig(hidden=8, heads=2, k=4, days_before=1, days_after=1)
    ds.aq.train("pm25", config=config, geography=False, max_epochs=0, progress=False).save(network / "m.xaq")
    return network


def data_of(folder: Path) -> list[str]:
    """The network as the arguments of a command."""
    return [str(folder / "obs.csv"), "--stations", str(folder / "stations.csv"), "--tz", "UTC", "--units", "no2=ppb"]


@pytest.fixture
def data(network):
    return data_of(network)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
