"""Places outside a background or a raster are as those where it has no value; a field of another region is refused."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter
from test_ioapi import cmaq

import xaq
from xaq.errors import SchemaError, XaqWarning
from xaq.fields.gridded import Gridded
from xaq.nn.config import AQNetConfig

BOUNDS = (8.0, 48.5, 12.0, 51.5)
EAST = 10.4
#: Cells of the eastern third lie outside the western part of the field, none of them in its outermost half cell.
GRID = xaq.Grid.regular(0.5, bounds=(9.0, 49.0, 11.5, 51.0))


@pytest.fixture(scope="module")
def network():
    """Stations, none of them in the outermost half cell, where a field has a value that interpolation with a gap has not."""
    ds = xaq.datasets.synthetic(n_stations=42, days=2)
    return ds.isel(station=(np.abs(ds.lon - EAST) > 0.05).values)


@pytest.fixture(scope="module")
def whole(network):
    truth = xaq.datasets.synthetic_truth(xaq.Grid.regular(0.1, bounds=BOUNDS), network.time.values)
    return truth.copy(data=5.0 + 0.7 * gaussian_filter(truth.values, (0, 3, 3))).assign_attrs(units="ug m-3")


@pytest.fixture(scope="module")
def western(whole):
    return whole.sel(lon=slice(None, EAST))


@pytest.mark.parametrize("method", ["kriging", "idw", "background"])
def test_cells_outside_a_background_are_as_cells_where_it_is_missing(network, whole, western, method):
    made = {}
    for name, field in (("outside", western), ("missing", whole.where(whole.lon <= EAST))):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            made[name] = network.aq.reanalyze(method, grid=GRID, background=field)
        texts = [str(w.message) for w in said if issubclass(w.category, XaqWarning)]
        assert sum("does not cover 8 of 20 cells of the grid" in text for text in texts) == (name == "outside")
        # Stations without a value are left out by one rule too.
        assert sum("visible stations: they are left out" in text for text in texts) == (method != "background")
    xr.testing.assert_equal(made["outside"].drop_attrs(), made["missing"].drop_attrs())
    east = made["outside"].sel(lon=slice(EAST, None))
    assert east.pm25.isnull().all()
    assert not east.supported.any()
    west = made["outside"].sel(lon=slice(None, EAST))
    assert west.pm25.notnull().all()
    assert west.supported.any()


def test_a_map_says_that_a_background_was_used_and_where_it_has_no_value(network, western):
    plain, over = (network.aq.reanalyze("kriging", grid=GRID, background=b, time="2020-01-01") for b in (None, western))
    for cube, method in ((plain, "kriging"), (over, "kriging with background")):
        assert cube.attrs["title"] == f"PM2.5 analysis, {method} from 40 stations"
        for name in ("source", "history"):
            assert cube.attrs[name].endswith(" with background") == (cube is over), name
        ax = network.aq.plot.map(
            cube.assign(supported=cube.supported & (cube.lon < 11.0)), time="2020-01-01T08", lines=[]
        )
        assert ax.get_title("left").splitlines()[1] == f"{method}, 40 stations"
        texts = [t.get_text() for t in ax.get_legend().get_texts()]
        assert ("not supported: no station near or no value of the background" in texts) == (cube is over)
        assert ("not supported: no station near" in texts) == (cube is plain)


def test_points_outside_have_no_value(network, western):
    with pytest.warns(XaqWarning, match="does not cover 1 of 2 points: it has no value there"):
        made = network.aq.estimate("idw", lon=[9.5, 11.0], lat=[50.0, 50.0], background=western)
    np.testing.assert_array_equal(made.pm25.isnull().all("time"), [False, True])
    np.testing.assert_array_equal(made.supported, [True, False])


@pytest.mark.slow
def test_scores_are_of_the_hidden_stations_that_a_background_covers(network, western):
    ds = network.aq.hide(fraction=0.4, seed=3)
    beyond = int((ds.hidden & (ds.lon > EAST)).sum())
    assert beyond
    with pytest.warns(XaqWarning, match=f"does not cover {beyond} of 16 hidden stations"):
        table = ds.aq.verify("kriging", background=western, baselines=["background"])
    inside = ds.isel(station=(ds.lon <= EAST).values)
    expected = inside.aq.verify("kriging", background=western, baselines=["background"])
    np.testing.assert_allclose(table.n, expected.n)
    # The variogram is fitted to pairs that are drawn, others where stations are absent.
    np.testing.assert_allclose(table.mae, expected.mae, rtol=0.02)
    with pytest.warns(XaqWarning, match="hidden stations"):
        assert ds.aq.verify("kriging", background=western, baselines=[], of="D").mae.notna().all()


def test_a_field_of_another_region_is_refused(network, whole):
    elsewhere = whole.assign_coords(lon=whole.lon + 30.0)
    with pytest.raises(
        SchemaError, match=r"does not cover 40 of 40 stations.* covers 38 to 42 .*; fix: a field of that region"
    ):
        network.aq.reanalyze("kriging", grid=GRID, background=elsewhere)
    grid = xaq.Grid.regular(0.5, bounds=(12.2, 49.0, 13.2, 51.0))
    with pytest.raises(SchemaError, match="does not cover 8 of 8 cells of the grid"):
        network.aq.reanalyze("kriging", grid=grid, background=whole, max_distance=100)
    with pytest.raises(SchemaError, match="does not cover 1 of 1 points"):
        network.aq.estimate("kriging", lon=12.5, lat=50.0, background=whole, max_distance=101)


def test_a_raster_outside_which_cells_lie_is_as_one_without_data_there(network, whole):
    height = whole.isel(time=0, drop=True).assign_attrs(units="m").rename("elevation")
    height = height.copy(data=np.add.outer(20.0 * np.arange(30), 5.0 * np.arange(40)))
    config = AQNetConfig(hidden=8, days_before=1, days_after=1, k=8)
    made = []
    for raster in (height.sel(lon=slice(None, EAST)), height.where(height.lon <= EAST)):
        model = network.aq.train("pm25", rasters={"elevation": raster}, config=config, max_epochs=0, progress=False)
        made.append(network.aq.reanalyze(model, grid=GRID, rasters={"elevation": raster}).drop_attrs().compute())
    xr.testing.assert_allclose(made[0], made[1], rtol=1e-5)
    east = made[0].sel(lon=slice(EAST, None))
    assert east.pm25.notnull().all()
    assert not east.supported.any()


def test_the_example_of_the_page_maps_over_cmaq(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "fields.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(cmaq = .*?)```", page, re.DOTALL)
    flags = [(2020001, 10000 * hour) for hour in range(24)]
    cmaq(flags=flags, origin=(-720e3, -540e3), cell=36e3).to_netcdf("CCTM_ACONC_20200101.nc")
    ds = xaq.datasets.synthetic(n_stations=20, days=1).rename(pm25="o3")
    ds = ds.assign(o3=ds.o3.assign_attrs(units="ppb")).assign_coords(lon=ds.lon - 107.0, lat=ds.lat - 11.5)
    names = {"ds": ds, "xaq": xaq}
    with pytest.warns(XaqWarning, match="cells of the grid: it has no value there"):
        exec(code.replace("0.1", "0.5"), names)
    inside = ~Gridded.of(names["cmaq"]).outside(*np.meshgrid(names["cube"].lon, names["cube"].lat))
    assert 0.5 < inside.mean() < 1.0
    np.testing.assert_array_equal(names["cube"].o3.notnull().all("time"), inside)
    assert not names["cube"].supported.values[~inside].any()
