"""Every argument of every public function, replaced by thirty wrong values: it means something, or an error of xaq's says what is wrong.

What a parameter accepts of these values is written down, so that a value taken for another one is seen, too.
"""

import inspect
from functools import cache
from types import SimpleNamespace

import cartopy.crs as ccrs
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from public import CONTRACT, PUBLIC, is_property

import xaq
from xaq.accessor import AqAccessor
from xaq.fields.sample import sample_points
from xaq.nn.config import AQNetConfig
from xaq.plot.accessor import PlotAccessor
from xaq.stations import schema

GRID = xaq.Grid.regular(1.0, bounds=(9.0, 49.0, 11.0, 51.0))
CONFIG = AQNetConfig(hidden=8, heads=2, k=4, steps_per_day=4, patch=4, days_before=1, days_after=1, temporal=True)


@cache
def made() -> SimpleNamespace:
    """A network, and all that its functions return; in memory, seconds to make."""
    ds = xaq.datasets.synthetic(n_stations=10, days=3, step="6h", missing=0.1, seed=4).aq.hide(fraction=0.2, seed=1)
    model = ds.aq.train("pm25", config=CONFIG, max_epochs=0, progress=False)
    axes = {"time": ds.time.values, "lat": [48.0, 49.5, 50.5, 52.0], "lon": [7.0, 9.5, 10.5, 13.0]}
    field = xr.DataArray(np.full((len(ds.time), 4, 4), 20.0), axes, tuple(axes), "cams", {"units": "ug m-3"})
    weeks = xaq.datasets.synthetic(n_stations=12, days=30, step="6h", seed=4).aq.hide(fraction=0.25, seed=1)
    forecast = AQNetConfig(
        task="forecast", hidden=8, heads=2, k=4, steps_per_day=4, patch=4, days_before=2, days_after=0, target_days=2
    )
    ahead = weeks.aq.train(
        task="forecast", time=slice(None, "2020-01-20"), config=forecast, max_epochs=0, progress=False
    )
    return SimpleNamespace(
        axes=plt.figure().add_subplot(projection=ccrs.PlateCarree()),
        page=xaq.plot.Explorer("title", ("one",), (b"",)),
        ds=ds,
        weeks=weeks,
        times=ds.time.values,
        hidden=str(ds.aq.hidden.station.values[0]),
        model=model,
        cube=ds.aq.reanalyze("kriging", grid=GRID).compute(),
        explained=ds.aq.explain(model, lon=10.0, lat=50.0, time=ds.time.values[5]),
        scores=ds.aq.verify("idw"),
        horizons=weeks.aq.verify(ahead, time="2020-01-25"),
        field=field,
        raster=field.isel(time=0, drop=True),
        observations=schema.observations(ds, "pm25"),
        table=pd.DataFrame(
            {"station": ["a"] * 4 + ["b"] * 4, "time": [*pd.date_range("2020", periods=4, freq="h")] * 2, "pm25": 1.0}
        ),
        places=pd.DataFrame({"station": ["a", "b"], "lon": [1.0, 2.0], "lat": [3.0, 4.0]}),
    )


