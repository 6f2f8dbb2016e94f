"""The store: whole blocks or none, the same bytes whatever interrupted the writer, growth, damage, other tools."""

import errno
import multiprocessing
import os
import subprocess
import sys
import time
import warnings

import dask
import numpy as np
import pytest
import xarray as xr
import zarr

import xaq
from xaq import cli
from xaq.cube import blocks, graph, store
from xaq.errors import StoreError
from xaq.nn.config import AQNetConfig

GRID = xaq.Grid.regular(0.25, bounds=(9.0, 49.5, 11.0, 50.5))


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=20, days=6, missing=0.1, seed=4).aq.hide(fraction=0.2, seed=1)


@pytest.fixture(scope="module")
def model(network):
    config = AQNetConfig(hidden=8, heads=2, k=8, days_before=1, days_after=1)
    return network.aq.train("pm25", config=config, max_epochs=1, progress=False)


@pytest.fixture(scope="module")
def cube(network, model):
    return network.aq.reanalyze(model, grid=GRID).compute()


def write(ds, mapper, path, **options):
    return ds.aq.reanalyze(
        mapper, **{"grid": GRID, "store": path, "progress": False, "chunks": {"time": 24}, **options}
    )


def tree(path):
    """Return every file of a store with its bytes."""
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def test_a_store_holds_the_lazy_cube(network, model, cube, tmp_path):
    stored = network.aq.reanalyze(
        model, grid=GRID, store=tmp_path / "c.zarr", chunks={"time": 48, "lon": 5}, progress=False
    )
    for name in cube.data_vars:
        np.testing.assert_allclose(stored[name], cube[name], rtol=1e-4)
    assert stored.pm25.attrs["units"] == "ug m-3"
    assert stored.rio.crs.to_epsg() == 4326
    assert {"time_bnds", "lat_bnds", "lon_bnds", "spatial_ref"} <= set(stored.coords)
    assert stored.attrs["xaq_status"] == "complete"


_KILLED = """
import os, sys, dask, xaq
from xaq.cube import blocks
count, limit = 0, int(sys.argv[2])
checksum = blocks._checksum
def dying(*args):
    global count
    count += 1
    if count > limit:
        os.kill(os.getpid(), 9)
    return checksum(*args)
blocks._checksum = dying
dask.config.set(scheduler="synchronous")
ds = xaq.datasets.synthetic(n_stations=20, days=6, missing=0.1, seed=4).aq.hide(fraction=0.2, seed=1)
grid = xaq.Grid.regular(0.25, bounds=(9.0, 49.5, 11.0, 50.5))
ds.aq.reanalyze("kriging", grid=grid, store=sys.argv[1], chunks={"time": 24, "lon": 4}, progress=False)
"""


def test_a_killed_write_resumes_to_the_same_bytes(network, tmp_path):
    options = {"grid": GRID, "chunks": {"time": 24, "lon": 4}, "progress": False}
    network.aq.reanalyze("kriging", store=tmp_path / "whole.zarr", **options)
    cut = tmp_path / "cut.zarr"
    for limit in (3, 4):
        run = subprocess.run([sys.executable, "-c", _KILLED, str(cut), str(limit)], env=os.environ, check=False)
        assert run.returncode == -9
    with pytest.raises(StoreError, match=r"unfinished: 7 of 12"):
        xaq.open_cube(cut)
    assert xr.open_zarr(cut, consolidated=False).attrs["xaq_status"].startswith("unfinished")
    network.aq.reanalyze("kriging", store=cut, **options)
    assert tree(cut) == tree(tmp_path / "whole.zarr")


_WRITE = """
import sys, xaq
ds = xaq.datasets.synthetic(n_stations=20, days=6, missing=0.1, seed=4).aq.hide(fraction=0.2, seed=1)
grid = xaq.Grid.regular(0.02, bounds=(9.0, 49.5, 11.0, 50.5))
model = xaq.load_model(sys.argv[1], device="cpu")
print("ready", flush=True)
ds.aq.reanalyze(model, grid=grid, store=sys.argv[2], chunks={"time": 12, "lat": 25}, progress=False)
"""


