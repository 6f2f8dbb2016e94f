"""Figures of cubes of means of periods: observations are averaged alike, titles say what is drawn, and by hand is refused."""

import figures
import numpy as np
import pandas as pd
import pytest
from figures import bar_label, layer, mesh_of

from xaq import datasets, plot
from xaq.cube.reanalyze import reanalyze
from xaq.errors import SchemaError
from xaq.plot import times
from xaq.stations import holdout, schema

closed = figures.closed
SHANGHAI = "Asia/Shanghai"


@pytest.fixture(scope="module")
def ds():
    """16 stations over 62 days of 6 hours, a tenth of the values missing; 3 stations hidden."""
    made = datasets.synthetic(n_stations=16, days=62, step="6h", missing=0.1, seed=3)
    return holdout.hide(made, fraction=0.2, seed=1)


@pytest.fixture(scope="module")
def hours(ds):
    return reanalyze(ds, "kriging", grid=0.5).compute()


@pytest.fixture(scope="module")
def days(ds):
    return reanalyze(ds, "kriging", grid=0.5, freq="D", tz=SHANGHAI).compute()


@pytest.fixture(scope="module")
def months(ds):
    return reanalyze(ds, "kriging", grid=0.5, freq="MS", support="cell").compute()


def local_means(ds, freq, tz, how="mean", capture=0.75):
    """Return the means of periods by pandas, with a column for each station."""
    table = ds.pm25.transpose("time", "station").to_pandas()
    table.index = table.index.tz_localize("UTC").tz_convert(tz)
    grouped = table.resample(freq)
    starts = grouped.count().index
    expected = (starts + pd.tseries.frequencies.to_offset(freq) - starts) / pd.Timedelta("6h")
    seen = grouped.count().ge(capture * expected.to_numpy(), axis=0)
    return grouped.agg(how).where(seen)


def test_a_map_of_a_month_shows_the_observed_mean_of_that_month(ds, months):
    ax = plot.map(ds, months, time="2020-02", lines=[])
    expected = local_means(ds, "MS", "UTC").loc["2020-02-01"].to_numpy()
    visible = ~ds.hidden.values & np.isfinite(expected)
    np.testing.assert_allclose(layer(ax, "_visible").get_array(), expected[visible], rtol=1e-5)
    np.testing.assert_allclose(mesh_of(ax).get_array().ravel(), months.pm25[1].values.ravel(), rtol=1e-5)
    assert ax.get_title("left").splitlines()[0] == "PM2.5, monthly mean 2020-02 (UTC)"
    assert bar_label(ax) == "monthly mean of PM2.5 [µg m⁻³]"
    assert plot.map(ds, months, lines=[]).get_title("left").startswith(
        "PM2.5, mean of 2 monthly means, 2020-01 to 2020-02 (UTC)"
    )  # fmt: skip


def test_a_month_with_too_few_observations_has_none(ds, months):
    part = ds.copy(deep=True)
    visible = np.flatnonzero(~ds.hidden.values)[0]
    part.pm25[visible, 31 * 4 : 31 * 4 + 40] = np.nan
    ax = plot.map(part, months, time="2020-02", lines=[])
    assert len(layer(ax, "_visible without observation").get_offsets()) == 1


def test_days_are_those_of_the_time_zone_of_the_cube(ds, days):
    """A date means a day of Shanghai, which starts in the afternoon of the day before in UTC."""
    ax = plot.map(ds, days, time="2020-01-05", lines=[])
    expected = local_means(ds, "D", SHANGHAI).loc["2020-01-05"].to_numpy()
    visible = ~ds.hidden.values & np.isfinite(expected)
    np.testing.assert_allclose(layer(ax, "_visible").get_array(), expected[visible], rtol=1e-5)
    shown = days.pm25.sel(time="2020-01-04T16:00").values
    np.testing.assert_allclose(mesh_of(ax).get_array().ravel(), shown.ravel(), rtol=1e-5)
    assert ax.get_title("left").splitlines()[0] == f"PM2.5, daily mean 2020-01-05 ({SHANGHAI})"
    one = plot.map(ds, days, time=np.datetime64("2020-01-04T16:00"), lines=[])
    assert one.get_title("left") == ax.get_title("left")
    picked, zone = times.select_times(days, ("2020-01-05", "2020-01-07"))
    assert times.period_text(picked, zone=zone) == f"mean of 3 daily means, 2020-01-05 to 2020-01-07 ({SHANGHAI})"
    assert picked.time.values[0] == np.datetime64("2020-01-04T16:00")
    with pytest.raises(SchemaError, match=r"fix: time='2020-01-01'"):
        plot.map(ds, days, time="2021-01-05")
    plot.map(ds, days, time="2020-01-01", lines=[], stations=False)