#: A function, and the arguments of a call that works.
CALLS = {
    "reanalyze": (xaq.reanalyze, lambda m: {"ds": m.ds, "mapper": "idw", "grid": GRID}),
    "reanalyze a store": (
        xaq.reanalyze,
        lambda m: {"ds": m.ds, "mapper": "idw", "grid": GRID, "store": "made.zarr", "overwrite": True, "progress": False},
    ),
    "reanalyze days": (xaq.reanalyze, lambda m: {"ds": m.ds, "mapper": "idw", "grid": GRID, "freq": "D"}),
    "reanalyze with a model": (xaq.reanalyze, lambda m: {"ds": m.ds, "mapper": m.model, "grid": GRID}),
    "estimate": (xaq.estimate, lambda m: {"ds": m.ds, "mapper": "idw", "lon": [10.0], "lat": [50.0]}),
    "estimate days": (xaq.estimate, lambda m: {"ds": m.ds, "mapper": "idw", "lon": [10.0], "lat": [50.0], "freq": "D"}),
    "explain": (
        xaq.explain,
        lambda m: {"ds": m.ds, "model": m.model, "lon": 10.0, "lat": 50.0, "time": m.times[5]},
    ),
    "verify": (xaq.verify, lambda m: {"ds": m.ds, "model": "idw", "baselines": []}),
    "verify days": (xaq.verify, lambda m: {"ds": m.ds, "model": "idw", "baselines": [], "of": "D"}),
    "train": (
        xaq.train,
        lambda m: {"ds": m.ds, "target": "pm25", "max_epochs": 0, "config": CONFIG, "progress": False, "geography": False},
    ),
    "hide": (xaq.hide, lambda m: {"ds": m.ds}),
    "check": (xaq.check, lambda m: {"ds": m.ds}),
    "repair": (xaq.repair, lambda m: {"ds": m.ds}),
    "convert_units": (xaq.convert_units, lambda m: {"ds": m.ds, "units": "mg m-3"}),
    "sample": (xaq.sample, lambda m: {"ds": m.ds, "field": m.field}),
    "open_field": (xaq.open_field, lambda m: {"path": m.field}),
    "fields.sample.sample_points": (sample_points, lambda m: {"field": m.raster, "lon": [10.0], "lat": [50.0]}),
    "open_stations": (xaq.open_stations, lambda m: {"source": m.table, "stations": m.places, "tz": "UTC"}),
    "open_cube": (xaq.open_cube, lambda m: {"store": "cube.zarr"}),
    "cube_info": (xaq.cube_info, lambda m: {"store": "cube.zarr"}),
    "to_netcdf": (xaq.to_netcdf, lambda m: {"cube": m.cube, "path": "made.nc"}),
    "to_pyramid": (xaq.to_pyramid, lambda m: {"cube": m.cube, "path": "map.zarr"}),
    "stac": (xaq.stac, lambda m: {"store": "cube.zarr"}),
    "load_model": (xaq.load_model, lambda m: {"path": "model.xaq"}),
    "Grid": (xaq.Grid, lambda m: {"lon": [1.0, 2.0], "lat": [3.0, 4.0]}),
    "Grid.regular": (xaq.Grid.regular, lambda m: {"spacing": 0.5, "bounds": (5, 47, 7, 48)}),
    "Grid.around": (xaq.Grid.around, lambda m: {"lon": [5.0, 7.0], "lat": [47.0, 48.0], "spacing": 0.5}),
    "Grid.like": (xaq.Grid.like, lambda m: {"ds": m.cube}),
    "Grid.of": (xaq.Grid.of, lambda m: {"grid": 0.5, "lon": [5.0, 7.0], "lat": [47.0, 48.0]}),
    "AQNetConfig": (AQNetConfig, lambda m: {}),
    "AQNetConfig.default": (AQNetConfig.default, lambda m: {"task": "analysis", "steps_per_day": 24}),
    "AQNetConfig.published": (AQNetConfig.published, lambda m: {}),
    "InverseDistance": (xaq.InverseDistance, lambda m: {}),
    "OrdinaryKriging.fit": (xaq.OrdinaryKriging.fit, lambda m: {"observations": m.observations}),
    "OrdinaryKriging.fit_log": (xaq.OrdinaryKriging.fit_log, lambda m: {"observations": m.observations}),
    "SpaceTimeKriging.fit": (xaq.SpaceTimeKriging.fit, lambda m: {"observations": m.observations, "n_pairs": 20}),
    "Model.save": (xaq.Model.save, lambda m: {"self": m.model, "path": "saved.xaq"}),
    "Model.to": (xaq.Model.to, lambda m: {"self": m.model, "device": "cpu"}),
    "datasets.load": (xaq.datasets.load, lambda m: {}),
    "datasets.land_mask": (xaq.datasets.land_mask, lambda m: {"ds": m.cube}),
    "datasets.synthetic": (xaq.datasets.synthetic, lambda m: {"n_stations": 4, "days": 1}),
    "datasets.synthetic_truth": (xaq.datasets.synthetic_truth, lambda m: {"grid": GRID, "times": m.times}),
    "datasets.synthetic_weather": (xaq.datasets.synthetic_weather, lambda m: {"grid": GRID, "times": m.times}),
    "plot.stations": (xaq.plot.stations, lambda m: {"ds": m.ds}),
    "plot.map": (xaq.plot.map, lambda m: {"ds": m.ds, "cube": m.cube}),
    "plot.width": (xaq.plot.width, lambda m: {"ds": m.ds, "cube": m.cube}),
    "plot.series": (xaq.plot.series, lambda m: {"ds": m.ds, "mapper_or_cube": m.cube, "station": m.hidden}),
    "plot.hours": (xaq.plot.hours, lambda m: {"ds": m.ds, "mapper_or_cube": m.cube, "station": m.hidden}),
    "plot.errors": (xaq.plot.errors, lambda m: {"ds": m.ds, "mapper_or_cube": m.cube}),
    "plot.panels": (xaq.plot.panels, lambda m: {"ds": m.ds, "cube": m.cube, "times": [m.times[1]]}),
    "plot.compare": (xaq.plot.compare, lambda m: {"ds": m.ds, "cube": m.cube, "other": m.cube}),
    "plot.animation": (xaq.plot.animation, lambda m: {"ds": m.ds, "cube": m.cube, "time": m.times[1]}),
    "plot.explore": (xaq.plot.explore, lambda m: {"ds": m.ds, "cube": m.cube, "time": m.times[1], "dpi": 20}),
    "plot.explanation": (xaq.plot.explanation, lambda m: {"ds": m.ds, "explained": m.explained}),
    "plot.attention": (xaq.plot.attention, lambda m: {"ds": m.ds, "model": m.model}),
    "plot.reliability": (
        xaq.plot.reliability,
        lambda m: {"ds": m.ds, "mapper": "kriging", "baselines": [], "levels": [0.5]},
    ),
    "plot.reliability_of_means": (
        xaq.plot.reliability_of_means,
        lambda m: {"ds": m.weeks, "mapper": "kriging", "of": ["D"], "levels": [0.5]},
    ),
    "plot.error_covariance": (xaq.plot.error_covariance, lambda m: {"ds": m.weeks, "mapper": "kriging"}),
    "plot.draw_basemap": (xaq.plot.draw_basemap, lambda m: {"ax": m.axes, "bounds": (9, 49, 11, 51)}),
    "plot.Explorer.save": (xaq.plot.Explorer.save, lambda m: {"self": m.page, "path": "page.html"}),
    "plot.table": (xaq.plot.table, lambda m: {"scores": m.scores}),
    "plot.skill": (xaq.plot.skill, lambda m: {"scores": m.horizons}),
}  # fmt: skip

