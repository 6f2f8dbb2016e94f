"""The network by level, cubes side by side, hours of the day, attention and scores: what is drawn, and in which units."""

from types import SimpleNamespace

import cartopy.crs as ccrs
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.collections import QuadMesh

import xaq
from xaq import datasets, plot
from xaq.cube.reanalyze import reanalyze
from xaq.errors import ModelError, SchemaError
from xaq.stations import holdout, schema


@pytest.fixture(scope="module")
def ds():
    return holdout.hide(datasets.synthetic(n_stations=30, days=3, missing=0.0, seed=2), fraction=0.2, seed=1)


@pytest.fixture(scope="module")
def cube(ds):
    return reanalyze(ds, "kriging", grid=0.2).compute()


@pytest.fixture(scope="module")
def twin(ds, cube):
    return reanalyze(ds, "idw", grid=cube).compute()


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def layer(ax, name):
    return next(c for c in ax.collections if c.get_label() == name)


def mesh_of(ax):
    return next(c for c in ax.collections if isinstance(c, QuadMesh))


def legend_of(figure_or_ax):
    found = figure_or_ax.legends[0] if hasattr(figure_or_ax, "legends") else figure_or_ax.get_legend()
    return [t.get_text() for t in found.get_texts()]


# -- stations by level ---------------------------------------------------------------------------------------------


def test_size_and_colour_of_a_station_are_its_level(ds):
    ax = plot.stations(ds, time="2020-01-02", zoom=None, lines=[])
    level = ds.pm25.sel(time="2020-01-02").mean("time")
    for name, mask in (("_visible", ~ds.hidden.values), ("_hidden", ds.hidden.values)):
        drawn = layer(ax, name)
        np.testing.assert_allclose(np.sort(drawn.get_array()), np.sort(level.values[mask]), rtol=1e-5)
        scale = drawn.get_sizes() / drawn.get_array()
        np.testing.assert_allclose(scale, 110.0 / float(level.max()), rtol=1e-5)
    assert ax.get_title("left") == "PM2.5 at 30 stations, daily mean 2020-01-02 (UTC)"
    assert ax.child_axes[0].get_ylabel() == "PM2.5 [µg m⁻³]"


def test_the_zoom_shows_the_city_where_no_station_is_covered():
    city = datasets.synthetic(n_stations=60, days=2, missing=0.0)
    ax = plot.stations(city, zoom=(9.7, 49.8, 10.3, 50.2), lines=[])
    ax.figure.canvas.draw()
    inset = next(a for a in ax.child_axes if isinstance(a, GeoAxes))
    inside = (np.abs(city.lon - 10.0) < 0.3) & (np.abs(city.lat - 50.0) < 0.2)
    offsets = layer(inset, "_visible").get_offsets()
    places = inset.transData.transform(
        inset.projection.transform_points(ccrs.PlateCarree(), *np.asarray(offsets).T)[:, :2]
    )
    assert inset.bbox.padded(1.0).count_contains(places) == int(inside.sum())
    on_map = ax.transData.transform(
        ax.projection.transform_points(ccrs.PlateCarree(), city.lon.values, city.lat.values)[:, :2]
    )
    assert inset.bbox.count_contains(on_map) == 0


def test_a_city_is_found_and_an_even_network_has_no_zoom(ds):
    rng = np.random.default_rng(0)
    even = ds.assign_coords(lon=("station", rng.uniform(5, 15, 30)), lat=("station", rng.uniform(45, 55, 30)))
    crowd = (
        np.r_[rng.normal(12.0, 0.1, 20), rng.uniform(5, 15, 10)],
        np.r_[rng.normal(48.0, 0.1, 20), rng.uniform(45, 55, 10)],
    )
    city = ds.assign_coords(lon=("station", crowd[0]), lat=("station", crowd[1]))
    insets = [[a for a in plot.stations(d, lines=[]).child_axes if isinstance(a, GeoAxes)] for d in (even, city)]
    assert len(insets[0]) == 0
    (inset,) = insets[1]
    west, east, south, north = inset.get_extent(ccrs.PlateCarree())
    assert west < 12.0 < east
    assert south < 48.0 < north
    with pytest.raises(SchemaError, match="holds no station"):
        plot.stations(ds, zoom=(0.0, 0.0, 1.0, 1.0))


# -- cubes ---------------------------------------------------------------------------------------------------------


def test_unsupported_cells_are_hatched_or_blank_and_never_coloured(ds, cube):
    cube = cube.assign(supported=cube.supported & (cube.lon > 9.0))
    hatched, blank = (plot.map(ds, cube, unsupported=u, lines=[]) for u in ("hatched", "blank"))
    assert "no station near" in legend_of(hatched)
    assert "no station near" not in legend_of(blank)
    for ax in (hatched, blank):
        mask = np.ma.getmaskarray(mesh_of(ax).get_array()).reshape(cube.supported.shape)
        assert (mask == ~cube.supported.values).all()
    with pytest.raises(SchemaError, match="'hatched' or 'blank'"):
        plot.map(ds, cube, unsupported="grey")