def test_a_maximum_is_compared_with_the_observed_maximum(ds):
    cube = reanalyze(ds, "kriging", grid=0.5, freq="MS", statistic="max", capture=0.5)
    name = str(ds.aq.hidden.station.values[0])
    ax = plot.series(ds, cube, name)
    drawn = next(a for a in ax.lines if a.get_label() == "observed").get_ydata()
    expected = local_means(ds, "MS", "UTC", "max", 0.5)[name]
    np.testing.assert_allclose(drawn, expected, rtol=1e-5)
    assert np.isfinite(drawn[:2]).all()
    assert ax.get_title("left").startswith(f"Monthly maximum of PM2.5 at station {name}, kriging, times in UTC")


def test_a_series_of_means_holds_each_over_its_period(ds, days):
    name = str(ds.aq.hidden.station.values[0])
    ax = plot.series(ds, days, name, time=("2020-01-05", "2020-01-07"))
    lines = {line.get_label(): line for line in ax.lines}
    x, y = lines["reanalysed"].get_data()
    place = ds.sel(station=name)
    cell = days.pm25.sel(lon=place.lon, lat=place.lat, method="nearest").values[4:7]
    np.testing.assert_array_equal(y, np.repeat(cell, 2))
    np.testing.assert_array_equal(
        x, np.array(["2020-01-05", *np.repeat(["2020-01-06", "2020-01-07"], 2), "2020-01-08"], "M8[ns]")
    )
    expected = local_means(ds, "D", SHANGHAI)[name].loc["2020-01-05":"2020-01-07"]
    np.testing.assert_allclose(lines["observed"].get_ydata(), expected, rtol=1e-5)
    assert [c.get_label() for c in ax.collections] == ["90 % interval of the daily mean"]
    assert f"times in {SHANGHAI}" in ax.get_title("left")
    with pytest.raises(SchemaError, match="no hours of the day"):
        plot.hours(ds, days, name)


def test_errors_panels_and_animations_average_observations_too(ds, months):
    hidden = ds.isel(station=np.flatnonzero(ds.hidden))
    observed = local_means(hidden, "MS", "UTC").to_numpy()
    cells = months.pm25.sel(lon=hidden.lon, lat=hidden.lat, method="nearest").transpose("time", "station").values
    rmse = np.sqrt(np.nanmean((cells - observed) ** 2, axis=0))
    ax = plot.errors(ds, months, lines=[])
    np.testing.assert_allclose(layer(ax, "_hidden").get_array(), np.sort(rmse)[::-1], rtol=1e-4)
    assert bar_label(ax) == "RMSE of monthly means of PM2.5 [µg m⁻³]"
    assert ax.get_title("left").splitlines()[1] == "3 monthly means, 2020-01 to 2020-03 (UTC)"
    expected = local_means(ds, "MS", "UTC").loc["2020-02-01"].to_numpy()[~ds.hidden.values]
    drawn = layer(plot.panels(ds, months, ["2020-01", "2020-02"], lines=[])[1], "_visible").get_array()
    np.testing.assert_allclose(drawn, expected[np.isfinite(expected)], rtol=1e-5)
    page = plot.explore(ds, months, time="2020-02", dpi=40, lines=[])
    assert page.captions == ("monthly mean 2020-02 (UTC)",)


def test_the_width_says_what_its_interval_is_of(ds, hours, days, months):
    def head(cube, time):
        ax = plot.width(ds, cube, time=time, lines=[])
        return " ".join(ax.get_title("left").splitlines()[:-1]), bar_label(ax)

    assert head(months, "2020-02") == (
        "PM2.5, 90 % interval of the monthly mean 2020-02 (UTC) over a cell", "width of the 90 % interval of PM2.5 [µg m⁻³]",
    )  # fmt: skip
    assert head(days, None)[0].startswith(
        "PM2.5, mean width of the 90 % intervals of single daily means at a point, 62 daily means, "
    )
    assert head(hours, "2020-01-05") == (
        "PM2.5, mean width of the 90 % intervals of single steps, 2020-01-05 (UTC)",
        "mean width of the 90 % intervals of PM2.5 [µg m⁻³]",
    )
    assert head(hours, "2020-01-05T06")[0] == "PM2.5, 90 % interval, 2020-01-05 06:00 UTC"


def test_a_cube_with_members_is_drawn_as_one_without(ds):
    cube = reanalyze(ds, "kriging", grid=0.5, time="2020-01", freq="MS", members=20).compute()
    assert "pm25_member" in cube
    np.testing.assert_allclose(
        mesh_of(plot.map(ds, cube, lines=[])).get_array().ravel(), cube.pm25.values.ravel(), rtol=1e-6
    )
    plot.width(ds, cube, lines=[])


