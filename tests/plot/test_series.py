"""The series of a station: which estimates are drawn, and what the title says about the station."""

import json
from datetime import timedelta

import figures
import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import numpy as np
import pytest

import xaq
from xaq import plot
from xaq.cube.reanalyze import reanalyze
from xaq.errors import GridError, ModelError, SchemaError

ds, cube, network, network_cube, forecast, closed = (
    figures.ds,
    figures.cube,
    figures.network,
    figures.network_cube,
    figures.forecast,
    figures.closed,
)


def line(ax, name):
    return next(a for a in ax.lines if a.get_label() == name).get_ydata()


def test_a_visible_station_is_estimated_without_itself(ds):
    name = str(ds.station[~ds.hidden][0].item())
    ax = plot.series(ds, "nearest", name)
    assert "visible station, left out" in ax.get_title("left")
    moved = ds.copy(deep=True)
    moved.pm25.loc[{"station": name}] = 1e6
    np.testing.assert_array_equal(line(plot.series(moved, "nearest", name), "reanalysed"), line(ax, "reanalysed"))
    np.testing.assert_array_equal(line(ax, "observed"), ds.pm25.sel(station=name))
    assert ax.get_ylabel() == "PM2.5 [µg m⁻³]"


def test_hidden_stations_stay_hidden_when_another_is_left_out(ds):
    name = str(ds.station[~ds.hidden][0].item())
    moved = ds.copy(deep=True)
    moved.pm25[ds.hidden.values] = 1e6
    assert line(plot.series(moved, "idw", name), "reanalysed").max() < 1e4


def test_a_hidden_station_has_its_interval_and_says_so(ds):
    ax = plot.series(ds, "kriging", str(ds.station[ds.hidden][0].item()), time="2020-01-01")
    assert "hidden station, not used" in ax.get_title("left")
    assert [c.get_label() for c in ax.collections] == ["90 % interval"]
    assert len(line(ax, "reanalysed")) == 24


def test_the_title_says_whether_the_cube_was_made_from_the_station(ds, cube):
    seen, unseen = (ds.station[mask][0].item() for mask in (~ds.hidden, ds.hidden))
    place = ds.sel(station=seen)
    ax = plot.series(ds, cube, seen)
    expected = cube.pm25.sel(lon=place.lon, lat=place.lat, method="nearest")
    np.testing.assert_array_equal(line(ax, "reanalysed"), expected)
    assert "visible station, used for the cube" in ax.get_title("left")
    assert "hidden station, not used" in plot.series(ds, cube, unseen).get_title("left")
    nothing_hidden = cube.assign_attrs(xaq_provenance=json.dumps({"hidden_stations": []}))
    assert "visible when the cube was made" in plot.series(ds, nothing_hidden, unseen).get_title("left")
    forgotten = ds.drop_vars("hidden")
    assert "visible station, but hidden when the cube was made" in plot.series(forgotten, cube, unseen).get_title(
        "left"
    )
    of_selection = ds.isel(station=np.flatnonzero(~ds.hidden)).aq.reanalyze("kriging", grid=cube)
    assert "hidden station, not used" in plot.series(ds, of_selection, unseen).get_title("left")


def test_unknown_stations_other_cells_and_forecast_models_are_refused(ds, cube, forecast):
    with pytest.raises(SchemaError, match="no station 'x'; known are s000"):
        plot.series(ds, "idw", "x")
    with pytest.raises(GridError, match="outside the cube"):
        plot.series(ds, cube.isel(lon=slice(0, 2), lat=slice(0, 1)), "s000")
    with pytest.raises(ModelError, match="forecast"):
        plot.series(ds, forecast[1], "s000")
    assert not plt.get_fignums()


def test_series_draws_on_a_given_axes(ds, cube):
    figure, ax = plt.subplots()
    assert plot.series(ds, cube, "s000", ax=ax) is ax
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize(
    ("time", "text"), [(None, "2020-Nov"), ("2020-11-03", "2020-Nov-03"), (("2020-11-28", None), "2020-Nov-30")]
)
def test_the_month_beside_the_axis_is_the_one_shown(time, text):
    """The axis ends a little after the last hour of November, at a tick of December."""
    november = xaq.datasets.synthetic(n_stations=8, days=335).sel(time="2020-11")
    ax = plot.series(november, "idw", "s003", time=time)
    ax.figure.canvas.draw()
    assert ax.xaxis.get_offset_text().get_text() == text
    months = november.aq.reanalyze("kriging", grid=0.5, freq="MS")
    ax = plot.series(november, months, "s003")
    ax.figure.canvas.draw()
    assert ax.xaxis.get_offset_text().get_text() == "2020-Nov"