WRONG = {
    "None": None, "True": True, "-1": -1, "0": 0, "0.5": 0.5, "nan": float("nan"), "inf": float("inf"),
    "2**70": 2**70, "10**400": 10**400, "text": "text", "empty": "", "nul": "a\0b", "bytes": b"x",
    "[]": [], "()": (), "{}": {}, "[object]": [object()], "{1: 2}": {1: 2}, "set": {"x"}, "object": object(),
    "type": int, "lambda": lambda *_: None, "1j": 1j, "(2, 2)": np.zeros((2, 2)), "(1,)": np.array([1.5]),
    "0-d": xr.DataArray(1.0), "NaT": np.datetime64("NaT"), "2020": np.datetime64("2020-01-01", "ns"), "NA": pd.NA,
    "DataFrame": pd.DataFrame({"a": [1]}), "no stations": None,
}  # fmt: skip

FLAGS, EMPTY, NUMBERS = {"None", "True"} - {"None"}, {"[]", "()"}, {"0.5", "2**70", "0-d"}
#: Of these values, those that a parameter accepts, by its name, and where a function differs by both names.
ACCEPTS = {
    **dict.fromkeys(
        ("progress", "overwrite", "update", "consolidated", "geography", "temporal", "advection", "cyclic"), FLAGS
    ),
    **dict.fromkeys(("verify", "forget", "unlimited"), FLAGS),
    **{key: {"None"} for key in ("init", "target", "background", "by", "config", "ax", "axes", "cmap", "other")},
    **{key: {"None", "{}"} for key in ("attrs", "rasters", "chunks", "units", "unplaced", "far", "sea")},
    **dict.fromkeys(("covariates", "known"), EMPTY),
    **{key: {"0"} for key in ("seed", "patience", "max_epochs", "days_before", "days_after")},
    **{key: {"0"} for key in ("n_covariates", "n_known")},
    **{key: {"(1,)"} for key in ("lon", "lat")},
    **{key: {"None", "-1", "0", *NUMBERS} for key in ("vmin", "vmax")},
    "time": {"None", "2020"},
    "format": {"None"},
    "tz": set(),
    "timestamps": {"None"},
    "columns": {"None", "{}"},
    "pollutant": {"None"},
    "encoding": {"None"},
    "stations": FLAGS,
    "lines": {"None", *EMPTY},
    "fields": {"None", "{}", *EMPTY},
    "baselines": {"None", *EMPTY},
    "level": {"0.5"},
    **{key: {"None"} for key in ("freq", "members")},
    **{key: {"None", "text", "nul"} for key in ("id", "href", "license")},
    "capture": {"0.5", "0-d"},
    "max_distance": {"None", *NUMBERS},
    "precision": {"None", *NUMBERS},
    "max_size": NUMBERS,
    "store": {"None", "text"},
    "path": {"text"},
    "checkpoint": {"None", "text"},
    "grid": {"0.5"},
    "spacing": {"0.5", "0-d"},
    "fraction": {"None", "0.5"},
    "blocks": {"None"},
    "power": {"0", "0.5", "0-d"},
    "dropout": {"0", "0.5"},
    "missing": {"0", "0.5"},
    "noise": {"0", *NUMBERS},
    "temperature": {"-1", "0", *NUMBERS},
    "pressure": NUMBERS,
    "shift_hours": {"None", "-1", "0", "0.5", "0-d"},
    "interval": {"0-d"},
    "station": {"None"},
    "zoom": {"None", "True"},
    **{
        (call, "tz"): {"None"}
        for call in ("reanalyze", "reanalyze a store", "reanalyze with a model", "reanalyze days")
    },
    **{(call, "tz"): {"None"} for call in ("estimate", "estimate days", "verify", "verify days")},
    **{(call, "of"): {"None"} for call in ("verify", "verify days")},
    **{(call, "max_distance"): {"None", "2**70"} for call in ("estimate", "estimate days")},
    ("explain", "max_distance"): {"None", "2**70"},
    ("explain", "lon"): set(),
    ("explain", "lat"): set(),
    ("explain", "time"): {"2020"},
    ("check", "ds"): {"no stations"},
    ("datasets.land_mask", "ds"): {"no stations"},
    ("train", "time"): {"None"},
    ("verify days", "time"): {"None"},
    ("verify days", "baselines"): EMPTY,  # the others need more errors than this network has
    ("open_stations", "step"): {"None"},
    **{("open_stations", name): {"None"} for name in ("skiprows", "censored", "valid", "ambiguous")},
    # Any number and any text may stand for a missing value.
    ("open_stations", "na_values"): {"None", "-1", "0", "0.5", "2**70", "text", "nul", "set"},
    ("plot.hours", "time"): {"None"},
    ("plot.draw_basemap", "ax"): set(),
    ("plot.Explorer.save", "path"): {"text"},
    ("open_stations", "stations"): set(),
    ("plot.panels", "columns"): set(),
    ("plot.compare", "time"): {"None", "2020"},
    ("reanalyze a store", "update"): set(),  # with overwrite=True
    ("train", "config"): {"None"},
    ("train", "precision"): set(),
    ("hide", "stations"): {"None"},
    ("convert_units", "units"): {"{}"},
    **{("open_field", name): {"None"} for name in ("variable", "lead")},
    ("open_field", "path"): set(),
    ("sample", "name"): {"None", "text", "nul"},
    ("fields.sample.sample_points", "time"): {"None"},
    **{
        (call, name): set()
        for call in ("estimate", "estimate days", "fields.sample.sample_points")
        for name in ("lon", "lat")
    },
    ("reanalyze a store", "store"): {"None", "text", "bytes"},
    **{(call, "store"): set() for call in ("open_cube", "cube_info", "stac")},
    ("load_model", "path"): set(),
    ("Grid.around", "lon"): set(),
    ("Grid.around", "lat"): set(),
    ("Grid.of", "lon"): set(),
    ("Grid.of", "lat"): set(),
    ("plot.compare", "other"): set(),
    ("plot.width", "vmax"): {"None", *NUMBERS},
    ("plot.attention", "vmax"): {"None", *NUMBERS},
    ("plot.series", "station"): set(),
    **{("plot.series", name): {"None"} for name in ("lon", "lat")},  # a station is named
    **{(f"plot.{name}", "tz"): {"None"} for name in ("map", "width", "panels", "compare")},
    ("plot.hours", "station"): set(),
    ("plot.reliability", "baselines"): EMPTY,
    ("plot.reliability_of_means", "time"): {"None"},  # one step has no mean of a day
    # A cube was made with its own fields.
    **{(f"plot.{name}", of): {"None"} for name in ("errors", "series", "hours") for of in ("rasters", "fields")},
    ("plot.table", "stations"): set(),
    ("plot.skill", "stations"): set(),
    ("datasets.synthetic_truth", "grid"): set(),
    ("datasets.synthetic_weather", "grid"): set(),
}
for word in (
    "off_step",
    "duplicate_times",
    "irregular",
    "duplicate_stations",
    "swapped",
    "impossible",
    "negative",
    "stuck",
):
    ACCEPTS[word] = {"None"}
