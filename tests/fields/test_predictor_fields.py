"""Gridded predictors in time: what a user may pass, what must not change an estimate, what is unknown, what is refused."""

import json
import warnings

import numpy as np
import pytest
import xarray as xr

import xaq
from xaq.errors import ModelError, SchemaError, XaqWarning
from xaq.fields.predictor_field import PredictorField, fields_of_model, settle_fields
from xaq.fields.sample import sample_points

POINTS = {"lon": [9.5, 10.0, 10.6], "lat": [49.5, 50.0, 50.4]}
GRID = xaq.Grid.regular(0.5, bounds=(9, 49, 11, 51))
NAMES = ("pm25", "pm25_lower", "pm25_upper")


def pattern(times, seed=0, spacing=0.1):
    """Return a field with nothing in common from cell to cell, which changes every few hours."""
    lat, lon = np.arange(47.5, 52.6, spacing), np.arange(7.5, 12.6, spacing)
    rng = np.random.default_rng(seed)
    hour = (times - times[0]) / np.timedelta64(1, "h")
    phase = rng.uniform(0, 2 * np.pi, (1, len(lat), len(lon)))
    values = 280 + 10 * np.cos(phase + hour[:, None, None] / 6.0)
    axes = {"time": times, "lat": lat, "lon": lon}
    return xr.DataArray(values.astype("f4"), axes, ("time", "lat", "lon"), f"wind{seed}", {"units": "m s-1"})


@pytest.fixture(scope="module")
def times():
    return xaq.datasets.synthetic(n_stations=3, days=2).time.values


@pytest.fixture(scope="module")
def wind(times):
    return pattern(times)


@pytest.fixture(scope="module")
def network(wind):
    """Return plumes that thin out where the wind blows."""
    ds = xaq.datasets.synthetic(n_stations=50, days=2, missing=0.05)
    there = sample_points(wind, ds.lon, ds.lat, time=ds.time).transpose("point", "time").values
    values = (ds.pm25 * np.exp(-(there - 280.0) / 25.0)).astype("float32").assign_attrs(ds.pm25.attrs)
    return ds.assign(pm25=values).aq.hide(fraction=0.25, seed=1)


def estimated(network, fields, **options):
    return network.aq.estimate("kriging-drift", fields=fields, **{**POINTS, **options}).load()


def equal(made, expected, rtol=1e-5):
    for name in NAMES:
        np.testing.assert_allclose(made[name], expected[name], rtol=rtol, atol=1e-4)


def error_of(call, *arguments, **options):
    with pytest.raises((SchemaError, ModelError)) as caught:
        call(*arguments, **options)
    return str(caught.value)


# -- what it gains -------------------------------------------------------------------------------------------------


def test_a_field_helps_at_hidden_stations_as_a_method_and_as_a_baseline(network, wind):
    table = network.aq.verify("kriging", fields=None, baselines=["kriging-drift"])
    with_field = network.aq.verify("kriging-drift", fields=[wind], baselines=["kriging"])
    for score in ("mae", "rmse", "crps"):
        assert with_field.loc["kriging-drift", score] < 0.8 * table.loc["kriging-drift", score]
    assert with_field.loc["kriging", "mae"] == table.loc["kriging", "mae"]


def test_rasters_background_and_fields_are_read_together(network, wind, times):
    cams = pattern(times, 5, spacing=0.5).rename("pm25").assign_attrs(units="ug m-3")
    height = pattern(times, 6).isel(time=0, drop=True).rename("height").assign_attrs(units="m")
    cube = network.aq.reanalyze(
        "kriging-drift", grid=GRID, background=cams, rasters={"height": height}, fields=[wind], time="2020-01-01T08"
    )
    found = json.loads(cube.attrs["xaq_provenance"])
    assert [term["name"] for term in found["drift"]] == ["height", "wind0", "log(background)"]
    assert [raster["name"] for raster in found["rasters"]] == ["height"]
    assert found["fields"] == [{"name": "wind0", "units": "m s-1", "hash": found["fields"][0]["hash"]}]
    slopes = {term["name"]: term["slope"] for term in found["drift"]}
    # Only what has an effect is named.
    assert slopes["height"] == slopes["log(background)"] == found["background"]["slope"] == 0.0
    assert "kriging-drift with fields from" in cube.attrs["title"]
    assert slopes["wind0"] < -0.05
    assert np.isfinite(cube.pm25).all()
    assert "'wind0' has a value at one step at least" in cube.supported.long_name
    assert "'pm25' and 'height' have values at every step" in cube.supported.long_name