@pytest.mark.slow
def test_twenty_kills_at_random_moments_leave_the_same_bytes(model, tmp_path):
    model.save(tmp_path / "m.xaq")
    whole, cut = tmp_path / "whole.zarr", tmp_path / "cut.zarr"
    command = [sys.executable, "-c", _WRITE, str(tmp_path / "m.xaq")]
    with subprocess.Popen([*command, str(whole)], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        start = time.perf_counter()
    took = time.perf_counter() - start
    rng, killed = np.random.default_rng(0), 0
    for delay in rng.uniform(0.0, took / 4, 20):
        with subprocess.Popen([*command, str(cut)], stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(delay)
            process.kill()
        killed += process.returncode == -9
    assert killed >= 10
    subprocess.run([*command, str(cut)], check=True, stdout=subprocess.DEVNULL)
    assert tree(cut) == tree(whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut.zarr", "m.xaq", "whole.zarr"]


def test_a_store_of_another_cube_is_refused_and_left_alone(network, tmp_path):
    path = tmp_path / "c.zarr"
    network.aq.reanalyze("idw", grid=0.5, store=path, progress=False)
    before = tree(path)
    for change in ({"mapper": "kriging"}, {"grid": 0.4}, {"time": "2020-01-02"}, {"level": 0.5}):
        with pytest.raises(StoreError, match="another cube"):
            network.aq.reanalyze(
                change.pop("mapper", "idw"), **{"grid": 0.5, "store": path, "progress": False, **change}
            )
    corrected = network.copy(deep=True)
    corrected.pm25[~network.hidden.values] += 1
    with pytest.raises(StoreError, match=r"1 period.s. were made from other inputs"):
        corrected.aq.reanalyze("idw", grid=0.5, store=path, progress=False)
    assert tree(path) == before
    replaced = network.aq.reanalyze("idw", grid=0.4, store=path, overwrite=True, progress=False)
    assert replaced.sizes["lon"] != 0
    assert tree(path) != before


def test_a_finished_store_is_only_reopened(network, tmp_path):
    path = tmp_path / "c.zarr"
    network.aq.reanalyze("idw", grid=0.5, store=path, progress=False)
    records = {p: p.stat().st_mtime_ns for p in path.rglob("c/*/*/*")}
    network.aq.reanalyze("idw", grid=0.5, store=path, progress=False)
    assert records == {p: p.stat().st_mtime_ns for p in path.rglob("c/*/*/*")}


def test_a_folder_that_looks_like_a_left_over_is_not_deleted(network, tmp_path):
    (tmp_path / "c.zarr.part").mkdir()
    (tmp_path / "c.zarr.part" / "precious.txt").write_text("text")
    network.aq.reanalyze("idw", grid=0.5, store=tmp_path / "c.zarr", progress=False)
    assert (tmp_path / "c.zarr.part" / "precious.txt").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.zarr", "c.zarr.part"]


def test_something_else_at_the_path_is_never_touched(network, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("text")
    for overwrite in (False, True):
        with pytest.raises(StoreError, match="no cube of xaq's"):
            network.aq.reanalyze("idw", grid=0.5, store=tmp_path / "mine", overwrite=overwrite, progress=False)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "text"
    (tmp_path / "file.zarr").write_text("text")
    with pytest.raises(StoreError, match="is a file"):
        network.aq.reanalyze("idw", grid=0.5, store=tmp_path / "file.zarr", progress=False)
    with pytest.raises(StoreError, match="no such folder"):
        network.aq.reanalyze("idw", grid=0.5, store=tmp_path / "a" / "b.zarr", progress=False)


def test_any_tool_opens_the_store(network, tmp_path):
    path = tmp_path / "c.zarr"
    network.aq.reanalyze("kriging", grid=0.5, store=path, progress=False)
    code = (
        "import sys, json, warnings; warnings.simplefilter('error'); sys.modules['xaq'] = None\n"
        "import xarray as xr\n"
        "ds = xr.open_zarr(sys.argv[1])\n"
        "assert ds.pm25.attrs['units'] == 'ug m-3' and ds.pm25.attrs['grid_mapping'] == 'spatial_ref'\n"
        "assert 'WGS 84' in ds.spatial_ref.attrs['crs_wkt'] and 'standard_name' in ds.pm25.attrs\n"
        "assert json.loads(ds.attrs['xaq_provenance'])['method'] == 'kriging'\n"
        "assert bool(ds.pm25.notnull().all()) and ds.supported.dtype == bool\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    # Other programs have no booleans.
    assert zarr.open_group(path)["supported"].dtype == np.int8


# -- blocks, chunks, shards ----------------------------------------------------------------------------------------


def test_a_block_is_made_once_for_all_its_variables(network, model, tmp_path, monkeypatch):
    made = []
    tile = graph.estimate_tile
    monkeypatch.setattr(graph, "estimate_tile", lambda *args: made.append(1) or tile(*args))
    write(network, model, tmp_path / "c.zarr", chunks={"time": 48})
    assert len(made) == 3


@pytest.mark.parametrize("chunks", [{}, {"time": 48}, {"time": 31, "lat": 3, "lon": 5}], ids=str)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_block_is_a_whole_shard_of_small_chunks(network, tmp_path, chunks, zarr_format):
    grid = xaq.Grid.regular(0.02, bounds=(9.0, 49.5, 11.0, 50.5))
    path = tmp_path / "c.zarr"
    stored = write(network, "idw", path, grid=grid, time="2020-01-01", chunks=chunks, zarr_format=zarr_format)
    array = zarr.open_group(path, mode="r")["pm25"]
    block = array.shards or array.chunks
    assert all(b % c == 0 for b, c in zip(block, array.chunks, strict=True))
    assert all(c <= limit for c, limit in zip(array.chunks, (192, 36, 36), strict=True))
    assert (array.shards is None) == (zarr_format == 2 or block == array.chunks)
    xr.testing.assert_allclose(stored.pm25, network.aq.reanalyze("idw", grid=grid, time="2020-01-01").pm25)


def test_rounding_stays_within_half_the_precision_and_saves_space(network, model, cube, tmp_path):
    whole, rounded = tmp_path / "whole.zarr", tmp_path / "rounded.zarr"
    write(network, model, whole)
    made = write(network, model, rounded, precision=0.1)
    assert float(abs(made.pm25 - cube.pm25).max()) <= 0.05
    assert made.pm25.attrs["precision"] == 0.1

    def size(path):
        return sum(len(b) for n, b in tree(path).items() if n.startswith("pm25"))

    assert size(rounded) < 0.6 * size(whole)
    with pytest.raises(StoreError, match=r"precision: 0\.1 there, none here"):
        write(network, model, rounded)


@pytest.mark.parametrize("wrong", [{"precision": 0.0}, {"precision": -1}, {"zarr_format": 4}], ids=str)
def test_impossible_options_are_refused(network, tmp_path, wrong):
    with pytest.raises(StoreError, match="expected"):
        write(network, "idw", tmp_path / "c.zarr", **wrong)
    assert list(tmp_path.iterdir()) == []


# -- anywhere ------------------------------------------------------------------------------------------------------


def test_a_url_and_a_store_object_hold_the_same_cube(network, cube, model):
    memory = zarr.storage.MemoryStore()
    for place in ("memory://xaq-test/c.zarr", memory):
        write(network, model, place)
        xr.testing.assert_allclose(xaq.open_cube(place).pm25, cube.pm25, rtol=1e-5)
        assert xaq.cube_info(place, verify=True).damaged == []
        write(network, model, place)
        write(network, model, place, overwrite=True, chunks={"time": 48})
        assert xaq.open_cube(place).chunks["time"][0] == 48


def test_an_icechunk_repository_has_a_commit_for_every_group_of_blocks(network, cube, model, monkeypatch):
    icechunk = pytest.importorskip("icechunk")
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    monkeypatch.setattr(blocks, "BLOCKS_PER_COMMIT", 4)
    write(network.isel(time=slice(0, 100)), model, repository)
    write(network, model, repository, update=True)
    xr.testing.assert_allclose(xaq.open_cube(repository).pm25, cube.pm25, rtol=1e-5)
    assert xaq.cube_info(repository, verify=True).damaged == []
    messages = [snapshot.message for snapshot in repository.ancestry(branch="main")][::-1]
    assert [m.partition(" [")[0] for m in messages[1:]] == [
        "xaq: template", "xaq: blocks", "xaq: blocks", "xaq: complete", "xaq: template", "xaq: blocks", "xaq: complete",
    ]  # fmt: skip


def test_an_icechunk_repository_and_a_cluster_are_refused(network, monkeypatch):
    icechunk = pytest.importorskip("icechunk")
    repository = icechunk.Repository.create(icechunk.in_memory_storage())
    monkeypatch.setattr(store, "active_client", lambda: object())
    with pytest.raises(StoreError, match="close the client"):
        write(network, "idw", repository)


def test_foreign_data_in_a_store_object_are_left_alone(network):
    memory = zarr.storage.MemoryStore()
    zarr.create_array(memory, name="mine", data=np.arange(3))
    zarr.open_group(memory, mode="a")
    with pytest.raises(StoreError, match="no cube of xaq's"):
        write(network, "idw", memory, overwrite=True)
    assert (zarr.open_array(memory, path="mine")[:] == np.arange(3)).all()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_does_not_change_a_byte(network, model, tmp_path, threads):
    with dask.config.set(scheduler="synchronous"):
        write(network, model, tmp_path / "one.zarr")
    with dask.config.set(num_workers=threads, scheduler="threads"):
        write(network, model, tmp_path / "many.zarr")
    assert tree(tmp_path / "one.zarr") == tree(tmp_path / "many.zarr")


@pytest.mark.slow
def test_workers_of_a_cluster_write_the_same_bytes_even_when_one_dies(network, model, tmp_path):
    distributed = pytest.importorskip("distributed")
    write(network, model, tmp_path / "one.zarr", chunks={"time": 6})
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "memory_limit": 0}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        write(network, model, tmp_path / "two.zarr", chunks={"time": 6})
        (pid, _) = client.run(os.getpid).values()
        killer = multiprocessing.get_context("spawn").Process(
            target=_kill_when_begun, args=(tmp_path / "dying.zarr", pid)
        )
        killer.start()
        write(network, model, tmp_path / "dying.zarr", chunks={"time": 6})
        killer.join()
        assert killer.exitcode == 0
    assert tree(tmp_path / "one.zarr") == tree(tmp_path / "two.zarr")
    assert tree(tmp_path / "one.zarr") == tree(tmp_path / "dying.zarr")


def _kill_when_begun(path, pid):
    """Kill a worker as soon as the first block is written."""
    for _ in range(6000):
        if any((path / "_xaq" / "records").rglob("c/*/*/*/*")):
            os.kill(pid, 9)
            return
        time.sleep(0.01)
    raise SystemExit(1)


def test_files_that_a_killed_writer_did_not_finish_are_swept_away(network, tmp_path):
    whole, cut = tmp_path / "whole.zarr", tmp_path / "cut.zarr"
    write(network, "idw", whole)
    write(network, "idw", cut)
    shards(cut)[0].unlink()
    xaq.cube_info(cut, verify=True, forget=True)
    left = cut / "time_bnds" / "c" / "0" / f"0.{'0' * 32}.partial"
    left.write_bytes(b"half")
    write(network, "idw", cut)
    assert tree(cut) == tree(whole)


# -- growth --------------------------------------------------------------------------------------------------------


def test_appending_equals_one_go_and_makes_only_what_it_must(network, model, tmp_path, monkeypatch):
    first = network.isel(time=slice(0, 100))
    grown, whole = tmp_path / "grown.zarr", tmp_path / "whole.zarr"
    write(first, model, grown)
    with pytest.raises(StoreError, match="update=True"):
        write(network, model, grown)
    written = []
    block = blocks._write_block
    monkeypatch.setattr(blocks, "_write_block", lambda *args: written.append(args[2][0]) or block(*args))
    made = write(network, model, grown, update=True)
    # 100 steps end in the fifth day; the margin of one day makes the fourth read what was appended.
    assert sorted(written) == [3, 4, 5]
    write(network, model, whole)
    xr.testing.assert_identical(made.drop_attrs(), xaq.open_cube(whole).drop_attrs())
    assert {k: v for k, v in tree(grown).items() if "/c/" in k} == {k: v for k, v in tree(whole).items() if "/c/" in k}
    assert made.attrs["history"].count("xaq ") == 1
    written.clear()
    write(network, model, grown, update=True)
    assert written == []


def test_corrected_observations_make_the_blocks_that_read_them_again(network, model, tmp_path, monkeypatch):
    path = tmp_path / "c.zarr"
    write(network, model, path)
    corrected = network.copy(deep=True)
    corrected.pm25[int(np.flatnonzero(~network.hidden.values)[0]), 60] = 99.0
    written = []
    block = blocks._write_block
    monkeypatch.setattr(blocks, "_write_block", lambda *args: written.append(args[2][0]) or block(*args))
    made = write(corrected, model, path, update=True)
    assert sorted(written) == [1, 2, 3]
    xr.testing.assert_allclose(made.pm25, corrected.aq.reanalyze(model, grid=GRID).pm25, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.*never report:xaq.errors.XaqWarning")
def test_a_station_that_reports_for_the_first_time_takes_part_everywhere(network, model, tmp_path):
    late = network.copy(deep=True)
    edge = int(network.lon.where(~network.hidden).argmax())
    late.pm25[edge, :100] = np.nan
    path = tmp_path / "c.zarr"
    before = write(late.isel(time=slice(0, 100)), model, path).load()
    made = write(late, model, path, update=True)
    assert (made.nearest_station < before.nearest_station).any()
    xr.testing.assert_identical(made.drop_attrs(), write(late, model, tmp_path / "whole.zarr").drop_attrs())


def test_an_update_makes_a_cube_where_there_is_none_and_refuses_another(network, model, tmp_path):
    path = tmp_path / "c.zarr"
    write(network, model, path, update=True)
    for other in ({"mapper": "idw"}, {"time": slice("2020-01-02", None)}, {"grid": 0.5}):
        with pytest.raises(StoreError, match="another cube"):
            write(network, other.pop("mapper", model), path, update=True, **other)
    with pytest.raises(StoreError, match="144 steps, 72 are asked for"):
        write(network, model, path, update=True, time=slice(None, "2020-01-03"))


def test_an_update_that_is_interrupted_is_completed(network, model, tmp_path, monkeypatch):
    cut, whole = tmp_path / "cut.zarr", tmp_path / "whole.zarr"
    write(network.isel(time=slice(0, 60)), model, cut)
    block, count = blocks._write_block, []

    def dying(*args):
        count.append(1)
        if len(count) == 2:
            raise KeyboardInterrupt
        return block(*args)

    monkeypatch.setattr(blocks, "_write_block", dying)
    with dask.config.set(scheduler="synchronous"), pytest.raises(KeyboardInterrupt):
        write(network, model, cut, update=True)
    monkeypatch.undo()
    with pytest.raises(StoreError, match="unfinished"):
        xaq.open_cube(cut)
    write(network, model, cut, update=True)
    write(network, model, whole)
    assert {k: v for k, v in tree(cut).items() if "/c/" in k} == {k: v for k, v in tree(whole).items() if "/c/" in k}


def test_a_block_whose_writer_was_killed_before_the_record_counts_as_not_written(network, tmp_path, monkeypatch):
    path = tmp_path / "c.zarr"
    write(network, "idw", path)
    before = tree(path)
    corrected = network.copy(deep=True)
    corrected.pm25[~network.hidden.values, 60] += 10

    def killed(*args):
        raise KeyboardInterrupt

    # The checksum is taken once the values are written, for the record that follows them.
    monkeypatch.setattr(blocks, "_checksum", killed)
    with dask.config.set(scheduler="synchronous"), pytest.raises(KeyboardInterrupt):
        write(corrected, "idw", path, update=True)
    monkeypatch.undo()
    third = shards(path)[2]
    assert third.read_bytes() != before[str(third.relative_to(path))]
    info = xaq.cube_info(path, verify=True)
    assert (info.written, info.blocks, info.damaged) == (5, 6, [])
    with pytest.raises(StoreError, match="unfinished: 5 of 6"):
        xaq.open_cube(path)
    # With the correction withdrawn, the old record would match the inputs, but not the values in the block.
    write(network, "idw", path)
    assert tree(path) == before


@pytest.mark.parametrize("where", ["labels", "records"])
def test_an_update_interrupted_while_it_resizes_is_completed(network, tmp_path, monkeypatch, where):
    # A method without margin: no block before the new ones reads what was appended.
    cut, whole = tmp_path / "cut.zarr", tmp_path / "whole.zarr"
    write(network.isel(time=slice(0, 48)), "idw", cut)
    resize = zarr.Array.resize

    def killed(*args, **options):
        raise KeyboardInterrupt

    if where == "labels":
        monkeypatch.setattr(store._Writer, "_write_small", killed)
    else:
        monkeypatch.setattr(zarr.Array, "resize", lambda a, n: killed() if a.basename == "records" else resize(a, n))
    with pytest.raises(KeyboardInterrupt):
        write(network, "idw", cut, update=True)
    monkeypatch.undo()
    write(network, "idw", cut, update=True)
    write(network, "idw", whole)
    assert {k: v for k, v in tree(cut).items() if "/c/" in k} == {k: v for k, v in tree(whole).items() if "/c/" in k}


@pytest.mark.parametrize("stop", range(5))
def test_an_update_that_stops_anywhere_leaves_no_wrong_time(network, tmp_path, monkeypatch, stop):
    path, calls = tmp_path / "c.zarr", []
    before = write(network.isel(time=slice(0, 48)), "idw", path).time.values

    def stopping(made):
        def called(*args, **options):
            calls.append(made)
            if len(calls) > stop:
                raise KeyboardInterrupt
            return made(*args, **options)

        return called

    for owner, name in ((zarr.Array, "resize"), (store._Writer, "_write_small")):
        monkeypatch.setattr(owner, name, stopping(getattr(owner, name)))
    with pytest.raises(KeyboardInterrupt):
        write(network, "idw", path, update=True)
    monkeypatch.undo()
    # While some arrays are longer than others, nothing can be read.
    along_time = ("pm25", "stations_reporting", "time", "time_bnds")
    sizes = {array.shape[0] for name, array in zarr.open_group(path, mode="r").arrays() if name in along_time}
    if len(sizes) == 1:
        left = xr.open_zarr(path, consolidated=False)
        np.testing.assert_array_equal(left.time[:48], before)
        assert (np.diff(left.time) == np.timedelta64(1, "h")).all()
        assert (left.time_bnds[:, 0] == left.time).all()
    else:
        with pytest.raises(ValueError, match="conflicting sizes"):
            xr.open_zarr(path, consolidated=False)
    np.testing.assert_array_equal(write(network, "idw", path, update=True).time, network.time)


# -- damage --------------------------------------------------------------------------------------------------------


def shards(path, name="pm25"):
    return sorted(p for p in (path / name / "c").rglob("*") if p.is_file())


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove"])
def test_a_damaged_block_is_found_forgotten_and_written_again(network, model, tmp_path, harm, capsys):
    path = tmp_path / "c.zarr"
    write(network, model, path)
    before = tree(path)
    victim = shards(path)[2]
    data = bytearray(victim.read_bytes())
    if harm == "remove":
        victim.unlink()
    else:
        data[len(data) // 3] ^= 0xFF
        victim.write_bytes(bytes(data) if harm == "flip" else bytes(data[:50]))
    info = xaq.cube_info(path, verify=True)
    assert info.damaged == [(2, 0, 0)]
    assert cli.main(["info", str(path), "--verify"]) == 1
    assert "fix: xaq info" in capsys.readouterr().err
    assert cli.main(["info", str(path), "--forget"]) == 0
    with pytest.raises(StoreError, match="unfinished: 5 of 6"):
        xaq.open_cube(path)
    write(network, model, path)
    assert tree(path) == before


def test_a_store_whose_creation_was_interrupted_is_refused_and_made_by_the_same_call(network, tmp_path, monkeypatch):
    path = tmp_path / "c.zarr"

    def killed(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(store._Writer, "_write_small", killed)
    with pytest.raises(KeyboardInterrupt):
        write(network, "idw", path)
    monkeypatch.undo()
    for look in (xaq.open_cube, xaq.cube_info):
        with pytest.raises(StoreError, match="creation was interrupted"):
            look(path)
    assert bool(write(network, "idw", path).pm25.notnull().all())


def test_information_on_a_cube(network, model, tmp_path):
    path = tmp_path / "c.zarr"
    write(network, model, path)
    info = xaq.cube_info(path, verify=True)
    text = str(info)
    assert info.written == info.blocks == 6
    for part in ("complete", model.hash[:12], "kriging", "MAE", "2020-01-01T00:00:00", "as written"):
        assert part in text
    with pytest.raises(StoreError, match="no store at"):
        xaq.cube_info(tmp_path / "absent.zarr")


def test_two_writers_at_once_are_refused(network, model, tmp_path, monkeypatch):
    path = tmp_path / "c.zarr"
    block, refused = blocks._write_block, []

    def second(*args):
        if not refused:
            with pytest.raises(StoreError, match="being written by another process") as error:
                write(network, model, path)
            refused.append(error)
        return block(*args)

    monkeypatch.setattr(blocks, "_write_block", second)
    write(network, model, path)
    assert refused
    assert [p.name for p in tmp_path.iterdir()] == ["c.zarr"]


def test_a_full_disk_ends_in_a_clear_error_and_the_same_call_completes(network, model, tmp_path, monkeypatch):
    path, whole = tmp_path / "c.zarr", tmp_path / "whole.zarr"
    put, count = zarr.storage._local._put, []

    def full(target, *args, **options):
        if "pm25_lower" in str(target) and "/c/" in str(target):
            count.append(1)
            if len(count) > 3:
                raise OSError(errno.ENOSPC, "No space left on device")
        return put(target, *args, **options)

    monkeypatch.setattr(zarr.storage._local, "_put", full)
    with pytest.raises(StoreError, match=r"No space left on device.*call again to resume"):
        write(network, model, path)
    monkeypatch.undo()
    assert 0 < xaq.cube_info(path).written < 6
    write(network, model, path)
    write(network, model, whole)
    assert tree(path) == tree(whole)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_a_clear_error(network, tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            write(network, "idw", tmp_path / "c.zarr")
    finally:
        tmp_path.chmod(0o700)


# -- other tools ---------------------------------------------------------------------------------------------------


def test_netcdf_and_rioxarray_read_the_cube(network, model, tmp_path):
    stored = write(network, model, tmp_path / "c.zarr")
    stored.to_netcdf(tmp_path / "c.nc")
    with xr.open_dataset(tmp_path / "c.nc", decode_coords="all") as back:
        xr.testing.assert_allclose(back.pm25, stored.pm25)
        assert back.rio.crs.to_epsg() == 4326
    stored.pm25.isel(time=0).rio.to_raster(tmp_path / "c.tif")
    raster = xr.open_dataarray(tmp_path / "c.tif", engine="rasterio").squeeze("band", drop=True).sortby("y")
    np.testing.assert_allclose(raster.values, stored.pm25.isel(time=0).values, rtol=1e-6)
    np.testing.assert_allclose(raster.y, stored.lat)


def test_gdal_reads_the_cube_where_its_driver_is_there(network, model, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    with rasterio.Env() as env:
        if "Zarr" not in env.drivers():
            pytest.skip("this GDAL has no Zarr driver")
    stored = write(network, model, tmp_path / "c.zarr", zarr_format=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(f'ZARR:"{tmp_path / "c.zarr"}":/pm25:0') as raster:
            values = raster.read(1)
    np.testing.assert_allclose(np.sort(values.ravel()), np.sort(stored.pm25.isel(time=0).values.ravel()), rtol=1e-6)
