"""Rows of a dataset: their order, stations without data and copies change no estimate, in memory or lazy."""

import json
import warnings

import dask
import numpy as np
import pytest
import xarray as xr

import xaq
from xaq.errors import StoreError, XaqWarning
from xaq.nn.config import AQNetConfig

GRID = xaq.Grid.regular(0.5, bounds=(9.0, 49.0, 11.0, 51.0))
METHODS = ["nearest", "idw", "kriging", "kriging-log", "model"]
FAR = {"lon": 17.0, "lat": 58.0}

pytestmark = pytest.mark.filterwarnings("ignore::xaq.errors.XaqWarning")


@pytest.fixture(scope="module")
def network():
    ds = xaq.datasets.synthetic(n_stations=16, days=6, missing=0.1, seed=3).aq.hide(fraction=0.2, seed=1)
    with dask.config.set(scheduler="synchronous"):
        yield ds


@pytest.fixture(scope="module")
def model(network):
    config = AQNetConfig(hidden=8, heads=2, k=8, days_before=1, days_after=1)
    return network.aq.train("pm25", config=config, max_epochs=0, progress=False)


def new_row(ds, name, of=4, **place):
    """Return the network and one more station: the values and the place of another, or another place."""
    row = ds.isel(station=[of]).copy(deep=True)
    coords = {axis: ("station", [value]) for axis, value in place.items()}
    return row.assign_coords(station=[name], **coords)


def silent(ds, name, **place):
    row = new_row(ds, name, **place)
    row.pm25[:] = np.nan
    return xr.concat([ds, row], "station")


def copied(ds, name, *, north=0.0, gaps=False):
    visible = int(np.flatnonzero(~ds.hidden.values)[4])
    row = new_row(ds, name, of=visible)
    if gaps:
        row.pm25[0, ::3] = np.nan
    return xr.concat([ds, row.assign_coords(lat=row.lat + north)], "station")


def shuffled(ds, seed=0):
    return ds.isel(station=np.random.default_rng(seed).permutation(ds.sizes["station"]))


VARIANTS = {
    "another order": shuffled,
    "a silent station": lambda ds: silent(ds, "s005b", lon=10.3, lat=50.1),
    "a silent station first": lambda ds: silent(ds, "a", lon=10.3, lat=50.1).isel(station=np.r_[-1, 0:16]),
    "a silent station far away": lambda ds: silent(ds, "zz", **FAR),
    "infinities at a silent station": lambda ds: silent(ds, "s1", lon=10.3, lat=50.1).fillna(np.inf),
    "a copy": lambda ds: copied(ds, "copy"),
    "a copy beside it with gaps": lambda ds: copied(ds, "s004b", north=0.0003, gaps=True),
    "three copies": lambda ds: copied(copied(copied(ds, "zz"), "aa"), "s0041", gaps=True),
    "all": lambda ds: shuffled(silent(copied(ds, "s004b"), "s005b", lon=10.3, lat=50.1)),
}


def with_attrs(ds, like):
    return ds.assign(pm25=ds.pm25.assign_attrs(like.pm25.attrs))


@pytest.fixture(scope="module")
def expected(network, model):
    return {m: network.aq.reanalyze(model if m == "model" else m, grid=GRID).compute() for m in METHODS}