# -- laws ----------------------------------------------------------------------------------------------------------


def test_a_raster_repeated_in_time_is_the_raster(network, times):
    raster = pattern(times).isel(time=0, drop=True)
    repeated = raster.expand_dims(time=times).copy()
    made, static = estimated(network, [repeated]), estimated(network, [raster])
    expected = network.aq.estimate("kriging-drift", rasters={"wind0": raster}, **POINTS)
    equal(made, expected)
    equal(static, expected)
    # A hole in space is one in both.
    hole = raster.where((abs(raster.lon - 10.0) > 0.3) | (abs(raster.lat - 50.0) > 0.3))
    made = estimated(network, [hole.expand_dims(time=times).copy()])
    expected = network.aq.estimate("kriging-drift", rasters={"wind0": hole}, **POINTS)
    equal(made, expected)
    np.testing.assert_array_equal(made.supported, expected.supported)
    np.testing.assert_array_equal(made.supported, [1, 0, 1])


def test_scale_and_shift_of_a_field_do_not_matter(network, wind):
    other = (1.8 * wind - 459.67).assign_attrs(units="degF").rename("other")
    equal(estimated(network, [other]), estimated(network, [wind]), rtol=1e-3)


def test_a_field_that_is_the_same_everywhere_changes_nothing(network, wind):
    level = xr.full_like(wind, 5.0).rename("level")
    equal(estimated(network, [wind, level]), estimated(network, [wind]))


def test_hidden_stations_and_the_field_there_leave_no_trace(network, wind):
    poisoned = network.copy(deep=True)
    poisoned.pm25[poisoned.hidden.values] = 1e9
    visible = network.aq.visible
    changed = wind.copy(deep=True)
    for lon, lat in zip(network.aq.hidden.lon.values, network.aq.hidden.lat.values, strict=True):
        near = (abs(wind.lon - lon) < 0.1) & (abs(wind.lat - lat) < 0.1)
        seen = ((abs(visible.lon - wind.lon) < 0.11) & (abs(visible.lat - wind.lat) < 0.11)).any("station")
        changed = changed.where(~(near & ~seen.transpose("lat", "lon")), 999.0)
    assert (changed != wind).any()
    made, expected = (
        json.loads(estimated(ds, [field]).attrs["xaq_provenance"])["drift"]
        for ds, field in ((poisoned, changed.astype("f4")), (network, wind))
    )
    assert made == expected


def test_longitudes_of_either_convention_are_the_same(network, wind):
    turned = wind.assign_coords(lon=wind.lon + 360.0)
    equal(estimated(network, [turned]), estimated(network, [wind]))


def test_a_dataset_is_the_list_of_its_variables(network, times):
    four = [pattern(times, seed) for seed in range(4)]
    height = pattern(times, 7).isel(time=0, drop=True).rename("height")
    bounds = xr.DataArray(np.stack([times, times], 1), dims=("time", "nv"))
    ds = xr.Dataset({field.name: field for field in four} | {"time_bnds": bounds, "height": height, "crs": 0})
    expected = estimated(network, [*four, height])
    for fields in ([ds], ds, (ds[["wind0", "wind1"]], ds[["wind2", "wind3", "height"]])):
        xr.testing.assert_equal(estimated(network, fields).drop_attrs(), expected.drop_attrs())
    named = estimated(network, {field.name: field.rename(None) for field in (*four, height)})
    xr.testing.assert_identical(named, expected)


def test_one_array_is_a_list_of_one_and_no_field_is_none(network, wind):
    xr.testing.assert_identical(estimated(network, wind), estimated(network, [wind]))
    plain = estimated(network, None)
    for nothing in ([], (), {}):
        xr.testing.assert_identical(estimated(network, nothing), plain)


def test_a_projected_and_a_lazy_field_are_read_as_they_are(network, times, wind):
    import rioxarray  # noqa: F401 - registers the .rio accessor

    xr.testing.assert_equal(
        estimated(network, [wind.chunk(time=7)]).drop_attrs(), estimated(network, [wind]).drop_attrs()
    )
    first = wind.isel(time=0, drop=True)
    projected = first.rename(lat="y", lon="x").rio.write_crs(4326).rio.reproject("EPSG:3035", nodata=np.nan)
    (field,) = settle_fields([projected.rename("wind0")], network.aq.visible)
    assert field.is_static
    there = network.aq.visible
    np.testing.assert_allclose(
        field.at(there.lon.values, there.lat.values)[:, 0], sample_points(first, there.lon, there.lat), atol=12.0
    )


