"""A background of the target: laws, what it gains, what is refused, and that nothing of it leaks or is filled."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.ndimage import gaussian_filter

import xaq
from xaq.errors import ModelError, SchemaError, StoreError, XaqWarning
from xaq.fields.background import settle_field
from xaq.interpolate.classical import OrdinaryKriging
from xaq.interpolate.trend import BackgroundFactor, OverTrend, Trend
from xaq.nn.config import AQNetConfig
from xaq.stations import schema
from xaq.training.select import remove_trend, select_observations

SMALL = AQNetConfig(hidden=16, days_before=1, days_after=1, k=8)
BOUNDS = (8.0, 48.5, 12.0, 51.5)


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=40, days=3).aq.hide(fraction=0.25, seed=1)


@pytest.fixture(scope="module")
def cams(network):
    """Return the truth, smoothed over 0.3 degrees and biased, every third hour."""
    times = np.unique([*network.time.values[::3], network.time.values[-1]])
    truth = xaq.datasets.synthetic_truth(xaq.Grid.regular(0.1, bounds=BOUNDS), times)
    return truth.copy(data=5.0 + 0.7 * gaussian_filter(truth.values, (0, 3, 3))).assign_attrs(units="ug m-3")


def flat(network, value=20.0):
    axes = {"time": network.time.values, "lat": [48.0, 52.0], "lon": [8.0, 12.0]}
    shape = (network.sizes["time"], 2, 2)
    return xr.DataArray(np.full(shape, value), axes, ("time", "lat", "lon"), "pm25", {"units": "ug m-3"})


def train(ds, **options):
    return ds.aq.train("pm25", **{"config": SMALL, "max_epochs": 1, "progress": False, **options})


@pytest.fixture(scope="module")
def model(network, cams):
    return train(network, background=cams)


POINTS = {"lon": [9.5, 10.0, 10.6], "lat": [49.5, 50.0, 50.4]}


# -- laws ----------------------------------------------------------------------------------------------------------


def test_a_background_is_needed_only_when_stations_report(network, cams):
    day, first = cams.sel(time="2020-01-01"), network.time.dt.floor("D") == np.datetime64("2020-01-01")
    day = day.isel(time=[0, -1]).assign_coords(time=network.time.values[[0, 23]])
    options = {"target": "pm25", "time": "2020-01-01", "background": day, **POINTS}
    with pytest.raises(
        SchemaError, match=r"covers 2020-01-01T00:00:00 to 2020-01-01T23:00:00, needed is .* to 2020-01-03T23"
    ):
        network.aq.estimate("kriging", **options)
    alone = network.assign(pm25=network.pm25.where(first))
    made = alone.aq.estimate("kriging", **options)
    shorter = network.sel(time="2020-01-01").aq.estimate("kriging", **options)
    np.testing.assert_allclose(made.pm25, shorter.pm25, rtol=1e-5)


def test_a_shorter_background_is_refused_with_the_times_that_it_covers(network, cams):
    field = cams.sel(time="2020-01-01").isel(time=[0, -1]).assign_coords(time=network.time.values[[0, 23]])
    some = network.assign(pm25=network.pm25.where(network.time <= field.time.values[-1]))
    call = {"grid": 0.5, "background": field}
    with pytest.raises(SchemaError, match=r"never extrapolated; fix: .*time=slice") as caught:
        some.aq.reanalyze("kriging", **call)
    start, end = re.findall(r"time=slice\('([^']*)', '([^']*)'\)", str(caught.value))[-1]
    assert some.aq.reanalyze("kriging", **call, time=slice(start, end)).time[-1] == field.time[-1]


@pytest.mark.parametrize("units", ["ug/m**3", "µg m-3", "ug m^-3"])
def test_units_of_a_background_may_be_spelled_in_any_way(cams, units):
    assert settle_field(cams.assign_attrs(units=units), "pm25", "ug m-3").units == units


@pytest.mark.parametrize("method", ["kriging", "kriging-log", "idw"])
def test_a_constant_background_is_none(network, method):
    period = {"time": slice("2020-01-02", "2020-01-03"), **POINTS}
    ds = network.isel(station=slice(0, 20))
    without, over = (ds.aq.estimate(method, background=b, **period) for b in (None, flat(network)))
    for name in [n for n in without if n.startswith("pm25")]:
        np.testing.assert_allclose(over[name], without[name], rtol=1e-4, atol=1e-3)


def test_a_model_over_a_constant_background_is_the_model_without(network):
    ds = network.isel(station=slice(0, 20)).drop_vars("hidden")
    without, over = train(ds, max_epochs=0), train(ds, background=flat(network), max_epochs=0)
    np.testing.assert_allclose(
        ds.aq.estimate(over, background=flat(network), **POINTS).pm25,
        ds.aq.estimate(without, **POINTS).pm25,
        rtol=1e-4,
    )


def test_the_scale_of_a_background_does_not_matter(network, cams):
    ds = network.isel(station=slice(0, 20))
    one, ten = (ds.aq.estimate("kriging", background=b, **POINTS) for b in (cams, (cams * 10).assign_attrs(cams.attrs)))
    for name in ("pm25", "pm25_lower", "pm25_upper"):
        np.testing.assert_allclose(ten[name], one[name], rtol=1e-4, atol=1e-3)


def with_ratios(network, cams):
    """Return the visible stations, the same with observations over the background, and its factor at the points."""
    visible = network.aq.visible.drop_vars("hidden")
    over = BackgroundFactor.fit(settle_field(cams, "pm25", "ug m-3"), schema.observations(visible, "pm25"))
    factor = over.factor(np.array(POINTS["lon"]), np.array(POINTS["lat"]), visible.time.values).T
    assert np.ptp(factor) > 0.5
    at_stations = over.factor(visible.lon.values, visible.lat.values, visible.time.values)
    return visible, visible.assign(pm25=(visible.pm25 / at_stations).assign_attrs(visible.pm25.attrs)), factor


@pytest.mark.parametrize("method", ["kriging", "kriging-log", "kriging-spacetime", "idw"])
def test_over_a_background_the_ratio_and_its_distribution_are_mapped_and_multiplied(network, cams, method):
    """The whole fit sees ratios, the offset of a log scale too, and every quantile grows with the background."""
    visible, ratio, factor = with_ratios(network.isel(station=slice(0, 24), time=slice(0, 25)), cams)
    over = visible.aq.estimate(method, background=cams, **POINTS)
    alone = ratio.aq.estimate(method, **POINTS)
    names = [n for n in over.data_vars if n.startswith("pm25")]
    assert len(names) == (1 if method == "idw" else 3)
    for name in names:
        np.testing.assert_allclose(over[name], np.maximum(alone[name], 0) * factor, rtol=1e-4, atol=1e-3)


def test_a_model_over_a_background_is_the_model_of_ratios_multiplied(network, cams):
    """The background is in a factor or in the drift: the model sees ratios to both."""
    visible = network.isel(station=slice(0, 20)).aq.visible.drop_vars("hidden")
    selection, trend = remove_trend(select_observations(visible, "pm25"), background=cams, geography=False)
    ratio = visible.assign(pm25=visible.pm25.copy(data=selection.observations.values))
    over, alone = train(visible, background=cams, max_epochs=0), train(ratio, max_epochs=0)
    assert over.recipe.scaler == alone.recipe.scaler
    terms = trend.at_stations(visible.lon.values, visible.lat.values, visible.time.values)
    places = np.array(POINTS["lon"]), np.array(POINTS["lat"])
    factor = trend.factor(*places, visible.time.values, terms.centres).T
    assert np.ptp(factor) > 0.3
    ours, theirs = visible.aq.estimate(over, background=cams, **POINTS), ratio.aq.estimate(alone, **POINTS)
    for name in ("pm25", "pm25_lower", "pm25_upper"):
        np.testing.assert_allclose(ours[name], theirs[name] * factor, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("probability", [0.01, 0.25, 0.9])
def test_quantiles_on_the_log_scale_are_those_of_the_ratio_times_the_background(network, cams, probability):
    seen = schema.observations(network.aq.visible, "pm25")
    seen = replace(seen, values=seen.values[:, :6], times=seen.times[:6])
    over = BackgroundFactor(settle_field(cams, "pm25", "ug m-3"), float(cams.mean()), slope=1.0)
    mapper, places = (
        OrdinaryKriging.fit_log(Trend(background=over).remove(seen)),
        (np.array(POINTS["lon"]), np.array(POINTS["lat"])),
    )
    both = OverTrend(mapper, Trend(background=over))
    made = both.estimate(both.prepare(seen, seen.times), *places)
    ratio = mapper.estimate(mapper.prepare(Trend(background=over).remove(seen), seen.times), *places)
    factor = over.factor(*places, seen.times)
    assert np.ptp(factor) > 0.3
    np.testing.assert_allclose(made.quantile(probability), ratio.quantile(probability) * factor, rtol=1e-4)


# -- what it gains -------------------------------------------------------------------------------------------------


def test_the_analysis_beats_kriging_and_the_background_at_hidden_stations(network, cams, model):
    plain = network.aq.verify("kriging", baselines=["kriging-log"])
    table = network.aq.verify(model, background=cams, baselines=["background", "kriging"])
    assert list(table.index) == ["AQ-Net", "background", "kriging with background"]
    for score in ("mae", "rmse"):
        assert table.loc["AQ-Net", score] < 0.9 * plain[score].min()
        assert table.loc["AQ-Net", score] < 0.9 * table.loc["background", score]
        assert table.loc["kriging with background", score] < 0.9 * plain[score].min()
    assert 0.8 < table.loc["AQ-Net", "coverage"] < 1
    assert model.recipe.held_out_scores[0]["mae"] == pytest.approx(table.loc["AQ-Net", "mae"], rel=1e-3)


@pytest.mark.parametrize("options", [{}, {"by": "station"}], ids=["pooled", "by station"])
def test_rows_are_called_after_what_is_scored(network, cams, options):
    names = ["kriging", "background", "idw", "nearest"]
    over = network.aq.verify("kriging", background=cams, **options)
    assert list(over.index.get_level_values("method").unique()) == [
        name if name == "background" else f"{name} with background" for name in names
    ]
    plain = network.aq.verify("kriging", baselines=["idw"], **options)
    assert list(plain.index.get_level_values("method").unique()) == ["kriging", "idw"]


def test_a_background_of_noise_is_not_believed(network, cams):
    noise = cams.copy(data=np.random.default_rng(0).gamma(2.0, 10.0, cams.shape))
    plain = network.aq.verify("kriging", baselines=[]).mae.item()
    assert network.aq.verify("kriging", baselines=[], background=noise).mae.item() < 1.05 * plain


# -- the cube ------------------------------------------------------------------------------------------------------


def test_a_cube_is_lazy_and_the_same_in_any_blocks(network, cams, model):
    day = {
        "time": "2020-01-03",
        "grid": xaq.Grid.regular(0.5, bounds=(9, 49, 11, 51)),
        "background": cams.chunk(time=8),
    }
    opened = []
    lazy = cams.chunk(time=8)
    watched = lazy.copy(
        data=lazy.data.map_blocks(lambda x: opened.append(1) or x, dtype=x_dtype(cams), meta=np.empty((0, 0, 0)))
    )
    network.aq.reanalyze(model, **{**day, "background": watched})
    assert not opened
    whole = network.aq.reanalyze(model, **day)
    tiled = network.aq.reanalyze(model, chunks={"time": 24, "lat": 1, "lon": 2}, **day)
    np.testing.assert_allclose(tiled.pm25, whole.pm25, rtol=1e-5, atol=1e-4)
    at = network.aq.estimate(
        model, lon=whole.lon[[1]].values, lat=whole.lat[[2]].values, time="2020-01-03", background=cams
    )
    np.testing.assert_allclose(at.pm25[:, 0], whole.pm25[:, 2, 1], rtol=1e-5, atol=1e-4)
    assert "background" in whole.attrs["xaq_provenance"]


def x_dtype(array):
    return array.dtype


def test_missing_cells_are_missing_and_unsupported(network, cams, model):
    holed = cams.copy(deep=True)
    # A place for all times, and another for one.
    holed[:, 10:13, 10:13] = np.nan
    holed[20, 20, 20] = np.nan
    grid = xaq.Grid(np.array([9.15, 9.65, 10.05, 10.4]), np.array([49.65, 50.0, 50.55]))
    cube = network.aq.reanalyze(model, grid=grid, background=holed).load()
    gone = np.isnan(cube.pm25)
    assert gone[:, 0, 0].all()
    assert not cube.supported[0, 0]
    assert gone[:, 2, 2].sum() == 5
    assert not cube.supported[2, 2]
    assert not gone[:, 1, 1].any()
    assert cube.supported[1, 1]
    np.testing.assert_array_equal(gone, np.isnan(cube.pm25_upper))


def test_stations_where_the_background_is_missing_are_left_out_aloud(network, cams):
    visible = network.aq.visible
    lon, lat = float(visible.lon[0]), float(visible.lat[0])
    holed = cams.where((abs(cams.lon - lon) > 0.1) | (abs(cams.lat - lat) > 0.1))
    with pytest.warns(XaqWarning, match="are left out"):
        model = train(visible.drop_vars("hidden"), background=holed, max_epochs=0)
    assert str(visible.station[0].values) not in model.recipe.visible


def test_a_store_knows_its_background(network, cams, model, tmp_path):
    options = {"grid": xaq.Grid.regular(0.5, bounds=(9, 49, 11, 51)), "store": tmp_path / "c.zarr", "progress": False}
    options["chunks"] = {"time": 48}
    first = network.aq.reanalyze(model, background=cams, **options).load()
    network.aq.reanalyze(model, background=cams, **options)
    with pytest.raises(StoreError, match="another cube"):
        network.aq.reanalyze("kriging", target="pm25", **options)
    later = cams.copy(deep=True)
    later[-4:] *= 1.5
    with pytest.raises(StoreError, match="update=True"):
        network.aq.reanalyze(model, background=later, **options)
    updated = network.aq.reanalyze(model, background=later, update=True, **options)
    expected = network.aq.reanalyze(model, background=later, grid=options["grid"])
    np.testing.assert_allclose(updated.pm25, expected.pm25, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(updated.pm25[:24], first.pm25[:24])


def test_an_explanation_adds_up_over_a_background(network, cams, model):
    why = network.aq.explain(model, lon=10.0, lat=50.0, time="2020-01-03T08", background=cams)
    at = network.aq.estimate(model, lon=[10.0], lat=[50.0], time="2020-01-03T08", background=cams).load()
    assert float(why.estimate) == pytest.approx(at.pm25.item(), rel=1e-5)
    assert float(why.contribution.sum()) == pytest.approx(at.pm25.item(), rel=1e-3)
    # What is read of a neighbour is in the target's units, as its value is: within the hours around it has been as much.
    spread = network.pm25.sel(station=why.station, time="2020-01-03")
    assert (why.advected < 1.1 * spread.max("time")).all()
    assert (why.advected > 0.9 * spread.min("time")).all()


# -- the model's file, and what is refused -------------------------------------------------------------------------


def test_a_model_keeps_its_background_in_its_file(model, tmp_path):
    again = xaq.load_model(model.save(tmp_path / "m.xaq"))
    assert again.hash == model.hash
    assert again.recipe.trend.background == model.recipe.trend.background
    assert set(again.recipe.trend.background) == {"name", "units", "hash", "mean", "slope"}
    assert "background" in repr(again)


def test_hidden_stations_leave_no_trace(network, cams, model):
    poisoned = network.copy(deep=True)
    poisoned.pm25[schema.hidden_mask(network)] = 1e9
    other = train(poisoned, background=cams)
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, other.network.state_dict()[name]), name
    assert other.recipe.held_out_scores != model.recipe.held_out_scores
    assert other.recipe.trend.background == model.recipe.trend.background
    assert other.recipe.interval == model.recipe.interval


@pytest.mark.parametrize(("units", "by"), [("kg m-3", 1e-9), ("kg/m^3", 1e-9), ("mg m-3", 1e-3), ("ng/m3", 1e3)])
def test_the_fix_of_a_background_in_other_units_converts_it(network, cams, units, by):
    field = (cams * by).assign_attrs(units=units)
    with pytest.raises(SchemaError, match="the stations in 'ug m-3'; fix: ") as refused:
        network.aq.reanalyze("kriging", grid=1.0, background=field)
    converted = eval(str(refused.value).partition("fix: ")[2], {"field": field})
    assert settle_field(converted, "pm25", "ug m-3").units == "ug m-3"
    np.testing.assert_allclose(converted, cams, rtol=1e-5)


def test_another_background_or_none_is_refused_with_the_call_that_fixes_it(network, cams, model):
    plain = train(network.drop_vars("hidden"), max_epochs=0)
    cases = [
        (model, None, ModelError, "fix: background=field in this call"),
        (model, cams.rename("o3"), ModelError, "name 'pm25' in training, 'o3' here"),
        (model, cams.isel(lon=slice(0, 38)), ModelError, "is not the one"),
        (plain, cams, ModelError, "without a background"),
        ("kriging", cams.assign_attrs(units="kg m-3"), SchemaError, "kg m-3"),
        ("kriging", cams.assign_attrs(units=""), SchemaError, "no units"),
        ("kriging", cams.isel(time=0, drop=True), SchemaError, "no dimension of time; fix: a field"),
        ("kriging", cams.isel(time=0), SchemaError, r"no dimension of time; fix: field.expand_dims\('time'\)"),
        ("kriging", cams.isel(time=slice(0, 5)), SchemaError, "never extrapolated"),
        ("kriging", cams.assign_coords(lon=cams.lon + 9.0), SchemaError, "does not cover"),
        ("kriging", 0.0 * cams.assign_attrs(units="ug m-3"), SchemaError, "no units|mean"),
        (xaq.Nearest(), cams, ModelError, "by name"),
    ]
    for mapper, field, error, message in cases:
        with pytest.raises(error, match=message):
            network.aq.estimate(mapper, background=field, target="pm25", **POINTS)
    with pytest.raises(ModelError, match="known"):
        network.aq.train("pm25", task="forecast", background=cams)
