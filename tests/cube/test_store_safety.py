"""Nothing that xaq did not write is deleted or changed, and a cube is lost to no error: by any flag, in any kind of store."""

import contextlib
import itertools
import os
import shutil
import stat
import threading

import fsspec
import numpy as np
import pytest
import xarray as xr
import zarr
from zarr.storage import FsspecStore, LocalStore, MemoryStore, ZipStore

import xaq
from xaq.cube import blocks, replace, store
from xaq.errors import StoreError

OPTIONS = {"grid": xaq.Grid.regular(0.5, bounds=(9.0, 49.5, 11.0, 50.5)), "progress": False, "chunks": {"time": 24}}


@pytest.fixture(scope="module")
def network():
    return xaq.datasets.synthetic(n_stations=8, days=3, missing=0.0, seed=4)


def write(ds, place, mapper="idw", **options):
    return ds.aq.reanalyze(mapper, store=place, **OPTIONS, **options)


def tree(path):
    """Return everything in a folder: the bytes of files, the targets of links, None for folders."""
    found = {}
    for p in sorted(path.rglob("*")):
        found[str(p.relative_to(path))] = p.readlink() if p.is_symlink() else p.read_bytes() if p.is_file() else None
    return found


# How a user may name one folder.
FORMS = {
    "path": str,
    "Path": lambda p: p,
    "bytes": os.fsencode,
    "file URL": lambda p: f"file://{p}",
    "local URL": lambda p: f"local://{p}",
    "LocalStore": LocalStore,
    "FsspecStore": lambda p: FsspecStore.from_url(f"file://{p}"),
}
FLAGS = [{"overwrite": o, "update": u} for o, u in itertools.product((False, True), repeat=2)]


def home(path, network):
    """A folder of somebody's, with a Zarr store of their own inside."""
    path.mkdir()
    (path / "thesis.txt").write_text("precious")
    (path / "empty").mkdir()
    xr.Dataset({"pm25": ("x", np.arange(3))}).to_zarr(path / "mine.zarr")


def foreign_group(path, network):
    xr.Dataset({"pm25": ("x", np.arange(3.0))}, attrs={"title": "mine"}).to_zarr(path)


def foreign_array(path, network):
    zarr.open_array(str(path), mode="w", shape=(3,), dtype="f4")


def derived(path, network):
    whole = path.with_name("whole.zarr")
    write(network, whole)
    xr.open_zarr(whole).mean("time", keep_attrs=True).to_zarr(path)
    shutil.rmtree(whole)


def copied_by_xarray(path, network):
    whole = path.with_name("whole.zarr")
    write(network, whole)
    xr.open_zarr(whole).drop_encoding().to_zarr(path)
    shutil.rmtree(whole)


def left_over(path, network):
    """The creation of a cube was interrupted, in a folder into which somebody has put a file since."""
    zarr.create_group(str(path), attributes={"xaq_status": "creating"})
    (path / "notes.txt").write_text("precious")


PLACES = [home, foreign_group, foreign_array, derived, copied_by_xarray, left_over]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", PLACES)
def test_what_is_not_xaqs_is_refused_and_left_as_it_is(network, tmp_path, place, form):
    path = tmp_path / "place"
    place(path, network)
    before = tree(tmp_path)
    for flags in FLAGS:
        with pytest.raises(StoreError, match="fix: "):
            write(network, FORMS[form](path), **flags)
        assert tree(tmp_path) == before, flags
    for look in (xaq.open_cube, xaq.cube_info):
        with pytest.raises(StoreError, match="fix: "):
            look(FORMS[form](path))


@pytest.mark.parametrize("what", ["file", "file among chunks", "link to a folder", "empty folder", "group", "array"])
def test_a_cube_with_something_else_inside_is_not_overwritten(network, tmp_path, what):
    path, outside = tmp_path / "c.zarr", tmp_path / "outside"
    write(network, path)
    outside.mkdir()
    (outside / "thesis.txt").write_text("precious")
    {
        "file": lambda: (path / "notes.txt").write_text("precious"),
        "file among chunks": lambda: (path / "pm25" / "c" / "0" / "notes.txt").write_text("precious"),
        "link to a folder": lambda: (path / "plots").symlink_to(outside),
        "empty folder": lambda: (path / "plots").mkdir(),
        "group": lambda: zarr.open_group(str(path)).create_group("mine"),
        "array": lambda: zarr.open_group(str(path)).create_array("mine", shape=(3,), dtype="f4"),
    }[what]()
    before = tree(tmp_path)
    with pytest.raises(StoreError, match="not xaq's"):
        write(network, path, "nearest", overwrite=True)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_what_lies_under_a_prefix_of_an_object_store_is_left_alone(network, flags):
    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/other/notes.txt", b"precious")
    for place in ("memory://bucket", FsspecStore.from_url("memory://bucket"), "memory://bucket/other"):
        with pytest.raises(StoreError, match="fix: "):
            write(network, place, **flags)
    assert memory.find("/bucket") == ["/bucket/other/notes.txt"]
    assert memory.cat("/bucket/other/notes.txt") == b"precious"
    memory.rm("/bucket", recursive=True)


