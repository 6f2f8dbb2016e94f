"""Maps of a cube: what a reader would conclude from them must be true."""

import warnings

import cartopy.crs as ccrs
import figures
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from figures import bar_label, layer, legend_of, mesh_of

from xaq import plot
from xaq.cube.reanalyze import reanalyze
from xaq.errors import SchemaError, XaqWarning
from xaq.plot import markers
from xaq.plot.times import period_text

ds, cube, network, network_cube, idw_cube, closed = (
    figures.ds,
    figures.cube,
    figures.network,
    figures.network_cube,
    figures.idw_cube,
    figures.closed,
)


def test_field_and_stations_share_one_norm_and_colour_map(ds, cube):
    ax = plot.map(ds, cube, time="2020-01-01T08", lines=[])
    mesh, circles, triangles = mesh_of(ax), layer(ax, "_visible"), layer(ax, "_hidden")
    assert circles.norm is mesh.norm
    assert triangles.norm is mesh.norm
    assert circles.cmap is triangles.cmap is mesh.cmap
    seen = ds.pm25.sel(time="2020-01-01T08:00").values
    np.testing.assert_allclose(circles.get_array(), seen[~ds.hidden.values], rtol=1e-6)
    np.testing.assert_allclose(triangles.get_array(), seen[ds.hidden.values], rtol=1e-6)


def test_visible_are_circles_and_hidden_are_triangles_where_the_stations_are(ds, cube):
    ax = plot.map(ds, cube, time="2020-01-01T08", lines=[])
    for name, mask, corners in (("_visible", ~ds.hidden.values, None), ("_hidden", ds.hidden.values, 4)):
        art = layer(ax, name)
        np.testing.assert_allclose(art.get_offsets(), np.c_[ds.lon.values, ds.lat.values][mask])
        path = art.get_paths()[0]
        assert (len(path.vertices) == corners) if corners else (len(path.vertices) > 8)
    assert legend_of(ax)[:2] == ["visible station", "hidden station"]


@pytest.mark.parametrize("name", ["map", "width", "panels", "compare"])
def test_stations_that_the_cube_has_not_seen_are_never_drawn_as_visible(ds, cube, name):
    forgotten, time = ds.drop_vars("hidden"), "2020-01-01T08"
    subjects = {"panels": (cube, [time]), "compare": (cube, cube)}.get(name, (cube,))
    whole = {} if name == "panels" else {"time": time}
    drawn = np.ravel(getattr(plot, name)(forgotten, *subjects, **whole, lines=[]))[0]
    seen = ~ds.hidden.values
    np.testing.assert_allclose(layer(drawn, "_visible").get_offsets(), np.c_[ds.lon.values, ds.lat.values][seen])
    if name != "width":
        np.testing.assert_allclose(layer(drawn, "_hidden").get_offsets(), np.c_[ds.lon.values, ds.lat.values][~seen])


def test_each_map_of_a_comparison_marks_what_its_cube_has_not_seen(network):
    first, second, third = map(str, network.station.values[:3])
    whole = network.drop_vars("hidden", errors="ignore")
    cubes = [whole.aq.hide([s]).aq.reanalyze("idw", grid=0.5, time="2020-01-01") for s in (first, second)]
    axes = plot.compare(whole, *cubes, lines=[])
    for ax, name in zip(axes[:2], (first, second), strict=True):
        place = network.sel(station=name)
        np.testing.assert_allclose(layer(ax, "_hidden").get_offsets(), [[place.lon, place.lat]])
    assert [t.get_text() for t in axes[0].figure.legends[0].get_texts()][:2] == ["visible station", "hidden station"]
    with pytest.warns(XaqWarning, match=f"made from 1 of the stations that are hidden now, {third}"):
        ax = plot.compare(whole.aq.hide([third]), *cubes, lines=[])[0]
    assert len(layer(ax, "_hidden").get_offsets()) == 1


