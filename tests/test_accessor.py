"""``ds.aq``: methods with the signatures of the functions that they call, and a repr that shows the next step."""

import copy
import inspect
import pickle
import typing
from xml.etree import ElementTree

import numpy as np
import pytest
import xarray as xr

import xaq
from xaq import _method
from xaq.accessor import AqAccessor
from xaq.plot.accessor import PlotAccessor
from xaq.stations import schema

#: Figures that take no dataset: those of a table of scores, the lines of a map, and the class of a page.
OF_NO_DATASET = {"table", "skill", "draw_basemap", "Explorer"}


#: Every method of both accessors, and the function that it calls.
METHODS = {
    **{f"AqAccessor.{n}": getattr(xaq, n) for n in xaq.__all__ if inspect.isfunction(getattr(AqAccessor, n, None))},
    **{f"PlotAccessor.{n}": getattr(xaq.plot, n) for n in xaq.plot.__all__ if n not in OF_NO_DATASET},
}


def method_of(name):
    owner, _, method = name.partition(".")
    return getattr({"AqAccessor": AqAccessor, "PlotAccessor": PlotAccessor}[owner], method)


def test_every_verb_is_a_method():
    verbs = {
        "check",
        "repair",
        "convert_units",
        "sample",
        "hide",
        "train",
        "verify",
        "reanalyze",
        "estimate",
        "explain",
    }
    assert {n.partition(".")[2] for n in METHODS if n.startswith("AqAccessor")} == verbs


@pytest.mark.parametrize("name", METHODS)
def test_methods_have_the_signature_of_what_they_call_without_the_dataset(name):
    of_method, of_function = inspect.signature(method_of(name)), inspect.signature(METHODS[name])
    (first, *others), (dataset, *expected) = of_method.parameters.values(), of_function.parameters.values()
    assert (first.name, dataset.name) == ("self", "ds")
    assert [(p.name, p.kind, p.default) for p in others] == [(p.name, p.kind, p.default) for p in expected]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda aq: aq.reanalyze("idw", bounds=(5, 47, 16, 55)),
            "reanalyze() got an unexpected keyword argument 'bounds'; fix: grid=xaq.Grid.regular(",
        ),
        (lambda aq: aq.reanalyze("idw", girds=0.1), "reanalyze() got an unexpected keyword argument 'girds'; fix: grid="),
        (lambda aq: aq.hide(n=5), "hide() got an unexpected keyword argument 'n'; fix: fraction=0.15"),
        (lambda aq: aq.train(pollutant="pm25"), "train() got an unexpected keyword argument 'pollutant'; fix: target='pm25'"),
        (lambda aq: aq.plot.stations(colormap="magma"), "stations() got an unexpected keyword argument 'colormap'; fix: cmap='viridis'"),
        (lambda aq: aq.reanalyze("idw", 0.1),
         "reanalyze() takes 1 argument without a name (mapper), got 2; fix: a name before each other one, of target=, grid=, time=, init=, ..."),
        (lambda aq: aq.estimate("idw", [1.0], [2.0]),
         "estimate() takes 1 argument without a name (mapper), got 3; fix: a name before each other one, of lon=, lat=, "),
        (lambda aq: aq.repair("missing"), "repair() takes no argument without a name, got 1; fix: a name before each other one, of "),
        (lambda aq: aq.check(bounds=1), "check() got an unexpected keyword argument 'bounds'; fix: one of "),
    ],
)  # fmt: skip
def test_an_argument_of_another_name_is_refused_with_the_one_that_was_meant(call, said):
    with pytest.raises(TypeError) as error:
        call(xaq.datasets.synthetic(n_stations=5, days=2).aq)
    assert str(error.value).startswith(said)


def test_every_fix_of_an_argument_of_another_name_names_an_argument_that_exists():
    known = {p for n in METHODS for p in inspect.signature(method_of(n)).parameters}
    assert {fix.partition("=")[0] for fix in _method._OTHER_NAMES} <= known


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_functions_under_their_own_name(name):
    method = method_of(name)
    assert inspect.isfunction(method)
    assert (method.__qualname__, method.__name__) == (name, METHODS[name].__name__)
    assert method.__module__ in ("xaq.accessor", "xaq.plot.accessor")
    # What a notebook shows for a bound method: no dataset, and the types.
    bound = inspect.signature(method.__get__(object()))
    assert "ds" not in bound.parameters
    assert all(p.annotation is not inspect.Parameter.empty for p in bound.parameters.values())


def test_annotations_of_methods_can_be_evaluated():
    hints = typing.get_type_hints(AqAccessor.hide)
    assert hints["return"] is xr.Dataset
    assert "ds" not in hints


def test_a_wrong_keyword_is_refused_by_name():
    ds = xaq.datasets.synthetic(n_stations=5, days=2)
    with pytest.raises(TypeError, match=r"reanalyze\(\) got an unexpected keyword argument 'gird'"):
        ds.aq.reanalyze("idw", gird=0.5)
    with pytest.raises(TypeError, match=r"map\(\) missing 1 required positional argument: 'cube'"):
        ds.aq.plot.map()


def test_the_accessor_can_be_copied_and_pickled():
    ds = xaq.datasets.synthetic(n_stations=5, days=2)
    for same in (copy.copy(ds.aq), copy.deepcopy(ds.aq), pickle.loads(pickle.dumps(ds.aq))):
        xr.testing.assert_identical(same.hide(fraction=0.2), ds.aq.hide(fraction=0.2))
    assert pickle.loads(pickle.dumps(ds.aq.hide))(fraction=0.2).identical(ds.aq.hide(fraction=0.2))


