"""CF discrete sampling geometries, round trips through netCDF and Zarr, and every verb on Dask-backed stations."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xaq
from xaq.errors import SchemaError
from xaq.readers.dispatch import open_stations

pytestmark = pytest.mark.filterwarnings(
    "ignore::xaq.errors.XaqWarning", "ignore::UserWarning:zarr", "ignore::FutureWarning:zarr"
)

#: Encoding of a station dataset without errors of a CF checker: identifiers as characters.
AS_CF = {"station": {"dtype": "S1"}}


@pytest.fixture(scope="module")
def network() -> xr.Dataset:
    """A network with two pollutants, weather, hidden stations, gaps and names beyond ASCII."""
    ds = xaq.datasets.synthetic(n_stations=12, days=4, seed=3)
    ids = [*ds.station.values[:-1], "Münster-Geist"]
    ds = ds.assign_coords(station=("station", ids, ds.station.attrs)).aq.hide(fraction=0.25, seed=1)
    more = {"o3": (ds.pm25 * 1.5).assign_attrs(units="ppb"), "temp": (ds.pm25 - 20).assign_attrs(units="degC")}
    return open_stations(ds.assign({n: v.drop_attrs().assign_attrs(units=v.attrs["units"]) for n, v in more.items()}))


# -- round trips -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", [None, AS_CF], ids=["plain", "as CF"])
def test_netcdf_round_trip_is_exact(network, encoding, tmp_path):
    network.to_netcdf(tmp_path / "a.nc", encoding=encoding)
    xr.testing.assert_identical(open_stations(tmp_path / "a.nc").load(), network)
    with xr.open_dataset(tmp_path / "a.nc") as plain:
        np.testing.assert_array_equal(plain.aq.hidden.pm25, network.aq.hidden.pm25)
        assert repr(plain.aq) == repr(network.aq)


def test_zarr_round_trip_is_exact_and_lazy(network, tmp_path):
    network.chunk(station=5, time=24).to_zarr(tmp_path / "a.zarr")
    ds = open_stations(tmp_path / "a.zarr")
    assert ds.pm25.chunks == ((5, 5, 2), (24,) * 4)
    xr.testing.assert_identical(ds.load(), network)


def test_opening_computes_no_variable(network, tmp_path, no_compute):
    lazy = network.chunk(station=5, time=24)
    assert open_stations(lazy, timestamps="end").pm25.chunks is not None


def test_the_cf_checker_finds_no_error(network, tmp_path):
    runner = pytest.importorskip("compliance_checker.runner", reason="compliance-checker is in the dev extra")
    runner.CheckSuite.load_all_available_checkers()
    network.to_netcdf(tmp_path / "a.nc", encoding=AS_CF)
    report = tmp_path / "report.json"
    _, broken = runner.ComplianceChecker.run_checker(
        str(tmp_path / "a.nc"), ["cf:1.11"], 0, "normal", output_filename=str(report), output_format="json"
    )
    assert not broken
    (result,) = json.loads(report.read_text()).values()
    messages = [m for kind in ("high_priorities", "medium_priorities") for check in result[kind] for m in check["msgs"]]
    # This file has no history, and leap seconds do not matter to hourly means.
    assert [m for m in messages if "history" not in m and "units_metadata" not in m] == []


# -- geometries --------------------------------------------------------------------------------------------------------


@pytest.fixture
def samples(network) -> tuple[xr.Dataset, np.ndarray]:
    """Return the observations of a ragged array, and the station of each."""
    present = network.pm25.notnull().values
    station, time = np.nonzero(present)
    obs = xr.Dataset(
        {
            "PM2.5": ("obs", network.pm25.values[present], {"units": "µg/m3"}),
            "when": ("obs", network.time.values[time], {"standard_name": "time"}),
            "x": ("place", network.lon.values, {"standard_name": "longitude"}),
            "y": ("place", network.lat.values, {"standard_name": "latitude"}),
            "name": ("place", network.station.values, {"cf_role": "timeseries_id"}),
        },
        attrs={"featureType": "timeSeries", "title": "ragged"},
    )
    return obs, station


def contiguous(obs, station):
    counts = np.bincount(station, minlength=obs.sizes["place"])
    return obs.assign(row_size=("place", counts, {"sample_dimension": "obs"}))


def indexed(obs, station):
    order = np.random.default_rng(0).permutation(len(station))
    index = ("obs", station, {"instance_dimension": "place"})
    return obs.assign(of_place=index).isel(obs=order)


@pytest.mark.parametrize("layout", [contiguous, indexed])
@pytest.mark.parametrize("kind", [str, bytes])
def test_ragged_arrays_keep_what_is_known_of_stations_in_words(layout, kind, samples):
    ds = layout(*samples)
    n = ds.sizes["place"]
    words = np.array(["Köln", "Bonn", "Ulm"] * n)[:n]
    values = np.char.encode(words, "utf-8") if kind is bytes else words
    got = open_stations(ds.assign(station_name=("place", values), station_type=("place", ["traffic"] * n)))
    assert got.station_name.sel(station=ds["name"].values.astype(str)).values.tolist() == words.tolist()
    assert set(got.kind.values) == {"traffic"}


@pytest.mark.parametrize("layout", [contiguous, indexed])
@pytest.mark.parametrize("store", ["memory", "netcdf", "zarr"])
def test_ragged_arrays_are_read(layout, store, samples, network, tmp_path):
    ds = layout(*samples)
    if store == "netcdf":
        ds.to_netcdf(tmp_path / "r.nc", encoding={"name": {"dtype": "S1"}})
        ds = tmp_path / "r.nc"
    elif store == "zarr":
        ds.to_zarr(tmp_path / "r.zarr")
        ds = tmp_path / "r.zarr"
    got = open_stations(ds)
    expected = network.pm25.sortby("station")
    np.testing.assert_array_equal(got.station, expected.station)
    np.testing.assert_array_equal(got.pm25, expected)
    np.testing.assert_array_equal(got.time.values.astype("datetime64[s]"), network.time)
    np.testing.assert_array_equal(got.lon, network.lon.sortby("station"))
    assert got.pm25.attrs["units"] == "ug m-3"
    assert got.attrs["title"] == "ragged"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda ds: ds.isel(obs=slice(None, -3)), "counts .* cut short"),
        (lambda ds: ds.assign(row_size=-ds.row_size), "cut short"),
        (lambda ds: ds.assign(row_size=ds.row_size + 0.5), "not whole numbers"),
        (lambda ds: ds.drop_vars("name"), "no variable for station"),
        (lambda ds: ds.drop_vars("when"), "no variable for time"),
        (lambda ds: ds.assign(x=("obs", np.zeros(ds.sizes["obs"]), ds.x.attrs)), "x: expected the dimension 'place'"),
        (lambda ds: ds.assign(when=("obs", np.arange(ds.sizes["obs"]), ds.when.attrs)), "expected datetime64"),
    ],
)
def test_errors_of_ragged_arrays(spoil, says, samples):
    ds = contiguous(*samples)
    attrs = ds.row_size.attrs
    ds = spoil(ds)
    ds["row_size"].attrs = attrs
    with pytest.raises(SchemaError, match=says):
        open_stations(ds)


def test_an_index_outside_the_stations(samples):
    ds = indexed(*samples)
    ds.of_place[0] = 99
    with pytest.raises(SchemaError, match="points outside 'place', which has 12 stations"):
        open_stations(ds)


def test_a_file_that_is_not_netcdf(tmp_path):
    (tmp_path / "a.nc").write_text("station,time\n")
    with pytest.raises(SchemaError, match="cannot be opened as netCDF or Zarr"):
        open_stations(tmp_path / "a.nc")
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "zarr.json").write_text("{")
    with pytest.raises(SchemaError, match="cannot be opened as netCDF or Zarr"):
        open_stations(tmp_path / "b.zarr")


def test_two_variables_of_one_pollutant(network):
    with pytest.raises(SchemaError, match="several variables have the same meaning: pm25"):
        open_stations(network.assign({"PM2.5": network.pm25}))


# -- verbs on a store --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lazy(network, tmp_path_factory) -> xr.Dataset:
    """The network as a reopened Zarr store, chunked along both dimensions."""
    path = tmp_path_factory.mktemp("store") / "network.zarr"
    network.chunk(station=5, time=30).to_zarr(path)
    return xr.open_zarr(path)


def test_checking_and_hiding_a_store(lazy, network, no_compute):
    xr.testing.assert_equal(lazy.aq.hide(fraction=0.3, seed=4).hidden, network.aq.hide(fraction=0.3, seed=4).hidden)


def test_the_check_of_a_store(lazy, network):
    reports = [ds.aq.check().sort_values(["problem", "variable"], ignore_index=True) for ds in (lazy, network)]
    pd.testing.assert_frame_equal(*reports)


@pytest.mark.parametrize("method", ["kriging", "idw"])
def test_classical_verbs_on_a_store(method, lazy, network):
    for verb in (
        lambda ds: ds.aq.verify(method, target="pm25", baselines=["nearest"]).drop(columns="seconds", errors="ignore"),
        lambda ds: ds.aq.reanalyze(method, target="pm25", grid=0.5, time="2020-01-02").pm25.values,
        lambda ds: ds.aq.estimate(method, target="pm25", lon=[10.0], lat=[50.0], time="2020-01-02").pm25.values,
    ):
        np.testing.assert_allclose(np.asarray(verb(lazy), float), np.asarray(verb(network), float), rtol=1e-6)


def test_a_model_trained_on_a_store_is_the_model(lazy, network):
    settings = {"max_epochs": 1, "seed": 5, "device": "cpu", "progress": False}
    models = [ds.aq.train("pm25", **settings) for ds in (lazy, network)]
    for verb in (
        lambda ds, m: ds.aq.verify(m, baselines=["nearest"]).mae.to_numpy(float),
        lambda ds, m: ds.aq.reanalyze(m, grid=0.5, time="2020-01-02").pm25.values,
        lambda ds, m: ds.aq.estimate(m, lon=[10.0], lat=[50.0], time="2020-01-02").pm25.values,
    ):
        np.testing.assert_allclose(verb(lazy, models[0]), verb(network, models[1]), rtol=1e-5)
    cube = lazy.aq.reanalyze(models[0], grid=0.5, time="2020-01-02")
    for axes in (
        lazy.aq.plot.map(cube, time="2020-01-02T06"),
        lazy.aq.plot.errors(models[0]),
        lazy.aq.plot.series(cube, lazy.station.values[0]),
    ):
        assert axes.has_data()
    plt.close("all")


def test_the_fix_for_several_files_refuses_other_units(network, tmp_path):
    for i, units in enumerate(("ug m-3", "ug m-3", "mg m-3")):
        part = network[["pm25"]].isel(time=slice(24 * i, 24 * i + 24))
        part.assign(pm25=part.pm25.assign_attrs(units=units)).to_netcdf(tmp_path / f"{i}.nc")
    paths = [tmp_path / f"{i}.nc" for i in range(3)]
    with pytest.raises(SchemaError) as caught:
        open_stations(paths)
    fix = str(caught.value).split("fix: ")[1]
    names = {"xr": xr, "open_stations": open_stations, "paths": paths[:2]}
    np.testing.assert_array_equal(eval(fix, names).pm25, network.pm25[:, :48])
    with pytest.raises(xr.MergeError, match="units"):
        eval(fix, {**names, "paths": paths})