def test_a_longer_step_is_interpolated(network, wind):
    (field,) = settle_fields([wind.isel(time=slice(None, None, 3))], network.aq.visible)
    at = network.time.values[[3, 4, 6]].astype("datetime64[s]")
    three = field.at(np.array([10.0]), np.array([50.0]), at)[0]
    np.testing.assert_allclose(three[1], (2 * three[0] + three[2]) / 3, rtol=1e-6)


# -- what is unknown -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def holed(wind):
    """Return a satellite's columns: a third or two of them missing, at other places at each time, and all of them for hours."""
    half = np.random.default_rng(2).random(wind.shape[1:]) < 0.3
    odd = (np.arange(len(wind.time)) % 2).astype(bool)[:, None, None]
    night = (np.arange(len(wind.time)) % 24 < 6)[:, None, None]
    return wind.where((half ^ odd) & ~night)


def test_an_estimate_goes_on_where_a_field_has_holes(network, wind, holed):
    made = estimated(network, [holed])
    assert np.isfinite(made.pm25).all()
    assert made.supported.all()
    # At night no place differs from another by it.
    slopes = [t["slope"] for t in json.loads(made.attrs["xaq_provenance"])["drift"]]
    assert slopes[0] < -0.02


UNKNOWN_AT = "fields: 'wind0' has no value{} at {} of {} steps, the first 2020-01-{}:00:00, the last 2020-01-{}:00:00: there it counts as"


