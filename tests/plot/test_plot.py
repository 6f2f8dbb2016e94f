"""Figures: what a reader would conclude from them must be true."""

import json
import time
import urllib.request
from types import SimpleNamespace

import cartopy.crs as ccrs
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import shapely
from matplotlib.collections import LineCollection, QuadMesh
from shapely.geometry import LineString, Point, box

from xaq import datasets, plot
from xaq.cube.reanalyze import estimate, reanalyze
from xaq.errors import GridError, ModelError, SchemaError
from xaq.plot import basemap, style, subject
from xaq.stations import holdout


@pytest.fixture(scope="module")
def ds():
    return holdout.hide(datasets.synthetic(n_stations=20, days=2, missing=0.0), fraction=0.25, seed=1)


@pytest.fixture(scope="module")
def cube(ds):
    return reanalyze(ds, "kriging", grid=0.2).compute()


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def layer(ax, name):
    return next(c for c in ax.collections if c.get_label() == name)


def mesh_of(ax):
    return next(c for c in ax.collections if isinstance(c, QuadMesh))


def bar_label(ax):
    return ax.child_axes[0].get_ylabel()


# -- map -----------------------------------------------------------------------------------------------------------


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
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["visible station", "hidden station"]


def test_field_is_drawn_in_its_cells_and_unsupported_cells_are_blank(ds, cube):
    cube = cube.assign(supported=cube.supported & (cube.lon > 9.0))
    ax = plot.map(ds, cube, time="2020-01-01T08", lines=[])
    drawn = mesh_of(ax).get_array().reshape(cube.sizes["lat"], cube.sizes["lon"])
    assert (np.ma.getmaskarray(drawn) == ~cube.supported.values).all()
    assert not cube.supported.values.all()
    expected = cube.pm25.sel(time="2020-01-01T08:00").values
    np.testing.assert_allclose(drawn.compressed(), expected[cube.supported.values], rtol=1e-6)


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
    with pytest.raises(SchemaError, match="is in 'ug m-3', in the cube in 'mg m-3'"):
        plot.map(ds, cube.assign(pm25=cube.pm25.assign_attrs(units="mg m-3")))
    with pytest.raises(SchemaError, match="no value"):
        plot.map(ds, cube.assign(pm25=cube.pm25.where(False).assign_attrs(cube.pm25.attrs)), stations=False)
    with pytest.raises(SchemaError, match="no variable 'o3'"):
        plot.map(ds, cube, target="o3")
    with pytest.raises(SchemaError, match="not below"):
        plot.map(ds, cube, vmin=3, vmax=2)


# -- axes, global state --------------------------------------------------------------------------------------------


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


# -- errors --------------------------------------------------------------------------------------------------------


def test_bubble_areas_are_proportional_to_rmse(ds):
    ax = plot.errors(ds, "kriging", lines=[])
    bubbles = layer(ax, "_hidden")
    hidden = ds.isel(station=np.flatnonzero(ds.hidden.values))
    guess = estimate(ds, "kriging", lon=hidden.lon, lat=hidden.lat).pm25.transpose("station", "time").values
    miss = guess - hidden.pm25.values
    rmse = np.sqrt(np.nanmean(miss**2, axis=1))
    offset = np.asarray(bubbles.get_offsets())
    which = [int(np.hypot(*(offset - place).T).argmin()) for place in np.c_[hidden.lon.values, hidden.lat.values]]
    sizes = bubbles.get_sizes()[which]
    np.testing.assert_allclose(sizes / rmse, sizes[0] / rmse[0], rtol=1e-5)
    np.testing.assert_allclose(np.sort(bubbles.get_array()), np.sort(rmse), rtol=1e-5)
    assert f"RMSE {np.sqrt(np.nanmean(miss**2)):.3g}, MAE {np.nanmean(np.abs(miss)):.3g} µg m⁻³" in ax.get_title("left")
    assert bar_label(ax) == "RMSE of PM2.5 [µg m⁻³]"
    assert len(layer(ax, "_visible").get_offsets()) == 15


