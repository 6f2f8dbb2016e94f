"""xaq: air-quality station networks to gridded reanalysis cubes.

Importing xaq registers the accessor ``ds.aq`` on xarray Datasets. Nothing heavy is loaded before it is needed: torch
when a model is trained or loaded, matplotlib and cartopy when something is drawn.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import datasets, errors
from .accessor import AqAccessor
from .audit import check
from .covariates import sample
from .explain import explain
from .grid import Grid
from .mappers import InverseDistance, Nearest, OrdinaryKriging, SpaceTimeKriging
from .readers import open_stations
from .reanalysis import estimate, reanalyze
from .repair import repair
from .stations import hide
from .store import CubeInfo, cube_info, open_cube
from .units import convert_units
from .verify import verify

if TYPE_CHECKING:
    from . import plot
    from .model import Model, load_model
    from .nn.aqnet import AQNetConfig
    from .training import train

__version__ = "0.1.0"

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
    "open_stations",
    "plot",
    "reanalyze",
    "repair",
    "sample",
    "train",
    "verify",
]

_LAZY = {
    "AQNetConfig": (".nn.aqnet", "AQNetConfig"),
    "Model": (".model", "Model"),
    "load_model": (".model", "load_model"),
    "plot": (".plot", None),
    "train": (".training", "train"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'xaq' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    loaded = import_module(module, __name__)
    return loaded if attribute is None else getattr(loaded, attribute)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