def test_a_left_over_in_a_store_object_is_deleted_alone(network):
    memory = MemoryStore()
    zarr.create_group(memory, attributes={"xaq_status": "creating"})
    write(network, memory)
    xaq.open_cube(memory)
    zarr.create_array(memory, name="mine", data=np.arange(3))
    with pytest.raises(StoreError, match="not xaq's"):
        write(network, memory, "nearest", overwrite=True)
    assert (zarr.open_array(memory, path="mine")[:] == np.arange(3)).all()
    assert xaq.open_cube(memory).attrs["xaq_status"] == "complete"


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_is_the_same_store_however_it_is_named(network, tmp_path, form):
    place = FORMS[form](tmp_path / "c.zarr")
    cube = write(network, place)
    xr.testing.assert_identical(xaq.open_cube(tmp_path / "c.zarr").load(), cube.load())
    assert xaq.cube_info(place, verify=True).damaged == []
    assert write(network, place, "nearest", overwrite=True).attrs["title"] != cube.attrs["title"]
    assert [p.name for p in tmp_path.iterdir()] == ["c.zarr"]


# -- overwriting ---------------------------------------------------------------------------------------------------


def test_overwrite_and_update_exclude_each_other(network, tmp_path):
    write(network, tmp_path / "c.zarr")
    before = tree(tmp_path)
    with pytest.raises(StoreError, match="exclude each other; fix: update=True"):
        write(network, tmp_path / "c.zarr", overwrite=True, update=True)
    assert tree(tmp_path) == before


def test_an_overwrite_through_a_link_replaces_what_it_points_to(network, tmp_path):
    write(network, tmp_path / "c.zarr")
    (tmp_path / "link.zarr").symlink_to(tmp_path / "c.zarr")
    write(network, tmp_path / "link.zarr", "nearest", overwrite=True)
    assert (tmp_path / "link.zarr").is_symlink()
    assert xaq.cube_info(tmp_path / "c.zarr").provenance["method"] == "nearest"


@pytest.mark.parametrize("moment", ["first block", "finish", "publish"])
def test_an_overwrite_that_fails_keeps_the_old_cube_and_the_same_call_completes_it(
    network, tmp_path, monkeypatch, moment
):
    path = tmp_path / "c.zarr"
    write(network, path)
    old = tree(path)

    def fails(*args, **options):
        raise OSError(28, "No space left on device")

    where = {
        "first block": (blocks, "_checksum"),
        "finish": (store._Writer, "_finish"),
        "publish": (store, "replace"),
    }
    monkeypatch.setattr(*where[moment], fails)
    with pytest.raises(StoreError, match=r"No space left.*fix: "):
        write(network, path, "nearest", overwrite=True)
    assert tree(path) == old
    xaq.open_cube(path)
    monkeypatch.undo()
    write(network, path, "nearest", overwrite=True)
    assert xaq.cube_info(path, verify=True).damaged == []
    assert xaq.cube_info(path).provenance["method"] == "nearest"
    assert [p.name for p in tmp_path.iterdir()] == ["c.zarr"]


@pytest.mark.parametrize("zarr_format", [3, 2])
def test_an_overwrite_that_is_killed_while_it_changes_names_loses_no_cube(network, tmp_path, monkeypatch, zarr_format):
    start, path = tmp_path / "start", tmp_path / "work" / "c.zarr"
    write(network, start, zarr_format=zarr_format)
    shutil.copytree(start, path)
    count, dies_at = itertools.count(1), [0]

    def dying(function):
        def call(path, *args, **options):
            # Not the writer's lock, and not zarr, which works in a thread of its own.
            ours = threading.current_thread() is threading.main_thread() and path.suffix != ".lock"
            if ours and next(count) in dies_at:
                raise KeyboardInterrupt
            return function(path, *args, **options)

        return call

    # Every change of a name and every deletion of the old cube.
    monkeypatch.setattr(replace.Path, "rename", dying(replace.Path.rename))
    monkeypatch.setattr(replace.Path, "rmdir", dying(replace.Path.rmdir))
    monkeypatch.setattr(replace.Path, "unlink", dying(replace.Path.unlink))
    write(network, path, "nearest", overwrite=True, zarr_format=zarr_format)
    new, moments = tree(path), range(1, next(count))
    assert len(moments) > 30
    for moment in [1, 2, 3, 9, *moments[-16::3]]:
        dies_at[0] = moment
        shutil.rmtree(path.parent)
        shutil.copytree(start, path)
        count = itertools.count(1)
        with contextlib.suppress(KeyboardInterrupt):
            write(network, path, "nearest", overwrite=True, zarr_format=zarr_format)
        # Where there is no cube, between the two names, the next writer puts the old one back.
        assert not path.exists() or tree(path) in (tree(start), new)
        write(network, path, "nearest", overwrite=True, zarr_format=zarr_format)
        assert tree(path) == new
        assert [p.name for p in path.parent.iterdir()] == ["c.zarr"]


