"""Hidden stations: how many, which, and that their choice depends on neither order nor data."""

import numpy as np
import pytest
import xarray as xr
from synthetic import station_dataset

from xaq.errors import SchemaError, XaqWarning
from xaq.stations import holdout, schema


def with_twins(ds: xr.Dataset) -> xr.Dataset:
    """Put s01 eleven metres north of s00."""
    lon, lat = ds.lon.values.copy(), ds.lat.values.copy()
    lon[1], lat[1] = lon[0], lat[0] + 0.0001
    return ds.assign_coords(lon=("station", lon), lat=("station", lat))


@pytest.mark.parametrize(("fraction", "n"), [(0.1, 1), (0.3, 3), (0.9, 9), (0.01, 1), (None, 2)])
def test_hide_a_fraction(stations, fraction, n):
    hidden = holdout.hide(stations, fraction=fraction, seed=1).hidden
    assert hidden.dtype == bool
    assert hidden.dims == ("station",)
    assert hidden.sum() == n


def test_hide_is_seeded_and_leaves_the_data(stations):
    one, again = (holdout.hide(stations, fraction=0.3, seed=5) for _ in range(2))
    xr.testing.assert_identical(one, again)
    xr.testing.assert_identical(one.drop_vars("hidden"), schema.conform(stations))
    draws = {tuple(holdout.hide(stations, fraction=0.3, seed=s).hidden.values) for s in range(8)}
    assert len(draws) > 4


@pytest.mark.parametrize("blocks", [None, 1, 3])
def test_whom_hide_draws_does_not_depend_on_the_order_of_stations(blocks):
    assert_order_does_not_matter(with_twins(station_dataset(n=30)), blocks)


@pytest.mark.parametrize("blocks", [None, 1, 3])
def test_order_does_not_matter_where_distances_tie(blocks):
    ds = station_dataset(n=36)
    lon, lat = (a.ravel() for a in np.meshgrid(np.arange(6.0), np.arange(6.0)))
    assert_order_does_not_matter(ds.assign_coords(lon=("station", lon), lat=("station", lat)), blocks)


@pytest.mark.parametrize("blocks", [1, 2])
def test_order_does_not_matter_where_seeds_are_colocated(blocks):
    """Pairs 33 m apart, between the same two neighbours: which of the pair is the centre decides which is nearer."""
    km = np.concatenate([10.0 * np.arange(8), 10.0 * np.arange(8) + 0.033])
    ds = station_dataset(n=16)
    lat = 39.9 + km / 111.195
    assert_order_does_not_matter(ds.assign_coords(lon=("station", np.full(16, 116.4)), lat=("station", lat)), blocks)


def assert_order_does_not_matter(ds, blocks):
    n = ds.sizes["station"]
    orders = [np.arange(n), np.arange(n)[::-1], np.random.default_rng(1).permutation(n)]
    for seed in range(8):
        drawn = [holdout.hide(ds.isel(station=o), fraction=0.25, blocks=blocks, seed=seed) for o in orders]
        first, *others = (set(d.station.values[d.hidden]) for d in drawn)
        assert others == [first, first]


@pytest.mark.parametrize("wanted", [["s04", "s07"], np.array(["s07", "s04"]), ["s04", "s04", "s07"]])
def test_hide_a_list(stations, wanted):
    hidden = holdout.hide(stations, wanted).hidden
    assert hidden.station[hidden].values.tolist() == ["s04", "s07"]


def test_hide_one_by_its_name(stations):
    assert holdout.hide(stations, "s04").hidden.sum() == 1


def test_hidden_blocks_are_neighbourhoods():
    ds = station_dataset(n=60)
    hidden = holdout.hide(ds, fraction=0.2, blocks=1, seed=2).hidden.values
    lon, lat = ds.lon.values, ds.lat.values
    centre = np.array([lon[hidden].mean(), lat[hidden].mean()])
    reach = np.hypot(lon - centre[0], lat - centre[1])
    assert hidden.sum() == 12
    assert np.median(reach[hidden]) < 0.5 * np.median(reach[~hidden])


def test_colocated_stations_stay_together(stations):
    twins = with_twins(stations)
    with pytest.warns(XaqWarning, match="s01"):
        got = holdout.hide(twins, ["s00"])
    assert got.hidden.values[:2].all()
    for seed in range(10):
        hidden = holdout.hide(twins, fraction=0.3, seed=seed).hidden.values
        assert hidden[0] == hidden[1]
        assert 3 <= hidden.sum() <= 4


