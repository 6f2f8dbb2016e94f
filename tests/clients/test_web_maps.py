"""rio-tiler's GeoZarr reader and titiler-xarray on stores and pyramids, and validators of the conventions and of STAC."""

import json
import warnings

import numpy as np
import pytest
import xarray as xr
import zarr
from conftest import box, inner

import xaq
from xaq.export import pyramid

pytestmark = [pytest.mark.clients, pytest.mark.filterwarnings("ignore")]
MAPS = {"pm25", "pm25_lower", "pm25_upper", "nearest_station", "supported"}


@pytest.fixture(params=["daily", "hourly", "forecast"])
def sharded(request, cubes):
    """Each cube in Zarr 3, which the conventions are for."""
    return cubes[request.param]


@pytest.fixture(scope="module")
def tiles(cubes, tmp_path_factory):
    """A pyramid of three levels."""
    path = tmp_path_factory.mktemp("pyramid") / "p.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyramid, "_TILE", 2)
        xaq.to_pyramid(cubes["daily"][0], path)
    return path


def geozarr(path):
    """Return rio-tiler's reader of GeoZarr."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader = pytest.importorskip("rio_tiler.experimental.zarr", reason="pip install 'rio-tiler[zarr]'")
    return reader.GroupReader(zarr.open_group(path, mode="r"))


def test_rio_tiler_knows_variables_bounds_crs_and_values_of_a_store(sharded):
    cube, store, _ = sharded
    with geozarr(store) as reader:
        assert {variable["name"] for variable in reader.list_variables()} == MAPS
        assert reader.bounds == box(cube)
        assert reader.get_bounds(variables="pm25") == reader.bounds
        assert reader.crs.to_epsg() == 4326
        cell = cube.pm25[:, 2, 5]
        point = reader.point(float(cell.lon) + 0.1, float(cell.lat) - 0.1, variables=["pm25"])
        np.testing.assert_array_equal(point.array.filled(np.nan), cell.values)


def test_rio_tiler_reads_parts_and_levels_of_a_pyramid(cubes, tiles):
    cube, levels = cubes["daily"][0], xr.open_datatree(tiles, engine="zarr")
    with geozarr(tiles) as reader:
        assert {variable["name"] for variable in reader.list_variables()} == MAPS
        assert reader.bounds == (8.0, 48.0, 12.0, 51.0)
        part = reader.part((9.0, 49.0, 11.0, 50.5), variables=["pm25"]).array
        north_up = cube.pm25.sel(lat=slice(49, 50.5), lon=slice(9, 11))[:, ::-1]
        np.testing.assert_array_equal(part.filled(np.nan), north_up)
        small = reader.preview(variables=["pm25"], max_size=4).array
        np.testing.assert_array_equal(small.filled(np.nan), levels["1"].pm25)
        tile = reader.tms.tile(10.0, 49.6, 7)
        image = reader.tile(tile.x, tile.y, tile.z, variables=["pm25"]).array
        assert image.shape == (4, 256, 256)
        assert float(image.min()) >= float(cube.pm25.min())
        assert float(image.max()) <= float(cube.pm25.max())


def test_titiler_reads_stores_and_levels_of_pyramids(cubes, tiles):
    titiler = pytest.importorskip("titiler.xarray.io", reason="pip install titiler-xarray")
    for name, (cube, store, _) in cubes.items():
        time, cell = cube.time[2], cube.pm25[2, 2, 5]
        with titiler.Reader(str(store), variable="pm25", sel=[f"time={str(time.values)[:19]}"]) as reader:
            assert (reader.bounds, reader.crs.to_epsg()) == (box(cube), 4326), name
            assert reader.point(float(cell.lon), float(cell.lat)).array[0] == pytest.approx(float(cell))
            west, south, east, north = inner(cube)
            part = reader.part((west, south, east, north)).array
            expected = cube.pm25[2].sel(lat=slice(south, north), lon=slice(west, east))[::-1]
            np.testing.assert_array_equal(part[0], expected)
    with titiler.Reader(str(tiles), variable="pm25", group="1", sel=["time=2020-01-03"]) as reader:
        assert reader.bounds == (8.0, 48.0, 12.0, 51.0)


def test_the_conventions_are_followed(sharded, tiles):
    pytest.importorskip("zarr_cm", reason="pip install zarr-cm")
    from zarr_cm import multiscales, proj, spatial

    group = json.loads((sharded[1] / "zarr.json").read_text())
    array = json.loads((sharded[1] / "pm25" / "zarr.json").read_text())
    # An array has the attributes of its group, and its own.
    array["attributes"] = {**group["attributes"], **array["attributes"]}
    for convention in (proj, spatial):
        convention.validate_group_metadata(group)
        convention.validate_array_metadata(array)
    root = json.loads((tiles / "zarr.json").read_text())
    for convention in (proj, spatial, multiscales):
        convention.validate_group_metadata(root)


def test_stac_collections_are_valid(case):
    pystac = pytest.importorskip("pystac", reason="pip install 'pystac[validation]'")
    pytest.importorskip("jsonschema", reason="pip install 'pystac[validation]'")
    made = xaq.stac(case[1], license="CC-BY-4.0")
    # The schemas of STAC itself come with pystac, those of its extensions would be downloaded.
    collection = pystac.Collection.from_dict({**made, "stac_extensions": []})
    assert collection.validate()
    read = pystac.Collection.from_dict(made)
    from pystac.extensions.datacube import DatacubeExtension
    from pystac.extensions.projection import ProjectionExtension

    cube = DatacubeExtension.ext(read)
    assert {name: dim.dim_type for name, dim in cube.dimensions.items()} == {
        "time": "temporal", "lat": "spatial", "lon": "spatial"
    }  # fmt: skip
    assert set(cube.variables) >= MAPS
    assert ProjectionExtension.ext(read.assets["zarr"]).code == "EPSG:4326"
    assert read.extent.spatial.bboxes == [list(box(case[0]))]