def test_completion_shows_only_verbs_and_figures():
    ds = xaq.datasets.synthetic(n_stations=5, days=2)
    assert "aq" in dir(ds)
    verbs = {name for name in xaq.__all__ if hasattr(AqAccessor, name)}
    assert {n for n in dir(ds.aq) if not n.startswith("_")} == verbs | {"visible", "hidden", "plot"}
    assert {n for n in dir(ds.aq.plot) if not n.startswith("_")} == {*xaq.plot.__all__} - OF_NO_DATASET


def test_repr_shows_what_was_understood_and_the_next_step():
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


def test_repr_says_that_units_are_assumed():
    assert "assumed" in repr(xaq.open_stations(_table(), stations=_places(), tz="UTC").aq)


@pytest.mark.parametrize(
    ("times", "shown"),
    [
        (["2020-01-01", "2020-01-02"], "2020-01-01 .. 2020-01-02, step 1D, 2 steps"),
        (["2020-01-01T00:00+08:00", "2020-01-02T00:00+08:00"], "2019-12-31 16:00 .. 2020-01-01 16:00, step 1D, 2 steps, UTC"),
        (["2020-01-01T00:00", "2020-01-01T01:00"], "2020-01-01 00:00 .. 2020-01-01 01:00, step 1h, 2 steps, UTC"),
    ],
)  # fmt: skip
def test_repr_says_utc_where_the_zone_of_times_is_known(times, shown):
    table = _table().iloc[[0, 1, 3, 4]].assign(time=[*times, *times])
    text = repr(xaq.open_stations(table, stations=_places(), tz="UTC").aq)
    assert f"time      {shown}\n" in text


def test_repr_says_ppb_and_ppm_and_keeps_the_units_of_cf():
    table = _table().rename(columns={"pm25": "o3"}).assign(co=1.0)
    ds = xaq.open_stations(table, stations=_places(), tz="UTC", units={"o3": "ppb", "co": "1e-6"})
    for text in (repr(ds.aq), ds.aq._repr_html_()):
        assert "O3, ppb" in text
        assert "CO, ppm" in text
    assert (ds.o3.units, ds.co.units) == ("1e-9", "1e-6")


def _table():
    import pandas as pd

    times = pd.date_range("2020-01-01", periods=3, freq="h")
    return pd.DataFrame({"station": ["a"] * 3 + ["b"] * 3, "time": [*times, *times], "pm25": np.arange(6.0)})


def _places():
    import pandas as pd

    return pd.DataFrame({"station": ["a", "b"], "lon": [1.0, 2.0], "lat": [3.0, 4.0]})


def test_any_dataset_has_the_accessor_and_its_repr_says_what_is_missing():
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


@pytest.mark.parametrize("show", [repr, AqAccessor._repr_html_], ids=["text", "html"])
def test_a_repr_conforms_once(show, monkeypatch):
    calls, conform = [], schema.conform
    monkeypatch.setattr(schema, "conform", lambda *args: calls.append(args) or conform(*args))
    show(xaq.datasets.synthetic(n_stations=5, days=2).aq)
    assert len(calls) == 1


def test_visible_and_hidden_are_a_partition():
    ds = xaq.datasets.synthetic(n_stations=10, days=2).aq.hide(fraction=0.3)
    assert {*ds.aq.visible.station.values, *ds.aq.hidden.station.values} == {*ds.station.values}
    assert not {*ds.aq.visible.station.values} & {*ds.aq.hidden.station.values}


def test_html_reprs_are_valid_and_escaped(tmp_path):
    ds = xaq.datasets.synthetic(n_stations=8, days=2)
    xaq.reanalyze(ds, "idw", grid=0.5, store=tmp_path / "<b>.zarr", progress=False)
    shown = {
        "16 x 30": xaq.Grid.regular(0.1, bounds=(9, 49, 12, 50.6)), "idw": xaq.cube_info(tmp_path / "<b>.zarr"),
        "PM2.5, ug m-3": ds.aq, "looked for CF attributes": xr.Dataset({"<b>": ("x", [1.0])}).aq,
    }  # fmt: skip
    for part, thing in shown.items():
        # An XML parser refuses a stray < and an open tag.
        page = ElementTree.fromstring(f"<div>{thing._repr_html_()}</div>")
        assert part in "".join(page.itertext())
        assert page.find(".//table") is not None or page.find("pre") is not None


def test_a_grid_shows_its_cells():
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


def test_the_repr_of_figures_lists_them():
    text = repr(xaq.datasets.synthetic(n_stations=5, days=2).aq.plot)
    assert all(name in text for name in ("map", "stations", "errors", "xaq.plot.table"))


def test_a_model_shows_the_same_in_a_notebook_and_a_terminal():
    ds = xaq.datasets.synthetic(n_stations=12, days=8).aq.hide(fraction=0.25)
    with pytest.warns(xaq.errors.XaqWarning, match="k lowered"):
        model = ds.aq.train("pm25", max_epochs=0, progress=False)
    for text in (repr(model), model._repr_html_()):
        for part in (model.hash[:12], "9 stations", "kriging", "MAE", "ug m-3"):
            assert part in text