BY_HAND = {
    "days": (lambda cube: cube.resample(time="1D").mean(), "freq='D'"),
    "months": (lambda cube: cube.resample(time="MS").mean(), "freq='MS'"),
    "one year": (lambda cube: cube.resample(time="YS").mean(), "freq='D'"),
    "a variable": (lambda cube: cube[["pm25"]].resample(time="1D").mean(), "freq='D'"),
    "coarsened": (lambda cube: cube.coarsen(time=4, boundary="trim").mean(), "freq='D'"),
}  # fmt: skip


@pytest.mark.parametrize("by_hand", BY_HAND)
def test_a_cube_averaged_by_hand_is_not_compared_with_single_values(ds, hours, by_hand):
    average, fix = BY_HAND[by_hand]
    cube, name = average(hours), str(ds.station.values[0])
    for draw in (
        lambda: plot.map(ds, cube),
        lambda: plot.panels(ds, cube, [None]),
        lambda: plot.compare(ds, cube, cube),
        lambda: plot.compare(ds, hours, cube),
        lambda: plot.series(ds, cube, name),
        lambda: plot.hours(ds, cube, name),
        lambda: plot.errors(ds, cube),
        lambda: plot.animation(ds, cube),
        lambda: plot.explore(ds, cube),
    ):
        with pytest.raises(SchemaError, match=f"by hand.*fix: ds.aq.reanalyze.*{fix}|different times"):
            draw()
    if cube.sizes["time"] > 1:
        long = "29 d" if by_hand == "months" else "1 d"
        with pytest.raises(SchemaError, match=f"the cube has steps of {long} and the stations of 6 h"):
            plot.map(ds, cube)
    plot.map(ds, cube, stations=False, lines=[])
    plot.width(ds, cube.assign(pm25_lower=cube.pm25, pm25_upper=cube.pm25 + 1), lines=[])


def test_periods_averaged_further_by_hand_are_refused(ds, days):
    with pytest.raises(
        SchemaError, match=r"daily means that were averaged by hand.*fix: ds\.aq\.reanalyze\(\.\.\., freq='MS'\)"
    ):
        plot.map(ds, days.resample(time="MS").mean())
    plot.map(ds, days[["pm25"]].isel(time=[3, 4]), lines=[])


def test_stations_averaged_by_hand_alike_are_compared(ds, hours):
    with pytest.raises(SchemaError) as refused:
        plot.map(ds, hours.resample(time="12h", offset="6h").mean())
    fix = str(refused.value).partition("fix: ds = ")[2]
    alike = eval(fix, {"ds": ds})
    cube = hours.resample(time="12h", offset="6h").mean()
    ax = plot.map(alike, cube, time=cube.time.values[3], lines=[])
    expected = ds.pm25.sel(time=slice(cube.time.values[3], cube.time.values[3] + np.timedelta64(11, "h"))).mean("time")
    expected = expected.values[~ds.hidden.values]
    np.testing.assert_allclose(layer(ax, "_visible").get_array(), expected[np.isfinite(expected)], rtol=1e-5)


def test_some_steps_of_a_cube_are_still_steps(ds, hours):
    """A selection keeps its bounds; one variable alone loses them, but keeps the step."""
    for cube in (hours.isel(time=slice(None, None, 3)), hours.sel(time="2020-01-05T06:00"), hours[["pm25"]]):
        plot.map(ds, cube, lines=[])


def test_cubes_of_means_and_of_maxima_are_not_subtracted(ds, months):
    peaks = reanalyze(ds, "kriging", grid=months, freq="MS", statistic="max")
    with pytest.raises(SchemaError, match="one cube has monthly means, the other monthly maxima"):
        plot.compare(ds, months, peaks)


def test_daily_observations_are_days_already(ds):
    daily = schema.conform(ds.resample(time="1D").mean(keep_attrs=True))
    cube = reanalyze(ds, "kriging", grid=0.5, freq="D")
    ax = plot.map(daily, cube, time="2020-01-05", lines=[])
    expected = daily.pm25.sel(time="2020-01-05").values[~ds.hidden.values]
    np.testing.assert_allclose(layer(ax, "_visible").get_array(), expected[np.isfinite(expected)], rtol=1e-5)


def test_quarters_and_years_are_written_as_such():
    periods = {freq: times.Periods(freq, SHANGHAI, "mean", 0.75) for freq in ("D", "MS", "QS", "YS")}
    start = np.datetime64("2019-12-31T16:00")
    assert [p.written(start) for p in periods.values()] == ["2020-01-01", "2020-01", "2020 Q1", "2020"]


BOUND = "bound of the 90 % interval"