def test_what_is_put_into_a_cube_while_it_is_replaced_is_kept(network, tmp_path, monkeypatch):
    path, fill = tmp_path / "c.zarr", store.fill_blocks
    write(network, path)

    def while_notes_are_taken(*args):
        fill(*args)
        (path / "notes.txt").write_text("precious")

    monkeypatch.setattr(store, "fill_blocks", while_notes_are_taken)
    before = tree(path)
    with pytest.raises(StoreError, match=r"notes\.txt.*fix: move them away"):
        write(network, path, "nearest", overwrite=True)
    monkeypatch.undo()
    assert tree(path) == before | {"notes.txt": b"precious"}
    (path / "notes.txt").rename(tmp_path / "notes.txt")
    write(network, path, "nearest", overwrite=True)
    assert xaq.cube_info(path, verify=True).provenance["method"] == "nearest"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.zarr", "notes.txt"]


def test_a_cube_that_is_taken_away_while_it_is_replaced_is_replaced(network, tmp_path, monkeypatch):
    path, fill = tmp_path / "c.zarr", store.fill_blocks
    write(network, path)
    monkeypatch.setattr(store, "fill_blocks", lambda *args: (fill(*args), path.rename(tmp_path / "old.zarr")))
    write(network, path, "nearest", overwrite=True)
    assert xaq.cube_info(path).provenance["method"] == "nearest"
    assert xaq.cube_info(tmp_path / "old.zarr", verify=True).provenance["method"] == "idw"


def test_a_name_that_cannot_be_replaced_is_refused_before_anything_is_computed(network, tmp_path):
    with pytest.raises(StoreError, match=r"230 bytes, expected at most 213.*fix: a shorter name"):
        write(network, tmp_path / ("n" * 230))
    assert not list(tmp_path.iterdir())
    path = tmp_path / ("n" * 213)
    write(network, path)
    write(network, path, "nearest", overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_an_interrupted_overwrite_by_another_cube_is_begun_again(network, tmp_path, monkeypatch):
    path = tmp_path / "c.zarr"
    write(network, path)

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(store._Writer, "_finish", killed)
    with pytest.raises(KeyboardInterrupt):
        write(network, path, "nearest", overwrite=True)
    monkeypatch.undo()
    write(network, path, "kriging", overwrite=True)
    assert xaq.cube_info(path).provenance["method"] == "kriging"
    assert [p.name for p in tmp_path.iterdir()] == ["c.zarr"]


def test_a_tilde_is_the_home_folder(network, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(network, "~/c.zarr")
    assert xaq.open_cube(tmp_path / "c.zarr").attrs["xaq_status"] == "complete"


@pytest.mark.parametrize("where", [".", "..", "inside"])
def test_the_working_folder_is_never_a_store(network, tmp_path, monkeypatch, where):
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    place = {".": ".", "..": "..", "inside": tmp_path / "inside"}[where]
    for flags in FLAGS:
        with pytest.raises(StoreError, match="fix: "):
            write(network, place, **flags)
    assert tree(tmp_path) == {"inside": None}


def test_the_working_folder_inside_a_cube_is_kept(network, tmp_path, monkeypatch):
    write(network, tmp_path / "c.zarr")
    monkeypatch.chdir(tmp_path / "c.zarr")
    before = tree(tmp_path)
    with pytest.raises(StoreError, match="working folder"):
        write(network, ".", "nearest", overwrite=True)
    assert tree(tmp_path) == before


# -- stores that cannot serve --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda p: {},
        lambda p: 3,
        lambda p: "",
        lambda p: " ",
        lambda p: "a\0b",
        lambda p: "x" * 5000,
        lambda p: "foo://x.zarr",
        lambda p: "gdrive://b/x.zarr",
        lambda p: zarr.open_group(str(p / "g"), mode="w"),
        lambda p: ZipStore(p / "z.zip", mode="w"),
        lambda p: LocalStore(p / "ro", read_only=True),
        lambda p: MemoryStore(read_only=True),
        lambda p: p / "no" / "folder.zarr",
    ],
)
def test_a_store_that_cannot_serve_is_a_store_error(network, tmp_path, make):
    place = make(tmp_path)
    for flags in FLAGS:
        with pytest.raises(StoreError, match="fix: "):
            write(network, place, **flags)


def test_a_finished_cube_is_opened_again_without_permission_to_write(network, tmp_path):
    path = tmp_path / "folder" / "c.zarr"
    path.parent.mkdir()
    write(network, path)
    for folder in [path, path.parent]:
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    before = tree(tmp_path)
    try:
        again = write(network, LocalStore(path, read_only=True))
    finally:
        for folder in [path.parent, path]:
            folder.chmod(0o755)
    assert again.attrs["xaq_status"] == "complete"
    assert tree(tmp_path) == before
