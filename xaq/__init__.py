"""Air-quality station networks to gridded reanalysis cubes.

Importing xaq adds ``ds.aq`` to every xarray Dataset. The steps, in order::

    ds = xaq.open_stations("values.csv", stations="sites.csv", tz="Europe/Berlin")
    ds.aq.check()                                              # problems, each with the call that fixes it
    ds = ds.aq.hide(fraction=0.15, seed=7)                     # stations set apart for verification
    model = ds.aq.train("pm25")
    ds.aq.verify(model)                                        # scores at the hidden stations
    cube = ds.aq.reanalyze(model, grid=0.1, store="pm25.zarr")
    ds.aq.plot.map(cube, time="2017-01-01")

``help(xaq.train)`` explains one step; each ``ds.aq.VERB(...)`` is also ``xaq.VERB(ds, ...)``. ``xaq.datasets.load("germany")`` needs no files.
"""

# Heavy packages are loaded on first use: torch when a model is trained or loaded, matplotlib and cartopy when a figure is drawn.

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import datasets, errors
from ._version import __version__ as __version__
from .accessor import AqAccessor
from .cube.grid import Grid
from .cube.info import CubeInfo, cube_info
from .cube.reanalyze import estimate, reanalyze
from .cube.store import open_cube
from .evaluate.explain import explain
from .evaluate.verify import verify
from .export.netcdf import to_netcdf
from .export.pyramid import to_pyramid
from .export.stac import stac
from .fields.open import open_field
from .fields.sample import sample
from .interpolate.classical import InverseDistance, Nearest, OrdinaryKriging
from .interpolate.spacetime import SpaceTimeKriging
from .quality.check import check
from .quality.repair import repair
from .readers.dispatch import open_stations
from .stations.holdout import hide
from .stations.units import convert_units
from .training.train import train

if TYPE_CHECKING:
    from . import plot
    from .aqnet.model import Model, load_model
    from .nn.config import AQNetConfig

__all__ = [
    "AQNetConfig",
    "AqAccessor",
    "CubeInfo",
    "Grid",
    "InverseDistance",
    "Model",
    "Nearest",
    "OrdinaryKriging",
    "SpaceTimeKriging",
    "check",
    "convert_units",
    "cube_info",
    "datasets",
    "errors",
    "estimate",
    "explain",
    "hide",
    "load_model",
    "open_cube",
    "open_field",
    "open_stations",
    "plot",
    "reanalyze",
    "repair",
    "sample",
    "stac",
    "to_netcdf",
    "to_pyramid",
    "train",
    "verify",
]

#: Names whose modules load torch or matplotlib: the module, and the attribute, or None for the module itself.
_LAZY = {
    "AQNetConfig": (".nn.config", "AQNetConfig"),
    "Model": (".aqnet.model", "Model"),
    "load_model": (".aqnet.model", "load_model"),
    "plot": (".plot", None),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'xaq' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    loaded = import_module(module, __name__)
    return loaded if attribute is None else getattr(loaded, attribute)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