@pytest.mark.parametrize(
    ("made", "time", "head", "bar"),
    [
        (
            "hours",
            "2020-01-05",
            "mean upper bound of the 90 % intervals of single steps, 2020-01-05 (UTC)",
            f"mean upper {BOUND}s",
        ),
        ("hours", "2020-01-05T06", f"upper {BOUND}, 2020-01-05 06:00 UTC", f"upper {BOUND}"),
        ("months", "2020-01", f"upper {BOUND} of the monthly mean 2020-01 (UTC) over a cell", f"upper {BOUND}"),
        (
            "months",
            None,
            "mean upper bound of the 90 % intervals of single monthly means over a cell, 2 monthly means, 2020-01 to 2020-02 (UTC)",
            f"mean upper {BOUND}s",
        ),
    ],
)
def test_a_mean_of_bounds_is_not_called_the_bound_of_a_mean(request, ds, made, time, head, bar):
    cube = request.getfixturevalue(made).isel(time=slice(0, 2 if made == "months" else None))
    ax = plot.map(ds, cube, target="pm25_upper", time=time, lines=[])
    lines = ax.get_title("left").splitlines()[:-1]
    assert " ".join(lines) == f"PM2.5, {head}"
    assert bar_label(ax).replace("\n", " ") == f"{bar} of PM2.5 [µg m⁻³]"
    alone = plot.map(ds, cube.pm25_upper, time=time, lines=[]).get_title("left")
    assert ("mean upper bound" in alone) is ("mean upper bound" in head)


def test_a_bound_without_time_does_not_say_of_which_mean_it_is(ds, hours):
    ax = plot.map(ds, hours.mean("time"), target="pm25_lower", lines=[])
    assert ax.get_title("left").splitlines()[0] == "PM2.5, lower bound of the 90 % interval, time not stated"


def test_other_figures_refuse_bounds_and_name_the_map_that_draws_them(ds, hours):
    for draw in (
        lambda: plot.panels(None, hours, ["2020-01-05"], target="pm25_upper", stations=False),
        lambda: plot.animation(None, hours, target="pm25_upper", stations=False),
        lambda: plot.width(ds, hours, target="pm25_upper"),
    ):
        with pytest.raises(SchemaError, match=r"'pm25_upper' is a bound of 'pm25'.*fix: target='pm25'"):
            draw()
    plot.panels(None, hours, ["2020-01-05"], target="pm25", stations=False, lines=[])


def test_the_width_of_a_day_is_that_of_the_day_in_every_time_zone(ds):
    daily = datasets.synthetic(n_stations=12, days=20, step="1D", seed=3)
    ax = plot.width(daily, reanalyze(daily, "kriging", grid=0.5), time="2020-01-05", tz="America/New_York", lines=[])
    assert "daily mean 2020-01-05" in ax.get_title("left")


def test_titles_name_the_periods_that_have_values(ds, months):
    """The record ends two days into March, of which there is no mean."""
    whole = "2 monthly means, 2020-01 to 2020-02 (UTC)"
    assert months.sizes["time"] == 3
    assert plot.map(ds, months, lines=[]).get_title("left").splitlines()[0] == f"PM2.5, mean of {whole}"
    assert whole in plot.width(ds, months, lines=[]).get_title("left").replace("\n", " ")
    assert whole in plot.panels(ds, months, [None], lines=[])[0].get_title("left").replace("\n", " ")
    one = months.where(months.time == months.time[1])
    text = "monthly mean 2020-02 (UTC)"
    ax = plot.map(ds, one, lines=[])
    assert ax.get_title("left").splitlines()[0] == f"PM2.5, {text}"
    alone = plot.map(ds, months, time="2020-02", lines=[])
    np.testing.assert_array_equal(layer(ax, "_visible").get_array(), layer(alone, "_visible").get_array())
    assert f"interval of the {text}" in plot.width(ds, one, lines=[]).get_title("left").replace("\n", " ")
    with pytest.raises(SchemaError, match="no value in the cube or at the stations, monthly mean 2020-03"):
        plot.map(ds, months, time="2020-03", stations=False)


def test_a_comparison_is_of_the_steps_that_both_cubes_have(ds, days, months):
    three = days.isel(time=slice(3, 6))
    first, last = (three.where(three.time != three.time[i]) for i in (0, -1))
    axes = plot.compare(ds, first, last, lines=[])
    assert axes[0].figure.get_suptitle() == f"PM2.5, daily mean 2020-01-05 ({SHANGHAI})"
    for ax in axes[:2]:
        np.testing.assert_allclose(mesh_of(ax).get_array().ravel(), three.pm25[1].values.ravel(), rtol=1e-5)
    with pytest.raises(SchemaError, match="no cell where both cubes have a value"):
        plot.compare(ds, *(months.where(months.time == months.time[i]) for i in (0, 1)))
