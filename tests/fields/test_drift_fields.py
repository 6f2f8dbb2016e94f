"""Fields as predictors of an external drift: what they are at stations and places, what they gain, what is refused."""

import numpy as np
import pytest
import rioxarray  # noqa: F401 - registers the .rio accessor
import xarray as xr
from scipy.ndimage import gaussian_filter

import xaq
from xaq.errors import ModelError, SchemaError
from xaq.fields.background import settle_field
from xaq.fields.predictors import Predictors
from xaq.fields.sample import sample_points
from xaq.interpolate.trend import BackgroundFactor

BOUNDS = (8.0, 48.0, 12.0, 52.0)


def hills(nodata=False):
    """Return 200 to 1000 m in hills of some 20 km, whose valleys are not seen from the stations around."""
    lat, lon = np.arange(52.0, 48.0, -0.02), np.arange(8.0, 12.0, 0.02)
    y, x = np.meshgrid(lat, lon, indexing="ij")
    values = (600.0 + 400.0 * np.sin(9 * x) * np.cos(11 * y)).astype("float32")
    if nodata:
        values[:, :100] = -9999.0
    raster = xr.DataArray(values, {"y": lat, "x": lon}, ("y", "x"), attrs={"units": "m"})
    return raster.rio.write_crs("EPSG:4326").rio.write_nodata(-9999.0)


@pytest.fixture(scope="module")
def network():
    """Return plumes that thin out with height."""
    ds = xaq.datasets.synthetic(n_stations=60, days=2, missing=0.05).drop_vars("elevation")
    height = sample_points(hills(), ds.lon, ds.lat).values[:, None]
    values = (ds.pm25 * np.exp(-(height - 600.0) / 700.0)).astype("float32").assign_attrs(ds.pm25.attrs)
    return ds.assign(pm25=values).aq.hide(fraction=0.25, seed=1)


@pytest.fixture(scope="module")
def cams(network):
    """Return the plumes without the hills, smoothed and biased."""
    truth = xaq.datasets.synthetic_truth(xaq.Grid.regular(0.1, bounds=BOUNDS), network.time.values)
    return truth.copy(data=5.0 + 0.7 * gaussian_filter(truth.values, (0, 3, 3))).assign_attrs(units="ug m-3")


def constant_field(network):
    axes = {"time": network.time.values, "lat": [48.0, 52.0], "lon": [8.0, 12.0]}
    return xr.DataArray(
        np.full((network.sizes["time"], 2, 2), 20.0), axes, ("time", "lat", "lon"), "pm25", {"units": "ug m-3"}
    )


POINTS = {"lon": [9.5, 10.0, 10.6], "lat": [49.5, 50.0, 50.4]}


# -- what it gains -------------------------------------------------------------------------------------------------


def test_rasters_are_read_as_a_method_and_as_a_baseline_and_help_at_hidden_stations(network):
    rasters = {"elevation": hills()}
    table = network.aq.verify("kriging-drift", rasters=rasters, baselines=["kriging"])
    alone = network.aq.verify("kriging-drift", baselines=[])
    for score in ("mae", "rmse", "crps"):
        assert table.loc["kriging-drift", score] < 0.8 * table.loc["kriging", score]
        assert table.loc["kriging-drift", score] < 0.8 * alone[score].item()
    assert 0.8 < table.loc["kriging-drift", "coverage"] < 1


@pytest.mark.slow
def test_a_model_is_verified_beside_kriging_with_the_same_rasters(network):
    rasters = {"elevation": hills()}
    model = network.aq.train("pm25", rasters=rasters, max_epochs=0, progress=False)
    table = network.aq.verify(model, rasters=rasters, baselines=["kriging-drift", "kriging"])
    alone = network.aq.verify("kriging-drift", rasters=rasters, baselines=[])
    assert table.loc["kriging-drift", "mae"] == pytest.approx(alone.mae.item(), rel=1e-6)


@pytest.mark.slow
def test_background_and_rasters_are_better_than_either(network, cams):
    rasters = {"elevation": hills()}
    mae = [
        network.aq.verify("kriging-drift", baselines=[], **fields).mae.item()
        for fields in ({"background": cams, "rasters": rasters}, {"background": cams}, {"rasters": rasters})
    ]
    assert mae[0] < 0.95 * min(mae[1:])


