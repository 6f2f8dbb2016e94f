"""Whatever is damaged or missing in a finished cube is found, and the call that wrote the cube brings it back."""

import shutil

import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import LocalStore

import xaq
from xaq.errors import StoreError

OPTIONS = {"grid": xaq.Grid.regular(0.5, bounds=(9.0, 49.5, 11.0, 50.5)), "progress": False, "chunks": {"time": 24}}


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=8, days=3, missing=0.0, seed=4)


def write(ds, place, **options):
    return ds.aq.reanalyze("idw", store=place, **OPTIONS, **options)


@pytest.fixture(scope="module", params=[3, 2], ids=["zarr 3", "zarr 2"])
def finished(network, tmp_path_factory, request):
    path = tmp_path_factory.mktemp("cube") / "c.zarr"
    write(network, path, zarr_format=request.param)
    return path


def files(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def is_found(path):
    """Return whether ``open_cube`` refuses the cube, or a check of its bytes names the damage."""
    try:
        xaq.open_cube(path)
        info = xaq.cube_info(path, verify=True)
    except StoreError as error:
        return str(error).count("fix: ") == 1
    return bool(info.damaged or info.damaged_files)


def harm(path, name, rng):
    """Change one byte of a file, or remove it; return what was done."""
    victim, data = path / name, bytearray((path / name).read_bytes())
    if rng.random() < 0.1 or not data:
        victim.unlink()
        return f"{name} removed"
    where = rng.integers(len(data))
    data[where] ^= int(rng.integers(1, 256))
    victim.write_bytes(bytes(data))
    return f"{name}: byte {where} of {len(data)}"


def test_any_byte_and_any_file_is_found(finished):
    rng, whole = np.random.default_rng(0), files(finished)
    names = list(whole)
    missed = []
    for _ in range(250):
        name = names[rng.integers(len(names))]
        what = harm(finished, name, rng)
        if not is_found(finished):
            missed.append(what)
        (finished / name).parent.mkdir(parents=True, exist_ok=True)
        (finished / name).write_bytes(whole[name])
    assert not missed
    assert not is_found(finished)


def test_the_same_call_restores_every_file(finished, network, tmp_path):
    path, whole = tmp_path / "c.zarr", files(finished)
    shutil.copytree(finished, path)
    zarr_format = 3 if "zarr.json" in whole else 2
    # Zarr 2 has many more files of each kind.
    for name in list(whole)[:: 1 if zarr_format == 3 else 5]:
        if "/records/" in name and not name.endswith(("zarr.json", ".zarray", ".zattrs")):
            continue
        for data in (None, whole[name][:-1] + bytes([whole[name][-1] ^ 0xFF])):
            is_block = name.startswith("pm25") and not name.endswith(("zarr.json", ".zarray", ".zattrs"))
            if data is None:
                (path / name).unlink()
            else:
                (path / name).write_bytes(data)
            if is_block and data is not None:
                xaq.cube_info(path, verify=True, forget=True)
            assert is_found(path) or is_block
            write(network, path, zarr_format=zarr_format)
            assert files(path) == whole, name


@pytest.mark.parametrize("name", ["lat", "pm25", "time_bnds", "nearest_station", "pm25/c", "lat/c"])
def test_a_variable_that_is_gone_is_named_and_brought_back(network, tmp_path, name):
    path = tmp_path / "c.zarr"
    write(network, path)
    whole = files(path)
    shutil.rmtree(path / name)
    with pytest.raises(StoreError, match=rf"damaged: .*{name}.*fix: call reanalyze"):
        xaq.open_cube(path)
    write(network, path)
    assert files(path) == whole


def test_damage_to_an_unfinished_cube_is_an_error_that_says_how_to_go_on(network, tmp_path):
    path = tmp_path / "c.zarr"
    write(network, path)
    (path / "pm25" / "c" / "1" / "0" / "0").unlink()
    assert xaq.cube_info(path, forget=True).damaged == [(1, 0, 0)]
    (path / "zarr.json").write_bytes(b"{")
    for look in (xaq.open_cube, xaq.cube_info, lambda p: write(network, p)):
        with pytest.raises(StoreError, match=r"metadata are damaged; fix: .*overwrite=True"):
            look(path)
    write(network, path, overwrite=True)
    assert not is_found(path)


def test_metadata_that_show_no_owner_are_never_deleted(network, tmp_path):
    path = tmp_path / "c.zarr"
    write(network, path)
    (path / "_xaq" / "zarr.json").write_bytes(b"{")
    shutil.rmtree(path / "_xaq" / "manifest")
    before = files(path)
    for overwrite in (False, True):
        with pytest.raises(StoreError, match=r"cannot be read.*fix: another path"):
            write(network, path, overwrite=overwrite)
    assert files(path) == before


def test_a_changed_fingerprint_is_damage(network, tmp_path):
    path = tmp_path / "c.zarr"
    write(network, path)
    records = zarr.open_group(str(path), mode="r+", path="_xaq", use_consolidated=False)["records"]
    record = records[1, 0, 0]
    records[1, 0, 0] = np.array([record[0] + 1, record[1]], np.uint64)
    assert xaq.cube_info(path, verify=True).damaged == [(1, 0, 0)]


def test_a_whole_cube_in_memory_is_checked_too(network):
    memory = zarr.storage.MemoryStore()
    write(network, memory)
    del memory._store_dict["lat/c/0"]
    with pytest.raises(StoreError, match=r"damaged: 1 file.*lat/c/0"):
        xaq.open_cube(memory)
    cube = write(network, memory)
    xr.testing.assert_identical(cube.load(), xaq.open_cube(memory).load())


@pytest.mark.parametrize("left", [0, 7], ids=["empty", "cut off"])
def test_records_that_a_loss_of_power_cut_off_are_found_and_written_again(finished, network, tmp_path, left):
    path, whole = tmp_path / "c.zarr", files(finished)
    shutil.copytree(finished, path)
    zarr_format = 3 if "zarr.json" in whole else 2
    record = {3: "_xaq/records/c/1/0/0/0", 2: "_xaq/records/1.0.0.0"}[zarr_format]
    (path / record).write_bytes(whole[record][:left])
    assert xaq.cube_info(path).written == 2
    assert xaq.cube_info(path, verify=True).damaged == [(1, 0, 0)]
    write(network, path, zarr_format=zarr_format)
    assert files(path) == whole


def test_information_names_every_damaged_file(finished, tmp_path):
    path, whole, intact = tmp_path / "c.zarr", files(finished), xaq.cube_info(finished)
    # Every third: they are many, and each is read in full.
    for name in list(whole)[::3]:
        if "/manifest/" in name or "/records/c" in name or "/records/0" in name:
            continue
        for data in (None, b"\xff" + whole[name][1:]):
            shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(finished, path)
            (path / name).unlink()
            if data is not None:
                (path / name).write_bytes(data)
            info = xaq.cube_info(path, verify=True)
            assert info.damaged or info.damaged_files == [name]
            assert (info.sizes, info.period, info.title) == (intact.sizes, intact.period, intact.title)


def test_what_is_damaged_beside_a_block_is_brought_back_when_the_block_is_forgotten(finished, network, tmp_path):
    path, whole = tmp_path / "c.zarr", files(finished)
    shutil.copytree(finished, path)
    zarr_format = 3 if "zarr.json" in whole else 2
    block, document, latitudes = {
        3: ("pm25/c/1/0/0", "pm25/zarr.json", "lat/c/0"),
        2: ("pm25/1.0.0", "pm25/.zarray", "lat/0"),
    }[zarr_format]
    (path / block).write_bytes(b"")
    (path / document).unlink()
    (path / latitudes).write_bytes(b"\xff" * 9)
    info = xaq.cube_info(path, verify=True, forget=True)
    assert info.damaged == [(1, 0, 0)]
    assert info.damaged_files == sorted([document, latitudes])
    write(network, path, zarr_format=zarr_format)
    assert files(path) == whole


def test_a_restoration_that_is_interrupted_loses_no_block(finished, network, tmp_path, monkeypatch):
    start, path, whole = tmp_path / "start", tmp_path / "c.zarr", files(finished)
    shutil.copytree(finished, start)
    zarr_format = 3 if "zarr.json" in whole else 2
    lost = {3: ["pm25/c/1/0/0", "pm25/c/2/0/0", "lat/c/0"], 2: ["pm25/1.0.0", "pm25/2.0.0", "lat/0"]}[zarr_format]
    for name in lost:
        (start / name).unlink()
    left = [0]

    def full(function):
        async def change(*args):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(28, "No space left on device")
            return await function(*args)

        return change

    monkeypatch.setattr(LocalStore, "set", full(LocalStore.set))
    monkeypatch.setattr(LocalStore, "delete", full(LocalStore.delete))
    for changes in range(0, 9):
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(start, path)
        left[0] = changes
        with pytest.raises(StoreError, match=r"No space left.*fix: call again"):
            write(network, path, zarr_format=zarr_format)
        left[0] = 10**6
        write(network, path, zarr_format=zarr_format)
        assert files(path) == whole
