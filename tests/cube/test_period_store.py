"""Stores of periods and of members: whole blocks or none, the same bytes whatever interrupted the writer, growth, damage."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from zarr.storage import MemoryStore

import xaq
from xaq.cube import blocks, ensemble, ensemble_graph
from xaq.errors import StoreError
from xaq.nn.config import AQNetConfig

GRID = xaq.Grid.regular(0.5, bounds=(9.0, 49.5, 11.0, 50.5))
#: An interval of half of the members needs three of them.
MONTHS = {"grid": GRID, "freq": "MS", "members": 3, "capture": 0.1, "level": 0.5, "progress": False}


@pytest.fixture(scope="module", autouse=True)
def three_members():
    """Make no more members than are kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "DEFAULT_MEMBERS", 3)
        yield


@pytest.fixture(scope="module")
def network():
    """A hundred days of twelve-hourly values: January to 9 April 2020."""
    ds = xaq.datasets.synthetic(n_stations=10, days=100, step="12h", missing=0.05, seed=4)
    return ds.aq.hide(fraction=0.2, seed=1)


@pytest.fixture(scope="module")
def model(network):
    config = AQNetConfig(hidden=8, heads=2, k=4, steps_per_day=2, patch=2, days_before=1, days_after=1)
    return network.aq.train("pm25", config=config, max_epochs=0, progress=False)


@pytest.fixture(scope="module")
def kept(network, model, tmp_path_factory):
    """A cube of months in a store, and the model in a file."""
    folder = tmp_path_factory.mktemp("months")
    model.save(folder / "m.xaq")
    network.aq.reanalyze(model, store=folder / "whole.zarr", **MONTHS)
    return folder


def write(ds, mapper, path, **options):
    return ds.aq.reanalyze(mapper, store=path, **{**MONTHS, **options})


def tree(path):
    """Return every file of a store with its bytes."""
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def of_blocks(path):
    return {key: value for key, value in tree(path).items() if "/c/" in key}


@pytest.fixture
def written(monkeypatch):
    """Return the list to which the period of every block that is written is appended."""
    made, block = [], blocks._write_block
    monkeypatch.setattr(blocks, "_write_block", lambda *args: made.append(args[2][0]) or block(*args))
    return made


# -- what is stored ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("asked", [{"freq": "MS"}, {"freq": None, "time": "2020-01"}], ids=["months", "steps"])
def test_a_store_holds_the_lazy_cube_in_whole_blocks(network, model, tmp_path, zarr_format, asked):
    path = tmp_path / "c.zarr"
    sizes = {"time": 1 if asked["freq"] else 50, "lat": 2, "lon": 2}
    stored = write(network, model, path, zarr_format=zarr_format, chunks=sizes, **asked)
    lazy = {name: value for name, value in MONTHS.items() if name != "progress"}
    expected = network.aq.reanalyze(model, **{**lazy, **asked}).compute()
    assert set(stored.variables) == set(expected.variables)
    for name in expected.data_vars:
        np.testing.assert_allclose(stored[name], expected[name], rtol=1e-4, err_msg=str(name))
    # One file is one task.
    assert stored.pm25.data.chunksize == tuple(sizes.values())
    assert stored.pm25_member.data.chunksize == (3, *sizes.values())
    xr.testing.assert_identical(xaq.open_cube(path), stored)
    assert xaq.cube_info(path, verify=True).damaged == []
    assert xaq.cube_info(path, verify=True).damaged_files == []


def test_any_tool_opens_the_store(kept):
    code = (
        "import sys, json, warnings; warnings.simplefilter('error'); sys.modules['xaq'] = None\n"
        "import numpy as np, xarray as xr\n"
        "ds = xr.open_zarr(sys.argv[1], decode_coords='all')\n"
        "assert ds.pm25_member.dims == ('member', 'time', 'lat', 'lon') and ds.pm25_member.dtype == 'f4'\n"
        "assert ds.member.attrs['standard_name'] == 'realization' and ds.member.values.tolist() == [0, 1, 2]\n"
        "assert ds.pm25.attrs['cell_methods'] == 'time: mean (interval: 12 hours)'\n"
        "assert [str(t)[:10] for t in ds.time_bnds.values[1]] == ['2020-02-01', '2020-03-01']\n"
        "assert json.loads(ds.attrs['xaq_provenance'])['freq'] == 'MS'\n"
        "assert bool(ds.pm25_member.notnull().all())\n"
    )
    subprocess.run([sys.executable, "-c", code, str(kept / "whole.zarr")], check=True)