def test_size_legend_is_drawn_to_the_scale_of_the_bubbles(ds):
    ax = plot.errors(ds, "idw", lines=[])
    bubbles = layer(ax, "_hidden")
    scale = bubbles.get_sizes()[0] / bubbles.get_array()[0]
    legend = ax.get_legend()
    texts = [t.get_text() for t in legend.get_texts()]
    shown = [pair for pair in zip(texts, legend.legend_handles, strict=True) if "µg" in pair[0]]
    assert len(shown) == 3
    for text, handle in shown:
        assert handle.get_markersize() ** 2 == pytest.approx(scale * float(text.split()[0]))


@pytest.mark.parametrize(
    ("largest", "values"),
    [(10.9, [3, 6, 9]), (3.0, [1, 2, 3]), (0.07, [0.02, 0.04, 0.06]), (700, [200, 400, 600]), (57, [15, 30, 45])],
)
def test_round_values(largest, values):
    assert style.round_values(largest) == values


def test_errors_needs_hidden_stations_and_an_honest_analysis_model(ds):
    with pytest.raises(SchemaError, match=r"ds\.aq\.hide\(fraction=0\.15\)"):
        plot.errors(ds.drop_vars("hidden"), "kriging")
    with pytest.raises(ModelError, match="verify"):
        plot.errors(ds, SimpleNamespace(task="forecast"))
    seen = SimpleNamespace(recipe=SimpleNamespace(target="pm25", visible=tuple(ds.station.values)))
    with pytest.raises(ModelError, match="trained on 5 of the stations"):
        plot.errors(ds, seen)


# -- explanation ---------------------------------------------------------------------------------------------------


def test_errors_of_a_cube_are_those_of_the_cells_that_hold_the_stations(ds, cube):
    ax = plot.errors(ds, cube, time="2020-01-02", lines=[])
    hidden = ds.isel(station=np.flatnonzero(ds.hidden))
    cells = cube.pm25.sel(lon=hidden.lon, lat=hidden.lat, method="nearest").sel(time="2020-01-02")
    rmse = np.sqrt(((cells - hidden.pm25) ** 2).mean("time"))
    np.testing.assert_allclose(layer(ax, "_hidden").get_array(), np.sort(rmse)[::-1], rtol=1e-5)
    assert "hidden stations, kriging: RMSE" in ax.get_title("left")
    seen = cube.assign_attrs(xaq_provenance=json.dumps({"hidden_stations": []}))
    with pytest.raises(ModelError, match=r"made from \d of the stations that are hidden now"):
        plot.errors(ds, seen)
    with pytest.raises(GridError, match="outside the cube"):
        plot.errors(ds, cube.isel(lon=slice(0, 2), lat=slice(0, 1)))


def explained_by_hand(ds):
    """What xaq.explain returns, for four neighbours of a place among them."""
    near = ds.isel(station=np.flatnonzero(~ds.hidden.values)[:4])
    of_station = {"weight": [0.7, 0.28, 0.04, -0.02], "value": [10.0, 20.0, 30.0, 40.0], "observed": [1, 1, 0, 1]}
    out = near[["lon", "lat"]].drop_vars("hidden").assign({n: ("station", np.array(v)) for n, v in of_station.items()})
    out = out.assign(estimate=14.04, kriging=15.06, learned=-1.02).assign_coords(time=ds.time.values[8])
    out["estimate"].attrs["units"] = "ug m-3"
    out = out.assign_coords(place_lon=float(near.lon.mean()), place_lat=float(near.lat.mean()))
    return out.assign_attrs(xaq_provenance=json.dumps({"target": "pm25"}))


