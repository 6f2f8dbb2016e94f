"""``ds.aq``: the signatures of what it calls, and a repr that teaches."""

import inspect
from xml.etree import ElementTree

import numpy as np
import pytest
import xarray as xr

import xaq
from xaq.accessor import AqAccessor
from xaq.plot.accessor import PlotAccessor

#: Figures of a table of scores, and the lines of a map.
OF_NO_DATASET = {"table", "skill", "draw_basemap", "Explorer"}


def parameters(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()][1:]


@pytest.mark.parametrize(
    "name",
    ["check", "repair", "convert_units", "sample", "hide", "train", "verify", "reanalyze", "estimate", "explain"],
)
def test_methods_have_the_signature_of_what_they_call(name):
    assert parameters(getattr(AqAccessor, name)) == parameters(getattr(xaq, name))


@pytest.mark.parametrize("name", sorted({*xaq.plot.__all__} - OF_NO_DATASET))
def test_plot_methods_have_the_signature_of_what_they_call(name):
    assert parameters(getattr(PlotAccessor, name)) == parameters(getattr(xaq.plot, name))


def test_completion_shows_verbs_and_figures_and_nothing_else():
    ds = xaq.datasets.synthetic(n_stations=5, days=2)
    assert "aq" in dir(ds)
    verbs = {name for name in xaq.__all__ if hasattr(AqAccessor, name)}
    assert {n for n in dir(ds.aq) if not n.startswith("_")} == verbs | {"visible", "hidden", "plot"}
    assert {n for n in dir(ds.aq.plot) if not n.startswith("_")} == {*xaq.plot.__all__} - OF_NO_DATASET


def test_repr_says_what_was_understood_and_what_comes_next():
    ds = xaq.datasets.load("germany").aq.hide(fraction=0.15, seed=7)
    for text in (repr(ds.aq), ds.aq._repr_html_()):
        for part in ("69 (59 visible, 10 hidden)", "step 1D", "PM10, ug m-3", "train('pm10')", "reanalyze"):
            assert part in text.replace("&#x27;", "'")
        assert "hide(" not in text
    assert "hide(fraction=0.15)" in repr(xaq.datasets.load("germany").aq)


@pytest.mark.parametrize(
    ("west", "east", "spacing"), [(5, 15, "0.1"), (116, 117.5, "0.02"), (19.8, 20.1, "0.005"), (1, 1, "0.1")]
)
def test_the_next_step_has_a_grid_that_suits_the_network(west, east, spacing):
    ds = xaq.datasets.synthetic(n_stations=2, days=2)
    ds = ds.assign_coords(lon=("station", [west, east]), lat=("station", [50.0, 50.0]))
    assert f"grid={spacing}," in repr(ds.aq)


def test_assumed_units_are_said():
    assert "assumed" in repr(xaq.open_stations(_table(), stations=_places(), tz="UTC").aq)


def _table():
    import pandas as pd

    times = pd.date_range("2020-01-01", periods=3, freq="h")
    return pd.DataFrame({"station": ["a"] * 3 + ["b"] * 3, "time": [*times, *times], "pm25": np.arange(6.0)})


def _places():
    import pandas as pd

    return pd.DataFrame({"station": ["a", "b"], "lon": [1.0, 2.0], "lat": [3.0, 4.0]})


def test_any_dataset_has_the_accessor_and_its_repr_explains():
    ds = xr.Dataset({"t2m": ("x", [1.0])})
    assert hasattr(ds, "aq")
    assert "no lon" in repr(ds.aq)
    assert "no lon" in ds.aq._repr_html_()


def test_repr_computes_nothing():
    import dask

    def refuse(*args, **kwargs):
        raise AssertionError("computed")

    with dask.config.set(scheduler=refuse):
        repr(xaq.datasets.synthetic(n_stations=5, days=2).chunk().aq)


def test_visible_and_hidden_are_a_partition():
    ds = xaq.datasets.synthetic(n_stations=10, days=2).aq.hide(fraction=0.3)
    assert {*ds.aq.visible.station.values, *ds.aq.hidden.station.values} == {*ds.station.values}
    assert not {*ds.aq.visible.station.values} & {*ds.aq.hidden.station.values}


def test_what_users_hold_shows_itself_in_a_notebook(tmp_path):
    ds = xaq.datasets.synthetic(n_stations=8, days=2)
    xaq.reanalyze(ds, "idw", grid=0.5, store=tmp_path / "<b>.zarr", progress=False)
    shown = {
        "16 x 30": xaq.Grid.regular(0.1, bounds=(9, 49, 12, 50.6)), "idw": xaq.cube_info(tmp_path / "<b>.zarr"),
        "PM2.5, ug m-3": ds.aq, "looked for CF attributes": xr.Dataset({"<b>": ("x", [1.0])}).aq,
    }  # fmt: skip
    for part, thing in shown.items():
        # Parsed as XML, which a stray < or an open tag is not.
        page = ElementTree.fromstring(f"<div>{thing._repr_html_()}</div>")
        assert part in "".join(page.itertext())
        assert page.find(".//table") is not None or page.find("pre") is not None


def test_a_grid_shows_the_cells_that_it_has():
    grid = xaq.Grid.like(xr.Dataset(coords={"lat": [50.0, 50.5], "lon": [5.0, 5.25, 5.5]}))
    for part in ("0.5 x 0.25 degrees", "4.875 .. 5.625", "49.75 .. 50.75"):
        assert part in grid._repr_html_()


def test_a_cube_shows_the_same_in_a_notebook_and_a_terminal(tmp_path):
    ds = xaq.datasets.synthetic(n_stations=8, days=2)
    xaq.reanalyze(ds, "idw", grid=0.5, store=tmp_path / "c.zarr", progress=False)
    info = xaq.cube_info(tmp_path / "c.zarr", verify=True)
    for text in (repr(info), str(info), info._repr_html_()):
        for part in ("PM2.5 analysis", "complete", "time 48", "idw", "as written"):
            assert part in text


def test_figures_show_what_there_is():
    text = repr(xaq.datasets.synthetic(n_stations=5, days=2).aq.plot)
    assert all(name in text for name in ("map", "stations", "errors", "xaq.plot.table"))


def test_a_model_shows_the_same_in_a_notebook_and_a_terminal():
    ds = xaq.datasets.synthetic(n_stations=12, days=8).aq.hide(fraction=0.25)
    with pytest.warns(xaq.errors.XaqWarning, match="k lowered"):
        model = ds.aq.train("pm25", max_epochs=0, progress=False)
    for text in (repr(model), model._repr_html_()):
        for part in (model.hash[:12], "9 stations", "kriging", "MAE", "ug m-3"):
            assert part in text