@pytest.mark.parametrize("name", ["map", "width", "panels", "animation", "explore", "compare", "a mean"])
def test_stations_that_the_cube_was_made_from_are_never_drawn_as_hidden(network, name, monkeypatch):
    """They would agree with the map, and seem to verify it."""
    whole, time = network.drop_vars("hidden", errors="ignore"), "2020-01-01T08"
    hidden = whole.aq.hide(fraction=0.2, seed=1)
    n = int(hidden.hidden.sum())
    places, drawn = [], markers.kinds
    monkeypatch.setattr(markers, "kinds", lambda mask: places.append(int(mask.sum())) or drawn(mask))

    def draw(ds, cube):
        if name in ("panels", "compare"):
            return (
                plot.panels(ds, cube, [time], lines=[]) if name == "panels" else plot.compare(ds, cube, cube, lines=[])
            )
        if name == "a mean":
            return plot.map(ds, cube.mean("time", keep_attrs=True), lines=[])
        return getattr(plot, name)(ds, cube, time=time, lines=[])

    used, unused, selection = (
        ds.aq.reanalyze("kriging", grid=0.5).compute()
        for ds in (whole, hidden, whole.isel(station=np.flatnonzero(~hidden.hidden)))
    )
    with pytest.warns(
        XaqWarning, match=rf"made from {n} of the stations that are hidden now.*fix: cube = ds\.aq\.reanalyze"
    ):
        draw(hidden, used)
    assert not any(places)
    places.clear()
    for cube in (unused, selection):
        with warnings.catch_warnings():
            warnings.simplefilter("error", XaqWarning)
            draw(hidden, cube)
        assert name == "width" or {n} == {*places}


def test_a_cube_without_provenance_hides_what_the_dataset_hides(ds, cube):
    ax = plot.map(ds, cube.drop_attrs(deep=False), time="2020-01-01T08", lines=[])
    assert len(layer(ax, "_hidden").get_offsets()) == int(ds.hidden.sum())


def test_field_is_drawn_in_its_cells_and_unsupported_cells_are_blank(ds, cube):
    cube = cube.assign(supported=cube.supported & (cube.lon > 9.0))
    ax = plot.map(ds, cube, time="2020-01-01T08", lines=[])
    drawn = mesh_of(ax).get_array().reshape(cube.sizes["lat"], cube.sizes["lon"])
    assert (np.ma.getmaskarray(drawn) == (cube.supported.values == 0)).all()
    assert not cube.supported.values.all()
    expected = cube.pm25.sel(time="2020-01-01T08:00").values
    np.testing.assert_allclose(drawn.compressed(), expected[cube.supported.values == 1], rtol=1e-6)


def test_unsupported_cells_are_hatched_or_blank_and_never_coloured(network, network_cube):
    network_cube = network_cube.assign(supported=network_cube.supported & (network_cube.lon > 9.0))
    hatched, blank = (plot.map(network, network_cube, unsupported=u, lines=[]) for u in ("hatched", "blank"))
    assert "not supported: no station near" in legend_of(hatched)
    assert not [text for text in legend_of(blank) if "not supported" in text]
    for ax in (hatched, blank):
        mask = np.ma.getmaskarray(mesh_of(ax).get_array()).reshape(network_cube.supported.shape)
        assert (mask == (network_cube.supported.values == 0)).all()
    with pytest.raises(SchemaError, match="'hatched' or 'blank'"):
        plot.map(network, network_cube, unsupported="grey")