def test_the_cf_checker_finds_no_error(network, model, tmp_path):
    runner = pytest.importorskip("compliance_checker.runner", reason="compliance-checker is in the dev extra")
    runner.CheckSuite.load_all_available_checkers()
    report = tmp_path / "report.json"
    plain = {name: {"_FillValue": None} for name in ("lat", "lon", "lat_bnds", "lon_bnds")}
    made = network.aq.reanalyze(model, grid=GRID, freq="MS", members=3, level=0.5, support="cell").compute()
    made.to_netcdf(tmp_path / "a.nc", encoding=plain)
    runner.ComplianceChecker.run_checker(
        str(tmp_path / "a.nc"), ["cf:1.11"], 0, "normal", output_filename=str(report), output_format="json"
    )
    (result,) = json.loads(report.read_text()).values()
    messages = [m for kind in ("high_priorities", "medium_priorities") for check in result[kind] for m in check["msgs"]]
    # Leap seconds do not matter to means of hours, and rioxarray's spatial_ref has no name.
    assert [m for m in messages if "units_metadata" not in m and "spatial_ref" not in m] == []


def test_a_store_object_holds_members(network, model):
    place = MemoryStore()
    made = write(network, model, place)
    np.testing.assert_array_equal(xaq.open_cube(place).pm25_member, made.pm25_member)
    assert xaq.cube_info(place, verify=True).damaged == []


def test_rounding_rounds_members_too(network, model, tmp_path):
    made = write(network, model, tmp_path / "c.zarr", precision=0.1)
    for name in ("pm25", "pm25_member"):
        np.testing.assert_array_equal(made[name] * 16, (made[name] * 16).round())


def test_one_block_is_made_once_for_value_interval_and_members(network, model, tmp_path, monkeypatch):
    made, summarise = [], ensemble_graph.summarise
    monkeypatch.setattr(ensemble_graph, "summarise", lambda *args: made.append(1) or summarise(*args))
    write(network, model, tmp_path / "c.zarr")
    assert len(made) == 4


# -- interruptions -------------------------------------------------------------------------------------------------

_KILLED = """
import os, sys, dask, xaq
from xaq.cube import blocks, ensemble, ensemble_graph, manifest
where, limit = {
    "members": (ensemble_graph, "summarise"), "record": (blocks, "_checksum"), "manifest": (manifest, "write"),
}[sys.argv[3]], int(sys.argv[4])
count, function = 0, getattr(*where)
def dying(*args, **options):
    global count
    count += 1
    if count > limit:
        os.kill(os.getpid(), 9)
    return function(*args, **options)
setattr(*where, dying)
dask.config.set(scheduler="synchronous")
ensemble.DEFAULT_MEMBERS = 3
ds = xaq.datasets.synthetic(n_stations=10, days=100, step="12h", missing=0.05, seed=4).aq.hide(fraction=0.2, seed=1)
grid = xaq.Grid.regular(0.5, bounds=(9.0, 49.5, 11.0, 50.5))
model = xaq.load_model(sys.argv[1], device="cpu")
ds.aq.reanalyze(model, store=sys.argv[2], grid=grid, freq="MS", members=3, capture=0.1, level=0.5, progress=False)
"""


def test_a_killed_write_resumes_to_the_same_bytes(network, model, kept, tmp_path, written):
    cut = tmp_path / "cut.zarr"
    # While the members of a month are made, between its values and its record, and before the end.
    for where, limit, done in (("members", 1, 1), ("record", 1, 2), ("manifest", 0, 4)):
        command = [sys.executable, "-c", _KILLED, str(kept / "m.xaq"), str(cut), where, str(limit)]
        assert subprocess.run(command, env=os.environ, check=False).returncode == -9
        info = xaq.cube_info(cut, verify=True)
        assert (info.written, info.blocks, info.damaged) == (done, 4, [])
        with pytest.raises(StoreError, match="unfinished"):
            xaq.open_cube(cut)
    write(network, model, cut)
    assert written == []
    assert tree(cut) == tree(kept / "whole.zarr")


@pytest.mark.slow
def test_workers_of_a_cluster_write_the_same_bytes(network, model, kept, tmp_path):
    from distributed import Client, LocalCluster

    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster):
        write(network, model, tmp_path / "c.zarr")
    assert tree(tmp_path / "c.zarr") == tree(kept / "whole.zarr")


def test_a_finished_store_is_only_reopened(network, model, kept, written):
    write(network, model, kept / "whole.zarr")
    write(network, model, kept / "whole.zarr", update=True)
    assert written == []