@pytest.mark.parametrize("lazy", [False, True], ids=["memory", "lazy"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", VARIANTS)
def test_rows_that_say_nothing_new_change_nothing(network, model, expected, kind, method, lazy):
    ds = with_attrs(VARIANTS[kind](network), network)
    if lazy:
        ds = ds.chunk({"time": 50, "station": 5})
    made = ds.aq.reanalyze(model if method == "model" else method, grid=GRID).compute()
    assert set(made.data_vars) == set(expected[method].data_vars)
    for name, values in expected[method].data_vars.items():
        # A copy that lies elsewhere within 50 m may stand for the station.
        np.testing.assert_allclose(made[name], values, rtol=1e-5, atol=1e-5, err_msg=str(name))


@pytest.mark.parametrize("lazy", [False, True], ids=["memory", "lazy"])
def test_the_default_distance_is_that_of_the_stations_that_report(network, lazy):
    wide = xaq.Grid.regular(1.0, bounds=(0, 40, 20, 60))
    expected = network.aq.reanalyze("idw", grid=wide).supported
    assert 0 < int(expected.sum()) < expected.size
    ds = with_attrs(silent(silent(network, "b", **FAR), "c", lon=1.0, lat=42.0), network)
    made = (ds.chunk({"time": 50}) if lazy else ds).aq.reanalyze("idw", grid=wide)
    np.testing.assert_array_equal(made.supported, expected)


def test_kriging_in_time_sees_the_same_stations(network):
    network = network.isel(time=slice(0, 30))
    made, expected = (
        with_attrs(ds, network).aq.estimate("kriging-spacetime", lon=[9.7, 10.2], lat=[49.8, 50.4]).pm25
        for ds in (VARIANTS["all"](network), network)
    )
    np.testing.assert_allclose(made, expected, rtol=1e-5)


@pytest.mark.parametrize("kind", VARIANTS)
def test_points_explanations_and_scores_are_the_same(network, model, kind):
    ds = with_attrs(VARIANTS[kind](network), network)
    there = {"lon": [9.7, 10.2], "lat": [49.8, 50.4]}
    for made, expected in zip(
        (ds.aq.estimate("kriging", **there), ds.aq.explain(model, lon=10.0, lat=50.0, time="2020-01-04T08")),
        (network.aq.estimate("kriging", **there), network.aq.explain(model, lon=10.0, lat=50.0, time="2020-01-04T08")),
        strict=True,
    ):
        for name, values in expected.data_vars.items():
            np.testing.assert_allclose(made[name], values, rtol=1e-5, atol=1e-5, err_msg=str(name))
    tables = [d.aq.verify(model, baselines=["kriging", "idw"]) for d in (ds, network)]
    np.testing.assert_allclose(*(t.to_numpy(float) for t in tables), rtol=1e-5)
    assert sorted(tables[0].attrs["hidden_stations"]) == sorted(tables[1].attrs["hidden_stations"])


def test_copies_of_hidden_stations_are_scored_once(network):
    hidden = int(np.flatnonzero(network.hidden.values)[0])
    twice = xr.concat([network, new_row(network, "copy", of=hidden)], "station")
    twice = silent(with_attrs(twice, network), "b", lon=10.3, lat=50.1)
    twice["hidden"][-1] = True
    tables = [d.aq.verify("kriging", baselines=["idw"]) for d in (twice, network)]
    np.testing.assert_allclose(*(t.to_numpy(float) for t in tables), rtol=1e-5)


def test_a_visible_copy_of_a_hidden_station_is_named_and_the_fix_hides_it(network):
    hidden = int(np.flatnonzero(network.hidden.values)[0])
    ds = with_attrs(xr.concat([network, new_row(network, "copy", of=hidden)], "station"), network)
    ds["hidden"][-1] = False
    expected = network.aq.verify("kriging", baselines=["idw"])
    with pytest.warns(XaqWarning, match="1 visible station.* within 50 m of a hidden one.*: copy; fix: ") as told:
        told_all = ds.aq.verify("kriging", baselines=["idw"])
    assert told_all.mae["idw"] < 0.8 * expected.mae["idw"]
    (text,) = (str(w.message) for w in told if "fix: " in str(w.message))
    fixed = eval(text.split("fix: ")[1], {"ds": ds})
    np.testing.assert_allclose(fixed.aq.verify("kriging", baselines=["idw"]), expected, rtol=1e-5)
    with pytest.warns(XaqWarning, match="within 50 m of a hidden one"):
        ds.aq.train("pm25", max_epochs=0, progress=False)


def test_a_custom_mapper_sees_those_that_take_part_and_no_others(network):
    seen = []

    class Watching(xaq.Nearest):
        def prepare(self, observations, times):
            seen.append(observations)
            return super().prepare(observations, times)

    for ds in (network, VARIANTS["all"](network), VARIANTS["all"](network).chunk({"time": 30})):
        with_attrs(ds, network).aq.estimate(Watching(), lon=[10.0], lat=[50.0], target="pm25").compute()
    for other in seen[1:]:
        for name in ("values", "lon", "lat", "times"):
            np.testing.assert_array_equal(getattr(other, name), getattr(seen[0], name))


def test_what_is_left_out_is_named(network):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", XaqWarning)
        with_attrs(VARIANTS["all"](network), network).aq.estimate("idw", lon=[10.0], lat=[50.0])
    said = sorted(str(w.message) for w in told)
    assert [s.split(" ")[2:4] for s in said] == [["are", "copies"], ["never", "report"]]
    assert "s004b" in said[0]
    assert said[1].endswith("s005b")


# -- the same call, the same cube ----------------------------------------------------------------------------------


def stored(ds, path, mapper="kriging", **options):
    return ds.aq.reanalyze(mapper, grid=GRID, store=path, progress=False, chunks={"time": 48}, **options)


def as_dtype(ds, dtype, order="C"):
    values = np.array(ds.pm25.values, dtype, order=order)
    values.flags.writeable = False
    return ds.assign(pm25=(ds.pm25.dims, values, ds.pm25.attrs))


SAME = {
    "another order": shuffled,
    "float64": lambda ds: as_dtype(ds, "f8"),
    "big-endian": lambda ds: as_dtype(ds, ">f4"),
    "Fortran order": lambda ds: as_dtype(ds, "f4", "F"),
    "infinities": lambda ds: ds.assign(pm25=ds.pm25.fillna(np.inf).assign_attrs(ds.pm25.attrs)),
    "transposed": lambda ds: ds.transpose("time", "station"),
    "chunks": lambda ds: ds.chunk({"time": 31, "station": 3}),
    "chunks in another order": lambda ds: shuffled(ds).chunk({"time": 31, "station": 3}),
    "chunks of float64, transposed": lambda ds: shuffled(as_dtype(ds, "f8")).transpose("time", "station").chunk({"time": 20}),
    "negative zero": lambda ds: ds.assign(pm25=ds.pm25.where(ds.pm25 != 0, -0.0).assign_attrs(ds.pm25.attrs)),
}  # fmt: skip


@pytest.mark.parametrize("method", ["kriging", "model"])
def test_the_same_observations_complete_the_same_cube(network, model, method, tmp_path):
    network = network.assign(
        pm25=network.pm25.where(network.pm25 > network.pm25.quantile(0.02), 0.0).assign_attrs(network.pm25.attrs)
    )
    mapper = model if method == "model" else method
    first = stored(network, tmp_path / "c.zarr", mapper)
    modified = {p: p.stat().st_mtime_ns for p in (tmp_path / "c.zarr" / "pm25").rglob("*") if p.is_file()}
    assert modified
    for change in SAME.values():
        again = stored(change(network), tmp_path / "c.zarr", mapper)
        np.testing.assert_array_equal(again.pm25, first.pm25)
    assert {p: p.stat().st_mtime_ns for p in modified} == modified


@pytest.mark.parametrize("lazy", [False, True], ids=["memory", "lazy"])
@pytest.mark.parametrize("name", ["0000", "zz"])
def test_the_same_copies_in_another_order_complete_the_same_cube(network, tmp_path, name, lazy):
    """Which of the copies comes first does not matter."""
    row = int(np.flatnonzero(~network.hidden.values)[4])
    copied = xr.concat([network, network.isel(station=[row]).assign_coords(station=[name])], "station")
    first = stored(copied, tmp_path / "c.zarr")
    again = copied.isel(station=slice(None, None, -1))
    np.testing.assert_array_equal(
        stored(again.chunk({"time": 40}) if lazy else again, tmp_path / "c.zarr").pm25, first.pm25
    )


@pytest.mark.parametrize("lazy", [False, True], ids=["memory", "lazy"])
def test_other_observations_are_refused(network, tmp_path, lazy):
    """One value, one value less, two stations that exchange their values: each is another cube."""
    stored(network, tmp_path / "c.zarr", "idw")
    rows = np.flatnonzero(~network.hidden.values)[:2]
    for change in (
        lambda v: v.__setitem__((rows[0], 30), v[rows[0], 30] * 1.0001 + 0.01),
        lambda v: v.__setitem__((rows[0], np.flatnonzero(np.isfinite(v[rows[0]]))[0]), np.nan),
        lambda v: v.__setitem__(rows, v[rows[::-1]]),
    ):
        other = network.copy(deep=True)
        change(other.pm25.values)
        with pytest.raises(StoreError, match="other inputs"):
            stored(other.chunk({"time": 40}) if lazy else other, tmp_path / "c.zarr", "idw")


def test_a_cube_stays_the_same_when_a_silent_station_begins_to_report(network, tmp_path):
    """The default distance is then another one; the cube can be brought up to date all the same."""
    path, row = tmp_path / "c.zarr", int(np.flatnonzero(~network.hidden.values)[3])
    before = network.copy(deep=True)
    before.pm25[row] = np.nan
    stored(before, path, "idw")
    updated = stored(network, path, "idw", update=True)
    made = network.aq.reanalyze("idw", grid=GRID)
    np.testing.assert_array_equal(updated.supported, made.supported)
    np.testing.assert_allclose(updated.pm25, made.pm25, rtol=1e-6)
    said = [json.loads(c.attrs["xaq_provenance"])["max_distance_km"] for c in (updated, made)]
    assert said[0] == said[1]