@pytest.mark.parametrize(
    "arguments",
    [
        {"stations": ["nowhere"]},
        {"stations": []},
        {"stations": [f"s{i:02d}" for i in range(10)]},
        {"stations": ["s00"], "fraction": 0.1},
        {"stations": ["s00"], "blocks": 2},
        {"fraction": 0},
        {"fraction": 15},
        {"fraction": -0.1},
        {"fraction": float("nan")},
        {"fraction": 0.99},
        {"fraction": 0.2, "blocks": 0},
    ],
)
def test_hide_refuses(stations, arguments):
    with pytest.raises(SchemaError):
        holdout.hide(stations, **arguments)


@pytest.mark.parametrize(
    ("arguments", "fraction"),
    [
        ({"stations": 15}, 0.15),
        ({"stations": 0.2}, 0.2),
        ({"stations": "20 %"}, 0.2),
        ({"stations": ["15"]}, 0.15),
        ({"fraction": 20}, 0.2),
        ({"fraction": "20%"}, 0.2),
    ],
)
def test_a_number_is_taken_for_the_fraction_that_was_meant(stations, arguments, fraction):
    with pytest.raises(SchemaError, match=f"fix: fraction={fraction}(,|$)"):
        holdout.hide(stations, **arguments)


def test_a_name_that_is_no_number_is_taken_for_no_fraction(stations):
    with pytest.raises(SchemaError, match="fix: ids of the dataset"):
        holdout.hide(stations, ["nowhere"])


def with_row(ds, name, *, of=0, silent=False):
    row = ds.isel(station=[of]).copy(deep=True).assign_coords(station=[name])
    if silent:
        row.pm25[:] = np.nan
        row = row.assign_coords(lon=row.lon + 0.2)
    return xr.concat([row, ds], "station")


@pytest.mark.parametrize("name", ["a", "s05b", "zz"])
@pytest.mark.parametrize("blocks", [None, 2])
@pytest.mark.parametrize("silent", [True, False], ids=["silent", "copy"])
@pytest.mark.filterwarnings("ignore::xaq.errors.XaqWarning")
def test_a_silent_station_or_a_copy_does_not_change_which_others_are_hidden(name, blocks, silent):
    ds = station_dataset(n=24)
    more = with_row(ds, name, of=5, silent=silent).isel(station=[*range(1, 25), 0])
    for seed in range(6):
        alone, beside = (holdout.hide(d, fraction=0.25, blocks=blocks, seed=seed) for d in (ds, more))
        assert set(beside.aq.hidden.station.values) - {name} == set(alone.aq.hidden.station.values)
        assert bool(beside.hidden.sel(station=name)) == (bool(alone.hidden.sel(station="s05")) and not silent)


def test_a_network_without_any_observation_can_be_hidden_from_too():
    ds = station_dataset(n=12)
    assert holdout.hide(ds.assign(pm25=ds.pm25 * np.nan), fraction=0.25).hidden.sum() == 3
    assert holdout.hide(ds.drop_vars("pm25"), fraction=0.25).hidden.sum() == 3


def test_names_of_stations_have_a_fix_with_their_ids(stations):
    names = [f"Town {i}" for i in range(8)] + ["Port", "Port"]
    named = stations.assign_coords(station_name=("station", names))
    ids = stations.station.values.tolist()
    for wanted, meant in ((["Town 3", "Town 1"], [3, 1]), (["Town 3", ids[5]], [3, 5]), ("Town 2", [2])):
        with pytest.raises(SchemaError, match=r"unknown station\(s\) Town .*, expected ids; .*; fix: ") as raised:
            holdout.hide(named, wanted)
        ds = eval(str(raised.value).split("fix: ")[1], {"ds": named})
        assert ds.hidden.values.tolist() == [i in meant for i in range(10)]
    # Two stations of one name, a name beside what is none, and names where there are none.
    for ds, wanted in ((named, ["Port"]), (named, ["Town 3", "Harbour"]), (stations, ["Town 3"])):
        with pytest.raises(SchemaError, match=r"unknown station\(s\) .*; fix: ids of the dataset, such as "):
            holdout.hide(ds, wanted)