@pytest.mark.parametrize(("dpi", "half"), [(60, 0), (120, 1), (300, 4)])
def test_a_single_unsupported_cell_is_hatched(ds, cube, dpi, half):
    """A cell of a map of seventy columns, and the pixels around its centre."""
    row, column = cube.sizes["lat"] // 2, cube.sizes["lon"] // 2
    alone = cube.supported.copy(data=np.ones(cube.supported.shape, bool))
    alone[row, column] = False
    ax = plot.map(ds, cube.assign(supported=alone), time="2020-01-01T08", lines=[], stations=False)
    x, y = (float(cube[name][i]) for name, i in (("lon", column), ("lat", row)))
    ax.set_extent((x - 9.0, x + 9.0, y - 9.0, y + 9.0), ccrs.PlateCarree())
    ax.figure.set_dpi(dpi)
    ax.figure.canvas.draw()
    image = np.asarray(ax.figure.canvas.buffer_rgba())[..., :3].astype(int)
    at = ax.transData.transform(ax.projection.transform_point(x, y, ccrs.PlateCarree()))
    left, up = (round(float(v)) for v in (at[0], image.shape[0] - at[1]))
    colours = image[up - half : up + half + 1, left - half : left + half + 1].reshape(-1, 3)
    assert (np.ptp(colours, axis=1) <= 4).all()
    assert colours.max() < 250
    # Lines on their ground; a cell of three pixels has the ground alone.
    assert not half or np.ptp(colours) > 20


def test_colour_bar_has_units_and_is_as_high_as_the_map(ds, cube):
    ax = plot.map(ds, cube, vmin=0.0, vmax=1e4, lines=[])
    assert bar_label(ax) == "PM2.5 [µg m⁻³]"
    ax.figure.canvas.draw()
    bar, frame = ax.child_axes[0].get_position(), ax.get_position()
    assert bar.y0 == pytest.approx(frame.y0, abs=0.01)
    assert bar.y1 == pytest.approx(frame.y1, abs=0.01)


def test_a_day_string_is_the_mean_of_the_day_for_field_and_stations(ds, cube):
    ax = plot.map(ds, cube, time="2020-01-02", lines=[])
    day = slice("2020-01-02", "2020-01-02T23")
    expected = ds.pm25.sel(time=day).mean("time").values[~ds.hidden.values]
    np.testing.assert_allclose(layer(ax, "_visible").get_array(), expected, rtol=1e-5)
    np.testing.assert_allclose(mesh_of(ax).get_array().max(), cube.pm25.sel(time=day).mean("time").max(), rtol=1e-5)
    assert "daily mean 2020-01-02 (UTC)" in ax.get_title(loc="left")


def test_title_says_time_and_method(ds, cube):
    hour, whole = (plot.map(ds, cube, time=t, lines=[]).get_title("left") for t in ("2020-01-01T08", None))
    assert "2020-01-01 08:00 UTC\nkriging, 15 stations" in hour
    assert "mean of 48 hours, 2020-01-01 00:00 to 2020-01-02 23:00 UTC" in whole


@pytest.mark.parametrize("when", ["2020-01-05", "2020-01-01T08:30", pd.Timestamp("2020-01-01 08:20"), "nonsense"])
def test_a_time_that_is_not_in_the_cube_is_refused_and_the_range_named(ds, cube, when):
    with pytest.raises(SchemaError, match=r"cube: .*2020-01-01T00:00:00 to 2020-01-02T23:00:00"):
        plot.map(ds, cube, time=when)
    assert not plt.get_fignums()


def test_stations_without_observation_are_hollow_and_small(ds, cube):
    silent = ds.assign(pm25=ds.pm25.where(ds.station != ds.station[~ds.hidden][0]).assign_attrs(ds.pm25.attrs))
    ax = plot.map(silent, cube, time="2020-01-01T08", lines=[])
    hollow = layer(ax, "_visible without observation")
    assert len(hollow.get_offsets()) == 1
    assert hollow.get_facecolors().size == 0
    assert hollow.get_sizes()[0] < layer(ax, "_visible").get_sizes()[0]
    assert "no observation" in [t.get_text() for t in ax.get_legend().get_texts()]


def test_limits_are_robust_and_open_ends_are_shown(ds, cube):
    spiked = ds.copy(deep=True)
    spiked.pm25[0] = 5000.0
    ax = plot.map(spiked, cube, time="2020-01-01T08", lines=[])
    assert mesh_of(ax).norm.vmax < 5000
    assert mesh_of(ax).colorbar.extend in ("max", "both")
    fixed = mesh_of(plot.map(ds, cube, vmin=0.0, vmax=1e4, lines=[]))
    assert (fixed.norm.vmin, fixed.norm.vmax, fixed.colorbar.extend) == (0.0, 1e4, "neither")