def test_an_explanation_shows_values_weights_and_the_sum(ds):
    why = explained_by_hand(ds)
    ax = plot.explanation(ds, why, lines=[])
    circles, cross, weights = layer(ax, "_neighbours"), layer(ax, "_place"), layer(ax, "_weights")
    np.testing.assert_allclose(circles.get_offsets(), np.c_[why.lon, why.lat])
    np.testing.assert_array_equal(circles.get_array(), why.value)
    assert circles.norm is cross.norm
    assert (circles.norm.vmin, circles.norm.vmax) == (10.0, 40.0)
    np.testing.assert_array_equal(cross.get_array(), [14.04])
    np.testing.assert_allclose(layer(ax, "_filled").get_offsets(), [[why.lon[2], why.lat[2]]])
    # Heaviest first; width by weight, the negative one dashed.
    widths = np.array(weights.get_linewidths())
    np.testing.assert_allclose(widths[:2] / widths[0], [1.0, 0.4])
    assert [dash is not None for _, dash in weights.get_linestyles()] == [False, False, False, True]
    assert [t.get_text() for t in ax.texts] == ["70 %", "28 %"]
    assert ax.get_title("left") == (
        "PM2.5, 2020-01-01 08:00 UTC\nestimate 14.0 = kriging 15.1 \N{MINUS SIGN} learned 1.1 µg m⁻³"
    )
    assert bar_label(ax) == "PM2.5 [µg m⁻³]"
    legend = [t.get_text() for t in ax.get_legend().get_texts()]
    assert {"weight 50 %", "negative weight", "neighbour, value filled", "other visible station"} <= set(legend)
    assert len(layer(ax, "_other").get_offsets()) == 11


def test_labels_of_weights_do_not_cover_each_other(ds):
    why = explained_by_hand(ds)
    crowded = why.assign(lon=why.place_lon + why.lon * 0 + [0.0, 0.3, 0.31, 0.3], lat=why.place_lat + why.lat * 0)
    crowded = crowded.assign(weight=("station", [0.1, 0.3, 0.3, 0.3])).set_coords(["lon", "lat"])
    ax = plot.explanation(ds, crowded, lines=[])
    ax.figure.canvas.draw()
    boxes = [t.get_window_extent() for t in ax.texts]
    assert len(boxes) == 4
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_only_an_explanation_is_drawn_as_one(ds, cube):
    with pytest.raises(SchemaError, match=r"ds\.aq\.explain"):
        plot.explanation(ds, cube)
    why = explained_by_hand(ds)
    why["estimate"].attrs["units"] = "1e-9"
    with pytest.raises(SchemaError, match="convert"):
        plot.explanation(ds, why)
    assert not plt.get_fignums()


# -- series --------------------------------------------------------------------------------------------------------


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


def test_a_cube_gives_its_cell_and_says_what_it_has_seen(ds, cube):
    seen, unseen = (ds.station[mask][0].item() for mask in (~ds.hidden, ds.hidden))
    place = ds.sel(station=seen)
    ax = plot.series(ds, cube, seen)
    expected = cube.pm25.sel(lon=place.lon, lat=place.lat, method="nearest")
    np.testing.assert_array_equal(line(ax, "reanalysed"), expected)
    assert "the cube has seen it" in ax.get_title("left")
    assert "hidden station: not used" in plot.series(ds, cube, unseen).get_title("left")
    nothing_hidden = cube.assign_attrs(xaq_provenance=json.dumps({"hidden_stations": []}))
    assert "was visible when the cube was made" in plot.series(ds, nothing_hidden, unseen).get_title("left")


def test_series_refuses_what_it_cannot_draw(ds, cube):
    with pytest.raises(SchemaError, match="no station 'x'; known are s000"):
        plot.series(ds, "idw", "x")
    with pytest.raises(GridError, match="outside the cube"):
        plot.series(ds, cube.isel(lon=slice(0, 2), lat=slice(0, 1)), "s000")
    with pytest.raises(ModelError, match="forecast"):
        plot.series(ds, SimpleNamespace(task="forecast"), "s000")
    assert not plt.get_fignums()


def test_series_draws_on_a_given_axes(ds, cube):
    figure, ax = plt.subplots()
    assert plot.series(ds, cube, "s000", ax=ax) is ax
    assert plt.get_fignums() == [figure.number]


# -- base map ------------------------------------------------------------------------------------------------------