def test_hours_of_the_day_are_counted_in_the_time_zone(network, network_cube):
    name = str(network.station[network.hidden][0].item())
    first, second = plot.hours(network, network_cube, name, slots=[(9, 12), (16, 19)], tz="Asia/Shanghai")
    for ax, hours in ((first, range(1, 5)), (second, range(8, 12))):
        line = next(a for a in ax.lines if a.get_label() == "observed")
        steps = network.time.dt.hour.isin(list(hours)).values
        expected = network.pm25.sel(station=name).values[steps]
        drawn = line.get_ydata()
        np.testing.assert_array_equal(drawn[np.isfinite(drawn)], expected)
        assert np.isnan(drawn).sum() == 2  # a gap between the three days
        assert ax.get_ylabel() == "PM2.5 [µg m⁻³]"
    assert "hidden station, not used for the cube" in first.get_title("left")
    assert "09:00\N{EN DASH}12:59 Asia/Shanghai, MAE" in first.get_title("left")


def test_hours_are_drawn_on_given_axes_and_empty_slots_refused(network, network_cube):
    figure, axes = plt.subplots(2, 1)
    assert list(plot.hours(network, network_cube, "s000", axes=axes)) == list(axes)
    assert plt.get_fignums() == [figure.number]
    with pytest.raises(SchemaError, match="an hour of a slot is 25, expected 0 to 23"):
        plot.hours(network, network_cube, "s000", slots=[(25, 26)])
    with pytest.raises(SchemaError, match=r"slot \(19, 16\) contains no step"):
        plot.hours(network, network_cube, "s000", slots=[(19, 16)])
    with pytest.raises(SchemaError, match="2 axes for 1 slots"):
        plot.hours(network, network_cube, "s000", slots=[(9, 12)], axes=axes)


def test_a_forecast_is_labelled_as_one(forecast):
    ds, model = forecast
    cube = reanalyze(ds, model, init=ds.time.values[-240], grid=0.5)
    name = str(ds.station.values[0])
    labels = {
        line.get_label() for ax in (plot.series(ds, cube, name), *plot.hours(ds, cube, name)) for line in ax.lines
    }
    assert {"forecast", "observed"} <= labels
    assert "reanalysed" not in labels


def test_the_first_and_the_last_hour_of_each_of_a_few_days_are_labelled(ds):
    (ax,) = plot.hours(ds, "idw", str(ds.station[ds.hidden][0].item()), slots=[(9, 12)], tz="Etc/GMT-2")
    assert [t.get_text() for t in ax.get_xticklabels()] == ["09:00\n01 Jan", "09:00\n02 Jan"]
    assert [t.get_text() for t in ax.get_xticklabels(minor=True)] == ["12:00", "12:00"]
    (ax,) = plot.hours(ds, "idw", str(ds.station[ds.hidden][0].item()), slots=[(9, 9)])
    assert not [t.get_text() for t in ax.get_xticklabels(minor=True)]


def test_daily_values_have_no_hours_and_the_fix_draws_them():
    ds = xaq.datasets.load("germany").isel(time=slice(0, 5))
    with pytest.raises(
        SchemaError, match=r"a step of 1D and no hours of the day, expected hourly ones; fix: "
    ) as raised:
        ds.aq.plot.hours("idw", "DEBB053")
    eval(str(raised.value).split("fix: ")[1].replace("...", "'idw'"))


def test_a_place_that_is_no_station_has_estimates_alone(ds, cube):
    ax = plot.series(ds, "kriging", lon=10.0, lat=50.0, time="2020-01-01")
    expected = ds.aq.estimate("kriging", lon=[10.0], lat=[50.0], time="2020-01-01").pm25.values[:, 0]
    np.testing.assert_allclose(line(ax, "reanalysed"), expected, rtol=1e-5)
    assert [a.get_label() for a in ax.lines] == ["reanalysed"]
    assert ax.get_title("left") == "PM2.5 at 10°E, 50°N, kriging, times in UTC"
    of_cube = plot.series(ds, cube, lon=10.03, lat=50.02)
    cell = cube.pm25.sel(lon=10.03, lat=50.02, method="nearest")
    np.testing.assert_array_equal(line(of_cube, "reanalysed"), cell)
    assert f"cell at {float(cell.lon):.6g}°E" in of_cube.get_title("left")


def with_one_far_away(ds):
    """Return the network with its first station moved 9 degrees east of all others, and hidden."""
    lon = ds.lon.values.copy()
    lon[0] = lon.max() + 9.0
    return ds.assign_coords(lon=("station", lon)).aq.hide([str(ds.station.values[0])])


def test_a_hidden_station_far_from_all_others_is_drawn_as_it_is_scored(ds):
    far = with_one_far_away(ds)
    station = str(far.station.values[0])
    scored = far.aq.verify("kriging", baselines=[])
    for ax in (
        plot.series(far, "kriging", station),
        plot.hours(far, "kriging", station, slots=[(0, 23)])[0],
        plot.errors(far, "kriging", lines=[]),
    ):
        assert "kriging" in ax.get_title("left")
    truth, made = (line(plot.series(far, "kriging", station), name) for name in ("observed", "reanalysed"))
    assert np.nanmean(np.abs(truth - made)) == pytest.approx(scored.mae.item(), rel=1e-4)