def test_a_constant_field_has_a_colour_scale(ds, cube):
    norm = mesh_of(plot.map(ds, cube.assign(pm25=cube.pm25 * 0 + 7), stations=False, lines=[])).norm
    assert norm.vmin < norm.vmax


def test_other_units_and_empty_selections_are_refused(ds, cube):
    with pytest.raises(SchemaError, match="in 'ug m-3' at the stations and in 'mg m-3' in the cube"):
        plot.map(ds, cube.assign(pm25=cube.pm25.assign_attrs(units="mg m-3")))
    with pytest.raises(SchemaError, match="no value"):
        plot.map(ds, cube.assign(pm25=cube.pm25.where(False).assign_attrs(cube.pm25.attrs)), stations=False)
    with pytest.raises(SchemaError, match="no variable 'o3'"):
        plot.map(ds, cube, target="o3")
    with pytest.raises(SchemaError, match="not below"):
        plot.map(ds, cube, vmin=3, vmax=2)


def test_a_given_axes_is_drawn_on_keeps_its_extent_and_no_figure_is_made(ds, cube):
    figure, axes = plt.subplots(1, 2, subplot_kw={"projection": ccrs.PlateCarree()})
    axes[0].set_extent((9.5, 10.5, 49.5, 50.5), ccrs.PlateCarree())
    before = dict(mpl.rcParams)
    assert plot.map(ds, cube, ax=axes[0], lines=[]) is axes[0]
    assert plot.errors(ds, "idw", ax=axes[1], lines=[]) is axes[1]
    assert plt.get_fignums() == [figure.number]
    np.testing.assert_allclose(axes[0].get_xlim(), (9.5, 10.5))
    assert axes[1].get_xlim()[0] < ds.lon.min() < ds.lon.max() < axes[1].get_xlim()[1]
    assert dict(mpl.rcParams) == before


def test_plain_axes_are_refused_for_a_map(ds, cube):
    with pytest.raises(SchemaError, match="GeoAxes"):
        plot.map(ds, cube, ax=plt.figure().add_subplot())


def test_the_width_is_that_of_the_interval(network, network_cube, idw_cube):
    ax = plot.width(network, network_cube, time="2020-01-02T08", lines=[])
    expected = (network_cube.pm25_upper - network_cube.pm25_lower).sel(time="2020-01-02T08:00").values
    np.testing.assert_allclose(mesh_of(ax).get_array().ravel(), expected.ravel(), rtol=1e-5)
    assert mesh_of(ax).norm.vmin == 0
    assert ax.child_axes[0].get_ylabel() == "width of the 90 % interval of PM2.5 [µg m⁻³]"
    with pytest.raises(SchemaError, match="without an interval"):
        plot.width(network, idw_cube)


def test_a_map_without_stations_needs_a_cube_only(ds, cube):
    alone = plot.map(None, cube, time="2020-01-01T08", stations=False, lines=[])
    same = plot.map(ds, cube, time="2020-01-01T08", stations=False, lines=[])
    np.testing.assert_array_equal(mesh_of(alone).get_array(), mesh_of(same).get_array())
    assert bar_label(alone) == bar_label(same)
    with pytest.raises(SchemaError, match="fix: stations=False"):
        plot.map(None, cube, lines=[])