def test_bundled_lines_are_clipped_to_the_extent_before_they_are_projected():
    bounds = (5.0, 47.0, 16.0, 55.5)
    basemap.load()
    ax = plt.figure().add_subplot(projection=ccrs.PlateCarree())
    began = time.perf_counter()
    drawn = plot.draw_basemap(ax, bounds)
    assert time.perf_counter() - began < 5.0
    assert [a.get_label() for a in drawn] == ["_provinces", "_borders", "_coastline"]
    for art in drawn:
        xy = np.concatenate(art.get_segments())
        assert (xy >= np.array(bounds[:2]) - 1e-9).all()
        assert (xy <= np.array(bounds[2:]) + 1e-9).all()
    whole = sum(map_parts.size for map_parts in basemap.load().values())
    assert 0 < sum(len(a.get_segments()) for a in drawn) < 0.2 * whole


def test_clip_works_across_the_date_line():
    parts = basemap.clip(basemap.load()["coastline"], (175.0, -42.0, 185.0, -35.0))
    assert len(parts)
    west, _, east, _ = shapely.total_bounds(parts)
    assert 175 <= west < east <= 185
    line = np.array([LineString([(-179, 0), (-171, 0)])], object)
    assert basemap.clip(line, (175.0, -1.0, 185.0, 1.0))[0].bounds == (181.0, 0.0, 185.0, 0.0)


@pytest.mark.parametrize(
    "bounds",
    [(175.0, -45.0, 185.0, -35.0), (-180.0, -90.0, 180.0, 90.0), (-60.0, -20.0, -40.0, 15.0), (0.0, 60.0, 40.0, 90.0)],
    ids=["date line", "world", "equator", "pole"],
)
def test_any_extent_has_a_frame_that_shows_it(bounds):
    ax = basemap.frame(None, bounds, None)
    ax.figure.canvas.draw()
    west, south, east, north = bounds
    x, y = ax.projection.transform_point(0.5 * (west + east), 0.5 * (south + north), ccrs.PlateCarree())
    assert ax.get_xlim()[0] < x < ax.get_xlim()[1]
    assert ax.get_ylim()[0] < y < ax.get_ylim()[1]
    assert any(isinstance(c, LineCollection) for c in ax.collections)


def test_own_lines_replace_the_bundled_ones(ds, cube, tmp_path):
    own = [LineString([(9.0, 50.0), (11.0, 50.0)]), box(9.5, 49.5, 10.5, 50.5)]
    ax = plot.map(ds, cube, lines=own)
    drawn = {c.get_label() for c in ax.collections}
    assert "_lines" in drawn
    assert not drawn & {"_coastline", "_borders", "_provinces"}
    geometry = json.loads(shapely.to_geojson(own[0]))
    feature = {"type": "Feature", "properties": {"layer": "borders"}, "geometry": geometry}
    path = tmp_path / "own.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert list(basemap.read_lines(path)) == ["borders"]
    assert {len(parts) for parts in basemap.read_lines(own).values()} == {2}


def test_lines_that_are_no_lines_are_refused(tmp_path):
    with pytest.raises(SchemaError, match="cannot read"):
        basemap.read_lines(tmp_path / "none.geojson")
    with pytest.raises(SchemaError, match="point"):
        basemap.read_lines([Point(1, 2)])
    with pytest.raises(SchemaError, match="expected degrees"):
        basemap.read_lines([LineString([(0, 0), (500_000, 4_000_000)])])
    with pytest.raises(SchemaError, match="got str"):
        basemap.read_lines(["a"])


def test_nothing_is_downloaded(ds, cube, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a map went to the network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    plot.map(ds, cube).figure.canvas.draw()


@pytest.mark.parametrize(
    ("units", "text"),
    [("ug m-3", "µg m⁻³"), ("ug/m3", "µg m⁻³"), ("1e-9", "ppb"), ("mg m-3", "mg m⁻³"), ("K", "K"), ("m s-1", "m s⁻¹")],
)
def test_units_for_people(units, text):
    assert subject.units_text(units) == text