def test_panels_share_colours_and_show_their_times(ds, cube):
    axes = plot.panels(ds, cube, ["2020-01-01", "2020-01-02T08", "2020-01-03"], lines=[])
    assert len({mesh_of(ax).norm for ax in axes}) == 1
    assert [ax.get_title("left") for ax in axes] == [
        "daily mean 2020-01-01 (UTC)", "2020-01-02 08:00 UTC", "daily mean 2020-01-03 (UTC)",
    ]  # fmt: skip
    shown = mesh_of(axes[1]).get_array()
    np.testing.assert_allclose(shown.max(), cube.pm25.sel(time="2020-01-02T08:00").max(), rtol=1e-6)
    assert [a.get_ylabel() for a in axes[0].figure.axes if not isinstance(a, GeoAxes)] == ["PM2.5 [µg m⁻³]"]
    with pytest.raises(SchemaError, match="no times"):
        plot.panels(ds, cube, [])


def test_twins_share_colours_and_the_difference_is_theirs(ds, cube, twin):
    first, second, difference = plot.compare(ds, cube, twin, time="2020-01-02", lines=[])
    assert mesh_of(first).norm is mesh_of(second).norm
    day = slice("2020-01-02", "2020-01-02T23")
    expected = (cube.pm25.sel(time=day).mean("time") - twin.pm25.sel(time=day).mean("time")).values
    drawn = mesh_of(difference)
    np.testing.assert_allclose(drawn.get_array().ravel(), expected.ravel(), rtol=1e-4, atol=1e-4)
    assert drawn.norm.vmin == -drawn.norm.vmax
    assert drawn.colorbar.ax.get_ylabel() == "difference [µg m⁻³]"
    assert difference.get_title("left") == "kriging \N{MINUS SIGN} idw"


def test_cubes_of_different_cells_or_times_are_not_compared(ds, cube, twin):
    with pytest.raises(SchemaError, match="different cells"):
        plot.compare(ds, cube, twin.isel(lon=slice(1, None)))
    with pytest.raises(SchemaError, match="different times"):
        plot.compare(ds, cube, twin.isel(time=slice(24)))


def test_the_width_is_that_of_the_interval(ds, cube, twin):
    ax = plot.width(ds, cube, time="2020-01-02T08", lines=[])
    expected = (cube.pm25_upper - cube.pm25_lower).sel(time="2020-01-02T08:00").values
    np.testing.assert_allclose(mesh_of(ax).get_array().ravel(), expected.ravel(), rtol=1e-5)
    assert mesh_of(ax).norm.vmin == 0
    assert ax.child_axes[0].get_ylabel() == "width of the 90 % interval of PM2.5 [µg m⁻³]"
    with pytest.raises(SchemaError, match="without an interval"):
        plot.width(ds, twin)


# -- hours of the day ----------------------------------------------------------------------------------------------


def test_hours_of_the_day_are_those_of_the_zone(ds, cube):
    name = str(ds.station[ds.hidden][0].item())
    first, second = plot.hours(ds, cube, name, slots=[(9, 12), (16, 19)], tz="Asia/Shanghai")
    for ax, hours in ((first, range(1, 5)), (second, range(8, 12))):
        line = next(a for a in ax.lines if a.get_label() == "observed")
        steps = ds.time.dt.hour.isin(list(hours)).values
        expected = ds.pm25.sel(station=name).values[steps]
        drawn = line.get_ydata()
        np.testing.assert_array_equal(drawn[np.isfinite(drawn)], expected)
        assert np.isnan(drawn).sum() == 2  # a gap between the three days
        assert ax.get_ylabel() == "PM2.5 [µg m⁻³]"
    assert "hidden station: not used for the cube" in first.get_title("left")
    assert "09:00\N{EN DASH}12:59 Asia/Shanghai, MAE" in first.get_title("left")


def test_hours_are_drawn_on_given_axes_and_empty_slots_refused(ds, cube):
    figure, axes = plt.subplots(2, 1)
    assert list(plot.hours(ds, cube, "s000", axes=axes)) == list(axes)
    assert plt.get_fignums() == [figure.number]
    with pytest.raises(SchemaError, match="no step between 25 and 26"):
        plot.hours(ds, cube, "s000", slots=[(25, 26)])
    with pytest.raises(SchemaError, match="2 axes for 1 slots"):
        plot.hours(ds, cube, "s000", slots=[(9, 12)], axes=axes)


# -- attention -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def forecast():
    ds = holdout.hide(datasets.synthetic(n_stations=10, days=60, step="6h", seed=1), fraction=0.2, seed=1)
    return ds, xaq.train(ds, task="forecast", max_epochs=0, progress=False)


def test_attention_is_drawn_by_target_and_history_day(forecast):
    ds, model = forecast
    ax = plot.attention(ds, model, time="2020-01-20")
    (image,) = ax.images
    past = schema.observations(ds, "pm25").until(19 * 4, 28)
    expected = model.attention(past, np.datetime64("2020-01-20"))
    np.testing.assert_allclose(image.get_array(), expected.mean(axis=0), rtol=1e-5)
    assert image.get_array().shape == (7, 14)
    np.testing.assert_allclose(image.get_array().sum(axis=1), 1.0, rtol=1e-5)
    assert image.get_extent() == [-14.5, -0.5, 6.5, -0.5]
    assert ax.child_axes[0].get_ylabel() == "attention [1]"
    one = plot.attention(ds, model, time="2020-01-20", station=str(ds.aq.visible.station.values[2]))
    np.testing.assert_allclose(one.images[0].get_array(), expected[2], rtol=1e-5)