def test_a_mean_without_time_is_drawn_with_the_places_of_stations(ds, cube):
    mean = cube.mean("time", keep_attrs=True)
    ax = plot.map(ds, mean, lines=[])
    np.testing.assert_allclose(mesh_of(ax).get_array().ravel(), mean.pm25.values.ravel(), rtol=1e-6)
    assert ax.get_title("left") == "PM2.5, time not stated\nkriging, 15 stations"
    assert bar_label(ax) == "PM2.5 [µg m⁻³]"
    assert len(layer(ax, "_visible").get_offsets()) == 15
    np.testing.assert_array_equal(layer(ax, "_visible").get_facecolors(), [[1, 1, 1, 1]])
    assert legend_of(ax)[:2] == ["visible station", "hidden station"]
    with pytest.raises(SchemaError, match="'pm25' has no time, and time is '2020-01-01'; fix: time=None"):
        plot.map(ds, mean, time="2020-01-01", lines=[])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pm25_upper", "mean upper bound of the 90 % intervals of PM2.5 [µg m⁻³]"),
        ("nearest_station", "great-circle distance to the nearest visible station [km]"),
    ],
)
def test_any_variable_of_a_cube_is_drawn_without_values_of_stations(ds, cube, name, text):
    ax = plot.map(ds, cube, target=name, lines=[])
    drawn = cube[name].mean("time") if "time" in cube[name].dims else cube[name]
    np.testing.assert_allclose(mesh_of(ax).get_array().ravel(), drawn.values.ravel(), rtol=1e-5)
    assert bar_label(ax) == text
    np.testing.assert_array_equal(layer(ax, "_hidden").get_facecolors(), [[1, 1, 1, 1]])


def test_a_variable_of_a_user_is_drawn_as_what_it_says_it_is(ds, cube):
    """Of hours above a limit nothing is observed, no time is stated, and no mean or interval."""
    over = (cube.pm25 > 20).sum("time").assign_attrs(units="h", long_name="hours above 20 µg m⁻³")
    for drawn in (
        plot.map(ds, cube.assign(hours_over=over), target="hours_over", lines=[]),
        plot.map(None, over.rename("hours_over"), stations=False, lines=[]),
    ):
        assert drawn.get_title("left").splitlines()[0] == "Hours above 20 µg m⁻³"
        assert bar_label(drawn) == "hours above 20 µg m⁻³ [h]"
        np.testing.assert_allclose(mesh_of(drawn).get_array().ravel(), over.values.ravel())
    ax = plot.map(ds, cube.assign(hours_over=over), target="hours_over", lines=[])
    np.testing.assert_array_equal(layer(ax, "_hidden").get_facecolors(), [[1, 1, 1, 1]])


def test_a_variable_of_a_user_does_not_take_over_what_another_is_called(ds, cube):
    """xarray keeps the attributes of the concentration that hours are counted of."""
    over = (cube.pm25 > 20).sum("time", keep_attrs=True)
    assert over.attrs["units"] == "ug m-3"
    for made in (cube.assign(hours_over=over), over.rename("hours_over")):
        ax = plot.map(ds, made, target="hours_over", lines=[])
        assert (ax.get_title("left").splitlines()[0], bar_label(ax)) == ("hours_over", "hours_over")


def test_times_of_a_variable_of_a_user_are_no_means_of_periods(ds, cube):
    days = reanalyze(ds, "kriging", grid=cube, freq="D")
    limit = days.assign(excess=(days.pm25 - 20).assign_attrs(long_name="excess over the limit", units="ug m-3"))
    one, both = (plot.map(ds, limit, target="excess", time=t, lines=[]) for t in ("2020-01-02", None))
    assert one.get_title("left").splitlines()[0] == "Excess over the limit, 2020-01-02 (UTC)"
    assert bar_label(one) == "excess over the limit [µg m⁻³]"
    assert (
        both.get_title("left").splitlines()[0]
        == "Excess over the limit, mean of 2 values, 2020-01-01 to 2020-01-02 (UTC)"
    )
    above = cube.assign(above=cube.pm25 > 20)
    hour = plot.map(ds, above, target="above", time="2020-01-01T08", lines=[])
    assert hour.get_title("left").splitlines()[0] == "above, 2020-01-01 08:00 UTC"
    assert [t.get_text() for t in mesh_of(hour).colorbar.ax.get_yticklabels()] == ["no", "yes"]
    # A mean of yes and no is a fraction.
    assert bar_label(plot.map(ds, above, target="above", time="2020-01-01", lines=[])) == "above"