ACCEPTS["repair", "level"] = {"None"}
for word in ("spikes", "identical", "colocated", "silent"):
    ACCEPTS[word] = {"None"}
#: Without a store, what is said of one is checked and not used; a call of many seconds is not made for each value.
SKIPPED = {(call, "store") for call in ("reanalyze", "reanalyze days", "reanalyze with a model")}
SKIPPED |= {
    (f"plot.{name}", like_map) for name in ("explore", "animation") for like_map in ("time", "vmin", "vmax", "lines")
}
#: What is known to be wrong still.
#: Parameters of no user: results of xaq's own.
OWN = {"self", "name", "has_interval", "observations"}


def parameters():
    """Return every call with every parameter of its function."""
    found = []
    for call, (function, _) in CALLS.items():
        for name in inspect.signature(function).parameters:
            if (name not in OWN or (call, name) == ("sample", "name")) and (call, name) not in SKIPPED:
                found.append(pytest.param(call, name, id=f"{call}({name})"))
    return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A stored cube and a saved model."""
    here = tmp_path_factory.mktemp("arguments")
    made().ds.aq.reanalyze("idw", grid=GRID, store=here / "cube.zarr", progress=False)
    made().model.save(here / "model.xaq")
    return here


@pytest.fixture(autouse=True)
def folder(kept, tmp_path, monkeypatch):
    """Calls that write, write into a folder of their own, in which the cube and the model lie too."""
    monkeypatch.chdir(tmp_path)
    for name in ("cube.zarr", "model.xaq"):
        (tmp_path / name).symlink_to(kept / name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("call", CALLS)
def test_the_call_works(call):
    function, arguments = CALLS[call]
    function(**arguments(made()))
    plt.close("all")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("call", "parameter"), parameters())
def test_a_wrong_argument_means_something_or_is_refused_with_a_fix(call, parameter):
    function, arguments = CALLS[call]
    accepts = ACCEPTS.get((call, parameter), ACCEPTS.get(parameter, set()))
    unexpected = []
    for name, value in (WRONG | {"no stations": made().ds.isel(station=[])}).items():
        try:
            function(**{**arguments(made()), parameter: value})
        except xaq.errors.XaqError as error:
            fixes = str(error).count("fix:")
            if name in accepts:
                unexpected.append(f"{name}: refused, {error}")
            elif fixes != max(1, len(getattr(error, "problems", "1"))):
                unexpected.append(f"{name}: {fixes} times fix: in {error}")
        except Exception as error:
            unexpected.append(f"{name}: {type(error).__name__}: {str(error)[:100]}")
        else:
            if name not in accepts:
                unexpected.append(f"{name}: accepted")
        finally:
            plt.close("all")
    assert not unexpected, "\n".join(unexpected)


def test_every_public_function_is_called():
    """But for members of the contract of mappers, which take and return xaq's own arrays, and for what takes no argument."""
    accessors = {f"xaq.AqAccessor.{n}" for n in vars(AqAccessor)}
    accessors |= {f"xaq.plot.accessor.PlotAccessor.{n}" for n in vars(PlotAccessor)}
    own = {
        "Model.attention",
        "Model.forecast",
        "Model.station_series",
        "Model.with_trend",
        "Grid.bounds",
        "Grid.coords",
    }
    missing = {
        name.removeprefix("xaq.")
        for name, thing in PUBLIC.items()
        if inspect.isroutine(thing)
        and not is_property(thing)
        and name not in accessors
        and name.rpartition(".")[2] not in CONTRACT
        and not name.startswith("xaq.interpolate.base.")
    }
    assert not missing - CALLS.keys() - own