@pytest.mark.slow
def test_rasters_of_emilia_romagna_help_at_stations_that_are_left_out_in_turn(shared_data):
    folder = shared_data / "emilia_romagna_pesco_2014_2015"
    ds = xaq.open_stations(
        folder / "obs_pm10_daily_2015.parquet", stations=folder / "stations.csv", tz="UTC",
        units={"pm10": "ug m-3"}, na_values=[-9999],
    )  # fmt: skip
    static = xr.open_dataset(folder / "static_1km.nc")
    rasters = {
        name: static[name].drop_vars(["lon", "lat"]).rio.write_crs("EPSG:32632")
        for name in ("elevation", "population", "emis_nox_ann")
    }
    folds = [ds.station.values[np.random.default_rng(0).permutation(ds.sizes["station"])[i::5]] for i in range(5)]

    def mae(method, **fields):
        tables = [ds.aq.hide([*map(str, fold)]).aq.verify(method, baselines=[], **fields) for fold in folds]
        return np.average([t.mae.item() for t in tables], weights=[t.n.item() for t in tables])

    with_rasters, geography, plain = mae("kriging-drift", rasters=rasters), mae("kriging-drift"), mae("kriging")
    assert with_rasters < 0.93 * geography < 0.85 * plain


# -- laws ----------------------------------------------------------------------------------------------------------


def test_a_constant_background_is_none(network):
    rasters = {"elevation": hills()}
    without, over = (
        network.aq.estimate("kriging-drift", background=b, rasters=rasters, **POINTS)
        for b in (None, constant_field(network))
    )
    for name in ("pm25", "pm25_lower", "pm25_upper"):
        np.testing.assert_allclose(over[name], without[name], rtol=1e-5)


@pytest.mark.slow
def test_the_units_of_a_raster_and_the_scale_of_a_background_do_not_matter(network, cams):
    one = network.aq.estimate("kriging-drift", background=cams, rasters={"elevation": hills()}, **POINTS)
    feet = {"height": (hills() / 0.3048).assign_attrs(units="ft")}
    other = network.aq.estimate(
        "kriging-drift", background=(10 * cams).assign_attrs(cams.attrs), rasters=feet, **POINTS
    )
    for name in ("pm25", "pm25_lower", "pm25_upper"):
        np.testing.assert_allclose(other[name], one[name], rtol=1e-4)


def test_hidden_stations_leave_no_trace(network):
    poisoned = network.copy(deep=True)
    poisoned.pm25[poisoned.hidden.values] = 1e9
    made, expected = (
        ds.aq.estimate("kriging-drift", rasters={"elevation": hills()}, **POINTS) for ds in (poisoned, network)
    )
    np.testing.assert_array_equal(made.pm25, expected.pm25)


# -- predictors ----------------------------------------------------------------------------------------------------


def test_a_background_is_a_logarithm_that_is_never_far_below_its_mean(network, cams):
    visible = network.aq.visible
    factor = BackgroundFactor(settle_field(cams, "pm25", "ug m-3"), 20.0, 1.0)
    source = Predictors.of({}, factor, visible)
    there = np.array([[20.0, 0.0, -3.0, 1.5, np.nan]])
    (column,) = source.at(np.array([10.0]), np.array([50.0]), visible.time.values[:5], there)
    np.testing.assert_allclose(column, np.log([[20.0, 1.0, 1.0, 1.5, np.nan]]), rtol=1e-6)
    assert source.fields == ()


def test_a_station_says_itself_what_the_raster_does_not(network):
    visible = network.aq.visible
    own = np.linspace(300, 500, visible.sizes["station"])
    source = Predictors.of({"elevation": hills(nodata=True)}, None, visible.assign_coords(elevation=("station", own)))
    lon, lat, times = visible.lon.values, visible.lat.values, visible.time.values
    (at_places,), (at_stations,) = (list(read(lon, lat, times, None)) for read in (source.at, source.at_stations))
    assert at_places.shape == at_stations.shape == (len(lon), 1)
    unknown = np.isnan(at_places)
    assert 0 < unknown.sum() < len(lon)
    np.testing.assert_array_equal(at_stations[~unknown], at_places[~unknown])
    assert np.isfinite(at_stations).all()


def test_nothing_given_is_no_source(network):
    assert Predictors.of({}, None, network.aq.visible) is None


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["kriging", "kriging-log", "kriging-spacetime", "idw", "nearest", xaq.Nearest()])
def test_other_methods_refuse_rasters_and_name_the_one_that_reads_them(network, method):
    with pytest.raises(ModelError, match=r"fix: 'kriging-drift', or rasters=None"):
        network.aq.estimate(method, target="pm25", rasters={"elevation": hills()}, **POINTS)


def test_rasters_that_say_nothing_are_refused(network):
    level = xr.full_like(hills(), 5.0)
    cases = [
        ({"elevation": level}, "explains nothing; fix: leave it out"),
        ({"elevation": hills().assign_coords(x=hills().x + 40.0)}, "does not cover 45 of 45 stations"),
        ({"elevation": hills().expand_dims(time=network.time.values[:2])}, "has a time"),
    ]
    for rasters, message in cases:
        with pytest.raises(SchemaError, match=message):
            network.aq.estimate("kriging-drift", rasters=rasters, **POINTS)