def test_one_variable_can_be_passed_and_other_dimensions_are_refused(ds, cube):
    alone, whole = (plot.map(ds, c, time="2020-01-01T08", lines=[]) for c in (cube.pm25, cube))
    np.testing.assert_array_equal(mesh_of(alone).get_array(), mesh_of(whole).get_array())
    members = cube.assign(pm25_member=cube.pm25.expand_dims(member=3))
    with pytest.raises(SchemaError, match=r"'pm25_member' has the dimension member too; fix: cube.isel\(member=0\)"):
        plot.map(ds, members, target="pm25_member", lines=[])


@pytest.mark.parametrize("draw", [plot.map, plot.width, lambda *a, **k: plot.panels(*a, [k.pop("time")], **k)[0]])
def test_texts_of_time_are_read_and_written_in_the_time_zone(ds, cube, draw):
    local = draw(ds, cube, time="2020-01-02T08", tz="Asia/Shanghai", lines=[])
    utc = draw(ds, cube, time="2020-01-02T00", lines=[])
    np.testing.assert_array_equal(mesh_of(local).get_array(), mesh_of(utc).get_array())
    assert "2020-01-02 08:00 Asia/Shanghai" in local.get_title("left")
    day = draw(ds, cube, time="2020-01-02", tz="Europe/Berlin", lines=[])
    expected = draw(ds, cube, time=("2020-01-01T23", "2020-01-02T22"), lines=[])
    np.testing.assert_array_equal(mesh_of(day).get_array(), mesh_of(expected).get_array())
    assert "2020-01-02 (Europe/Berlin)" in day.get_title("left")
    utc_time = draw(ds, cube, time=cube.time.values[3], tz="Europe/Berlin", lines=[])
    assert "2020-01-01 04:00 Europe/Berlin" in utc_time.get_title("left")


def test_days_of_a_change_of_the_clock_are_whole_days():
    times = pd.date_range("2020-03-28T23:00", "2020-03-29T21:00", freq="h").astype("datetime64[s]")
    assert len(times) == 23
    hours = xr.Dataset(coords={"time": times})
    assert period_text(hours, zone="Europe/Berlin") == "daily mean 2020-03-29 (Europe/Berlin)"
    assert period_text(hours.isel(time=slice(1, None)), zone="Europe/Berlin").startswith("mean of 22 hours")


def test_a_time_zone_of_a_cube_of_periods_is_refused_and_an_unknown_one_too(ds, cube):
    with pytest.raises(SchemaError, match="tz is 'Berlin', expected the name of a time zone"):
        plot.map(ds, cube, tz="Berlin")
    days = reanalyze(ds, "kriging", grid=0.5, freq="D")
    with pytest.raises(SchemaError, match=r"daily means by the clock of UTC.*freq='D', tz='Europe/Berlin'"):
        plot.map(ds, days, tz="Europe/Berlin")


def test_what_is_known_of_all_cells_is_not_hatched_and_yes_or_no_is_said_in_words(network, network_cube):
    for name in ("nearest_station", "supported"):
        ax = plot.map(network, network_cube, target=name, lines=[])
        assert not any("not supported" in text.get_text() for text in ax.get_legend().get_texts())
    bar = mesh_of(ax).colorbar
    assert [t.get_text() for t in bar.ax.get_yticklabels()] == ["no", "yes"]
    assert set(mesh_of(ax).get_array().ravel()) == {0.0, 1.0}
    assert bar_label(ax) == ""


def test_a_member_is_called_by_its_number(ds):
    made = ds.aq.reanalyze("kriging", grid=0.4, freq="D", members=3, time="2020-01-01").compute()
    ax = plot.map(ds, made.isel(member=2), target="pm25_member", lines=[])
    assert ax.get_title("left").splitlines()[0] == "PM2.5, member 2, daily mean 2020-01-01 (UTC)"
    assert mesh_of(ax).colorbar.ax.get_ylabel() == "PM2.5 [µg m⁻³]"


def test_one_station_is_one_station(ds, cube):
    one = ds.isel(station=np.flatnonzero(~ds.hidden)[:1])
    ax = plot.map(one, one.aq.reanalyze("idw", grid=cube, time="2020-01-01T08"), lines=[])
    assert ax.get_title("left").endswith("idw, 1 station")