def test_a_forecast_is_called_one(forecast):
    ds, model = forecast
    cube = reanalyze(ds, model, init=ds.time.values[-240], grid=0.5)
    name = str(ds.station.values[0])
    labels = {
        line.get_label() for ax in (plot.series(ds, cube, name), *plot.hours(ds, cube, name)) for line in ax.lines
    }
    assert {"forecast", "observed"} <= labels
    assert "reanalysed" not in labels


def test_attention_of_what_has_none_is_refused(forecast):
    ds, model = forecast
    with pytest.raises(ModelError, match="trained models"):
        plot.attention(ds, "kriging")
    with pytest.raises(SchemaError, match="no visible station"):
        plot.attention(ds, model, station=str(ds.aq.hidden.station.values[0]))
    with pytest.raises(SchemaError, match="outside the record"):
        plot.attention(ds, model, time="2021-01-01")


# -- scores --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def by_horizon(forecast):
    ds, model = forecast
    return xaq.verify(ds, model, time=slice("2020-01-16", None), baselines=["persistence"])


@pytest.mark.filterwarnings("ignore::xaq.errors.XaqWarning")
def test_the_table_holds_every_score_and_marks_the_best(by_horizon):
    ax = plot.table(by_horizon, metrics=["mae", "rmse"])
    texts = {t.get_text(): t for t in ax.texts}
    horizons = list(dict.fromkeys(by_horizon.index.get_level_values("horizon")))
    assert {*horizons, "MAE", "RMSE", "AQ-Net", "persistence"} <= set(texts)
    for horizon in horizons:
        for metric in ("mae", "rmse"):
            both = by_horizon.loc[("hidden", horizon), metric]
            assert texts[f"{both.min():#.3g}"].get_fontweight() == "bold"
    assert "µg m⁻³" in ax.get_title("left")


def test_the_best_is_what_the_score_means():
    rows = {"mae": [3.0, 2.0], "r2": [0.5, 0.6], "bias": [-0.1, 2.0], "coverage": [0.99, 0.89], "width": [5.0, 9.0]}
    scores = pd.DataFrame(rows, index=pd.Index(["a", "b"], name="method"))
    scores.attrs = {"target": "o3", "units": "ppb", "level": 0.9}
    ax = plot.table(scores, metrics=list(rows))
    bold = {t.get_text() for t in ax.texts if t.get_fontweight() == "bold"}
    assert bold == {"2.00", "0.600", "-0.100", "0.890"}
    assert ax.get_title("left") == "O3 at hidden stations; MAE, bias, width in ppb"


def test_skill_is_the_share_of_the_error_saved(by_horizon):
    ax = plot.skill(by_horizon, reference="persistence", metric="mae")
    (line,) = [a for a in ax.lines if a.get_label() == "AQ-Net"]
    wide = by_horizon.loc["hidden", "mae"].unstack("method")
    np.testing.assert_allclose(line.get_ydata(), 1 - (wide["AQ-Net"] / wide["persistence"]).to_numpy(float))
    assert [t.get_text() for t in ax.get_xticklabels()] == [str(h) for h in wide.index]


def test_scores_that_cannot_be_drawn_are_refused(by_horizon, ds):
    with pytest.raises(SchemaError, match="no method 'climatology'"):
        plot.skill(by_horizon, reference="climatology")
    with pytest.raises(SchemaError, match="no column f1"):
        plot.table(by_horizon, metrics=["f1"])
    with pytest.raises(SchemaError, match="expected what"):
        plot.table(pd.DataFrame({"mae": [1.0]}))
    with pytest.raises(SchemaError, match="no horizons"):
        plot.skill(xaq.verify(ds, "kriging", baselines=[]))


def test_coverage_by_level_is_that_of_verify(ds):
    ax = plot.reliability(ds, "kriging", levels=[0.5, 0.8])
    (line,) = [a for a in ax.lines if a.get_label() == "kriging"]
    expected = [xaq.verify(ds, "kriging", baselines=[], level=level).coverage.item() for level in (0.5, 0.8)]
    np.testing.assert_allclose(line.get_ydata(), expected)
    np.testing.assert_allclose(line.get_xdata(), [0.5, 0.8])


def test_reliability_needs_intervals_hidden_stations_and_shares(ds):
    with pytest.raises(SchemaError, match="none of idw has an interval"):
        plot.reliability(ds, "idw", baselines=[])
    with pytest.raises(SchemaError, match="no station is hidden"):
        plot.reliability(ds.drop_vars("hidden"), "kriging")
    with pytest.raises(SchemaError, match="expected shares"):
        plot.reliability(ds, "kriging", levels=[90])
    with pytest.raises(ModelError, match="forecast"):
        plot.reliability(ds, SimpleNamespace(task="forecast"))