def test_a_place_far_from_all_stations_is_drawn_by_the_fix(ds):
    with pytest.raises(GridError) as error:
        plot.series(ds, "kriging", lon=30.0, lat=50.0)
    fix = str(error.value).rpartition("or ")[2]
    assert fix.startswith("max_distance=")
    ax = plot.series(ds, "kriging", lon=30.0, lat=50.0, max_distance=float(fix.partition("=")[2]))
    assert "30°E" in ax.get_title("left")


def test_estimates_at_points_are_drawn_at_one_of_them(ds):
    seen = ds.isel(station=[int(np.flatnonzero(~ds.hidden)[0])])
    points = ds.aq.estimate("kriging", lon=[10.0, float(seen.lon[0])], lat=[50.0, float(seen.lat[0])])
    at_point = plot.series(ds, points, lon=10.0, lat=50.0)
    np.testing.assert_array_equal(line(at_point, "reanalysed"), points.pm25.values[:, 0])
    assert [c.get_label() for c in at_point.collections] == ["90 % interval"]
    np.testing.assert_array_equal(line(plot.series(ds, points.isel(point=[0])), "reanalysed"), points.pm25.values[:, 0])
    at_station = plot.series(ds, points, str(seen.station.values[0]))
    np.testing.assert_array_equal(line(at_station, "reanalysed"), points.pm25.values[:, 1])
    np.testing.assert_array_equal(line(at_station, "observed"), seen.pm25.values[0])
    assert "visible station, used for the estimate" in at_station.get_title("left")


def test_a_place_must_be_named_once_and_be_one_of_the_points(ds, cube):
    points = ds.aq.estimate("idw", lon=[10.0, 10.5], lat=[50.0, 50.0])
    for source, place, error, said in [
        (points, {}, SchemaError, "no place is named; fix: station='s000', or lon="),
        ("idw", {}, SchemaError, "no place is named"),
        (cube, {"lon": 10.0}, SchemaError, "lat is None, expected degrees"),
        (cube, {"station": "s000", "lon": 10.0, "lat": 50.0}, SchemaError, "both name a place"),
        (cube, {"lon": 99.0, "lat": 50.0}, GridError, "outside the cube"),
        (points, {"lon": 10.4, "lat": 50.0}, GridError, "no point of the estimate lies at .*fix: lon=10.5, lat=50"),
        (points, {"lon": 10.0, "lat": 50.0, "target": "o3"}, SchemaError, "no variable 'o3'"),
    ]:
        with pytest.raises(error, match=said):
            plot.series(ds, source, **place)
    assert not plt.get_fignums()


def test_places_west_and_south_are_named_as_such(ds):
    south = ds.assign_coords(lon=ds.lon - 190.0, lat=ds.lat - 90.0)
    ax = plot.series(south, "idw", lon=179.0, lat=-40.0)
    assert ax.get_title("left").startswith("PM2.5 at 179°E, 40°S, idw")
    ax = plot.series(south, "idw", lon=180.5, lat=-40.0)
    assert ax.get_title("left").startswith("PM2.5 at 179.5°W, 40°S, idw")


def test_one_step_is_drawn_over_its_hour_with_its_interval(ds):
    name = str(ds.station[ds.hidden][0].item())
    ax = plot.series(ds, "kriging", name, time="2020-01-01T08")
    estimate = ds.aq.estimate(
        "kriging", lon=[ds.lon.sel(station=name)], lat=[ds.lat.sel(station=name)], time="2020-01-01T08"
    )
    np.testing.assert_allclose(line(ax, "reanalysed"), [estimate.pm25.values[0, 0]] * 2, rtol=1e-6)
    low, high = (mdates.num2date(x) for x in ax.get_xlim())
    assert high - low < timedelta(hours=1.1)
    (band,) = ax.collections
    assert np.ptp(band.get_paths()[0].vertices[:, 0]) * 24 == pytest.approx(1.0)


def test_a_period_without_observations_and_estimates_is_refused(ds):
    silent = ds.copy(deep=True)
    silent.pm25.loc[{"time": slice("2020-01-01T05", "2020-01-01T08")}] = np.nan
    said = "neither an observation nor an estimate of 'pm25' at station s000, 2020-01-01 06:00 UTC; fix: another time="
    for draw in (plot.series, plot.hours):
        with pytest.raises(SchemaError, match=said):
            draw(silent, "kriging", "s000", time="2020-01-01T06")
    assert not plt.get_fignums()


def test_daily_data_are_called_means_or_maxima():
    ds = xaq.datasets.load("germany").isel(station=slice(8), time=slice(40))
    assert (
        plot.series(ds, "idw", str(ds.station.values[0])).get_title("left").startswith("Daily mean of PM10 at station")
    )
    ds.pm10.attrs["cell_methods"] = "time: maximum"
    assert plot.series(ds, "idw", str(ds.station.values[0])).get_title("left").startswith("Daily maximum of PM10 at")