# -- growth --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("day", "months"), [("2020-02-14", [1]), ("2020-03-01", [1, 2])])
def test_one_late_observation_makes_one_month_again(network, model, tmp_path, written, day, months):
    path = tmp_path / "c.zarr"
    late = network.copy(deep=True)
    station, step = (
        int(np.flatnonzero(~network.hidden.values)[0]),
        int(np.flatnonzero(network.time.values == np.datetime64(day))[0]),
    )
    late.pm25[station, step] = np.nan
    write(late, model, path)
    before = of_blocks(path)
    with pytest.raises(StoreError, match=r"made from other inputs.*fix: update=True"):
        write(network, model, path)
    written.clear()
    made = write(network, model, path, update=True)
    # The model reads a day before and after: the first of March counts for February, too.
    assert sorted(written) == months
    changed = {key for key, value in of_blocks(path).items() if value != before[key]}
    assert {int(key.split("/c/")[1].split("/")["pm25_member" in key]) for key in changed if "pm25" in key} <= set(
        months
    )
    whole = write(network, model, tmp_path / "whole.zarr")
    assert of_blocks(path) == of_blocks(tmp_path / "whole.zarr")
    xr.testing.assert_identical(made.drop_attrs(), whole.drop_attrs())


def test_appended_months_equal_one_go(network, model, kept, tmp_path, written):
    path = tmp_path / "c.zarr"
    first = network.sel(time=slice(None, "2020-02-20"))
    write(first, model, path)
    assert xaq.open_cube(path).sizes["time"] == 2
    written.clear()
    with pytest.raises(StoreError, match="fix: update=True"):
        write(network, model, path)
    made = write(network, model, path, update=True)
    # February was not complete.
    assert sorted(written) == [1, 2, 3]
    assert of_blocks(path) == of_blocks(kept / "whole.zarr")
    xr.testing.assert_identical(made.drop_attrs(), xaq.open_cube(kept / "whole.zarr").drop_attrs())
    with pytest.raises(StoreError, match="has 4 steps, 2 are asked for"):
        write(network, model, path, update=True, time=slice(None, "2020-02-20"))


def test_a_fitted_method_whose_errors_change_makes_every_month_again(network, tmp_path, written):
    mapper = xaq.OrdinaryKriging.fit(xaq.stations.schema.observations(network.aq.visible, "pm25"))
    path = tmp_path / "c.zarr"
    write(network.sel(time=slice(None, "2020-03-31")), mapper, path)
    written.clear()
    write(network, mapper, path, update=True)
    # The covariance of its errors is that of all held-out errors.
    assert sorted(written) == [0, 1, 2, 3]
    write(network, mapper, tmp_path / "whole.zarr")
    assert of_blocks(path) == of_blocks(tmp_path / "whole.zarr")


# -- other cubes ---------------------------------------------------------------------------------------------------

OTHER = {
    "seed": {"seed": 1},
    "members": {"members": 4},
    "no members": {"members": None},
    "freq": {"freq": "QS"},
    "steps": {"freq": None},
    "support": {"support": "cell"},
    "capture": {"capture": 0.2},
    "statistic": {"statistic": "max"},
    "tz": {"tz": "Europe/Berlin"},
}


@pytest.mark.parametrize("name", OTHER)
def test_another_cube_is_refused_and_the_store_left_alone(network, model, kept, name):
    path = kept / "whole.zarr"
    before = tree(path)
    for update in (False, True):
        with pytest.raises(StoreError, match=r"holds another cube \(.*fix: another path, or overwrite=True"):
            write(network, model, path, update=update, **OTHER[name])
    assert tree(path) == before


def test_overwrite_replaces_a_cube_of_members_by_one_of_steps(network, model, tmp_path):
    path = tmp_path / "c.zarr"
    write(network, model, path)
    made = write(network, model, path, freq=None, members=None, overwrite=True)
    assert "pm25_member" not in made
    assert not (path / "pm25_member").exists()
    back = write(network, model, path, overwrite=True)
    assert back.pm25_member.shape == (3, 4, 2, 4)


# -- damage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("harm", ["flip", "remove"])
def test_a_damaged_member_is_found_forgotten_and_written_again(network, model, tmp_path, written, zarr_format, harm):
    path = tmp_path / "c.zarr"
    write(network, model, path, zarr_format=zarr_format)
    before = tree(path)
    shard = path / "pm25_member" / ("c/0/2/0/0" if zarr_format == 3 else "1.2.0.0")
    if harm == "flip":
        raw = bytearray(shard.read_bytes())
        raw[len(raw) // 2] ^= 1
        shard.write_bytes(bytes(raw))
    else:
        shard.unlink()
    assert xaq.cube_info(path, verify=True).damaged == [(2, 0, 0)]
    xaq.cube_info(path, forget=True)
    written.clear()
    write(network, model, path, zarr_format=zarr_format)
    assert written == [2]
    assert tree(path) == before