def said_of(call, match="has no value"):
    """Return the texts of the warnings of a call that match."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        call()
    return [str(w.message) for w in said if issubclass(w.category, XaqWarning) and match in str(w.message)]


@pytest.mark.parametrize(
    ("kept", "asked", "expected"),
    [
        (np.r_[30:48], None, (30, 48, "01T00", "02T05")),
        (np.r_[0:10, 20:48], None, (10, 48, "01T10", "01T19")),
        (np.r_[0:10, 20:48], "2020-01-01T12", (1, 1, "01T12", "01T12")),
        (np.r_[0:10, 20:30], slice("2020-01-01T19", "2020-01-02T07"), (3, 13, "01T19", "02T07")),
    ],
    ids=["late", "gap", "gap alone", "gap and end"],
)
def test_one_warning_counts_the_steps_that_a_field_does_not_cover(network, wind, kept, asked, expected):
    texts = said_of(lambda: network.aq.reanalyze("kriging-drift", grid=GRID, fields=[wind.isel(time=kept)], time=asked))
    assert len(texts) == 1
    assert texts[0].startswith(UNKNOWN_AT.format("", *expected))
    assert texts[0].endswith("there it counts as the mean of the stations, and estimates are those without it")


def test_one_warning_counts_the_steps_at_which_no_station_knows_a_field(network, wind):
    blank = wind.where((wind.time < wind.time[3]) | (wind.time > wind.time[7]))
    expected = UNKNOWN_AT.format(" at any visible station", 5, 48, "01T03", "01T07")
    (text,) = said_of(lambda: estimated(network, [blank]))
    assert text.startswith(expected)
    # Gaps of the times are not counted again.
    texts = said_of(lambda: estimated(network, [blank.isel(time=np.r_[0:20, 30:48])]))
    assert [t.partition(", the first")[0] for t in texts] == [
        "fields: 'wind0' has no value at 10 of 48 steps",
        "fields: 'wind0' has no value at any visible station at 5 of 48 steps",
    ]
    assert said_of(lambda: estimated(network, [wind])) == []


def test_a_call_that_scores_several_methods_says_each_warning_once(network, wind):
    gap = wind.where((wind.time < wind.time[3]) | (wind.time > wind.time[7])).isel(time=np.r_[0:20, 30:48])
    silent = network.copy(deep=True)
    silent.pm25[{"station": network.hidden.values.argmin()}] = np.nan
    calls = (
        *(2 * [lambda: silent.aq.verify("kriging-drift", baselines=["kriging", "idw"], fields=[gap])]),
        lambda: silent.aq.plot.reliability("kriging-drift", baselines=["kriging"], fields=[gap]),
        lambda: silent.aq.verify("kriging-drift", baselines=["kriging"], fields=[gap], of="D"),
    )
    for call in calls:
        texts = said_of(call, "")
        assert len(set(texts)) == len(texts)
        assert len([t for t in texts if "has no value" in t]) == 2
        assert len([t for t in texts if "never report" in t]) == 1


def test_steps_without_a_value_are_found_without_a_pass_over_a_lazy_field(network, wind):
    lazy, read = wind.isel(time=np.r_[0:10, 20:48]).chunk(time=24), []
    counted = lazy.copy(data=lazy.data.map_blocks(lambda block: read.append(1) or block, dtype="f4"))
    (field,) = settle_fields([counted], network.aq.visible)
    read.clear()  # Dask calls the function once for an empty block.
    assert field.lacks(wind.time.values.astype("datetime64[s]")).sum() == 10
    assert not read


def test_a_period_that_a_field_does_not_cover_is_one_without_it(network, wind):
    made = estimated(network, [wind.isel(time=slice(30, None))])
    expected = estimated(network, [wind.where(wind.time >= wind.time[30])])
    xr.testing.assert_equal(made.drop_attrs(), expected.drop_attrs())


def test_the_variables_of_a_file_give_one_warning_of_its_period_and_one_of_its_cells(network, wind):
    part = wind.isel(time=slice(30, None)).sel(lon=slice(None, 10.3))
    file = xr.Dataset({"u10": part, "v10": part * 2.0, "blh": part + 1.0})
    other = wind.isel(time=slice(20, None)).rename("t2m")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        network.aq.reanalyze("kriging-drift", grid=GRID, fields=[file, other])
    texts = [str(w.message) for w in said if issubclass(w.category, XaqWarning)]
    assert len(texts) == 3
    assert texts[0].startswith("fields: 'u10', 'v10', 'blh' have no value at 30 of 48 steps, the first 2020-01-01T00")
    assert texts[0].endswith("there they count as the mean of the stations, and estimates are those without them")
    assert texts[1].startswith("fields: 't2m' has no value at 20 of 48 steps")
    assert texts[2] == "'u10', 'v10', 'blh' do not cover 4 of 16 cells of the grid: they have no value there"


def test_fields_without_an_effect_are_named(network, wind):
    rng = np.random.default_rng(0)
    noise = xr.Dataset({name: wind.copy(data=rng.normal(size=wind.shape)) for name in ("u10", "v10")})
    with pytest.warns(XaqWarning, match="'u10', 'v10' have no effect: .*slopes are zero") as said:
        made = estimated(network, [noise])
    assert sum("no effect" in str(w.message) for w in said) == 1
    assert [t["slope"] for t in json.loads(made.attrs["xaq_provenance"])["drift"]] == [0.0, 0.0]
    with warnings.catch_warnings():
        warnings.simplefilter("error", XaqWarning)
        estimated(network, [wind])


def test_a_gap_in_time_is_missing(network, wind):
    kept = np.r_[0:10, 20:48]
    gap = np.isin(np.arange(48), np.arange(10, 20))
    made = estimated(network, [wind.isel(time=kept)])
    xr.testing.assert_equal(
        made.drop_attrs(), estimated(network, [wind.where(~xr.DataArray(gap, dims="time"))]).drop_attrs()
    )


def test_cells_outside_a_field_are_estimated_and_unsupported(network, wind):
    west = wind.sel(lon=slice(None, 10.3))
    with pytest.warns(XaqWarning, match="'wind0' does not cover 4 of 16 cells"):
        cube = network.aq.reanalyze("kriging-drift", grid=GRID, fields=[west]).load()
    assert np.isfinite(cube.pm25).all()
    np.testing.assert_array_equal(cube.supported, cube.supported * (cube.lon < 10.5))
    assert cube.supported.sel(lon=9.25, lat=50.25)
    ax = network.aq.plot.map(cube, time="2020-01-01T08", lines=[])
    texts = [t.get_text() for t in ax.get_legend().get_texts()]
    assert "not supported: no station near or no value of the fields" in texts


def test_the_search_for_a_value_ends_when_each_place_has_one(network, wind):
    (field,) = settle_fields([wind], network.aq.visible)
    read = []

    class Counting:
        def __getattr__(self, name):
            return getattr(field.grid, name)

        def at(self, lon, lat, times):
            read.append(len(times))
            return field.grid.at(lon, lat, times)

    steps = wind.time.values.astype("datetime64[s]")
    long = np.concatenate([steps] * 20)
    assert not PredictorField(Counting()).missing(np.array([10.0]), np.array([50.0]), long).any()
    assert read == [24]


# -- what is refused -----------------------------------------------------------------------------------------------


def test_what_is_no_field_is_refused_with_a_fix(network, wind):
    far = wind.assign_coords(lon=wind.lon + 40.0)
    cases = [
        ("era5.nc", "expected a list of fields"),
        ([wind, wind], "'wind0' is the name of several predictors.*fix: fields={'wind0': field, 'wind0_2': other}"),
        ([wind.rename(None)], "a field has no name; fix: fields={'wind': field}"),
        ([wind.values], "expected DataArrays or Datasets"),
        ([xr.Dataset()], "no variable of numbers on axes.*among none"),
        ([xr.Dataset({"a": (("lat", "lon"), [["x"]])}, {"lat": [1.0], "lon": [2.0]})], "no variable of numbers.*among a"),
        ([xr.Dataset({"a": (("i", "j"), [[1.0]])})], "no axes of longitude and latitude"),
        ([far], "does not cover 38 of 38 stations"),
        ([wind.assign_coords(time=wind.time + np.timedelta64(90, "D"))], "covers .*; fix: a field of that period, or leave"),
        ([wind.where(False)], "no value at any of 38 visible stations.*; fix: leave it out"),
        ([wind.isel(lat=0)], "no axes of longitude and latitude"),
        ([wind.expand_dims(level=[1, 2])], "it has the dimensions level"),
        ([wind.isel(time=slice(4)).resample(time="30min").interpolate()], "has a step of 30min"),
    ]  # fmt: skip
    for fields, message in cases:
        text = error_of(estimated, network, fields)
        assert text.count("fix:") == 1, text
        with pytest.raises(SchemaError, match=message):
            raise SchemaError(text)


def test_a_name_of_a_raster_and_of_a_field_is_refused(network, wind):
    raster = wind.isel(time=0, drop=True)
    with pytest.raises(SchemaError, match="'wind0' is the name of several predictors"):
        network.aq.estimate("kriging-drift", rasters={"wind0": raster}, fields=[wind], **POINTS)


@pytest.mark.parametrize("method", ["kriging", "idw", xaq.Nearest()])
def test_other_methods_refuse_fields_and_name_the_one_that_reads_them(network, wind, method):
    with pytest.raises(ModelError, match=r"fix: 'kriging-drift', or fields=None"):
        network.aq.estimate(method, target="pm25", fields=[wind], **POINTS)


def test_a_model_needs_the_fields_of_its_training_and_no_others(network, wind):
    (field,) = settle_fields([wind], network.aq.visible)
    described = [field.describe()]
    assert fields_of_model([field], described) == (field,)
    assert fields_of_model([], []) == ()
    coarse, feet, other = (
        settle_fields([changed], network.aq.visible)[0]
        for changed in (wind[:, ::2], wind.assign_attrs(units="kn"), wind.rename("gust"))
    )
    for given, needed, message in (
        ([], described, r"fields that are not given; fix: fields=\{'wind0': field\} in this call"),
        ([field], [], "without the fields wind0; fix: fields=None"),
        ([field, other], described, "without the fields gust; fix: leave them out"),
        ([coarse], described, "not the field that the model was trained on .hash"),
        ([feet], described, "units 'm s-1' in training, 'kn' here"),
    ):
        with pytest.raises(ModelError, match=message):
            fields_of_model(given, needed)
    # Another period of the same field has the same identity.
    assert fields_of_model(settle_fields([wind[3:20]], network.aq.visible), described)


# -- figures -------------------------------------------------------------------------------------------------------


def test_figures_of_a_method_read_fields_and_cubes_have_their_own(network, wind):
    hidden = str(network.aq.hidden.station.values[0])
    plot = network.aq.plot
    expected = network.aq.verify("kriging-drift", fields=[wind], baselines=[])
    assert f"MAE {expected.mae.item():#.3g} " in plot.errors("kriging-drift", fields=[wind], lines=[]).get_title("left")
    line = plot.series("kriging-drift", hidden, fields=[wind]).lines[0].get_ydata()
    place = network.sel(station=hidden)
    made = estimated(network, [wind], lon=[float(place.lon)], lat=[float(place.lat)])
    np.testing.assert_allclose(line, made.pm25[:, 0], rtol=1e-5)
    assert plot.reliability("kriging-drift", fields=[wind], baselines=["kriging"], levels=[0.5])
    cube = network.aq.reanalyze("kriging-drift", grid=GRID, fields=[wind])
    for draw, given in ((plot.errors, (cube,)), (plot.series, (cube, hidden)), (plot.hours, (cube, hidden))):
        with pytest.raises(SchemaError, match="a cube was made with its own fields; fix: fields=None"):
            draw(*given, fields=[wind])
