"""Arguments that figures have in common, checked before anything is computed or drawn."""

from __future__ import annotations

from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from numpy.typing import NDArray

from .._arguments import check_array, check_choice, check_flag, check_number, shown
from ..cube.provenance import FIELDS
from ..cube.request import RequestOptions
from ..errors import SchemaError

#: Nominal coverages of the intervals whose reliability is drawn.
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def error(text: str) -> SchemaError:
    """Return the error of an argument of a figure."""
    return SchemaError(text, subject="plot")


def check_axes(ax: Any) -> None:
    """Refuse what is no axes of matplotlib; None is a new figure. Whether it is a map is known later."""
    if ax is not None and not isinstance(ax, Axes):
        raise error(f"ax is {shown(ax)}, expected axes of matplotlib or None; fix: ax=None")


def check_of_cube(options: RequestOptions) -> None:
    """Refuse fields beside a cube, which was made with its own."""
    given = [name for name in FIELDS if getattr(options, name) is not None]
    if given:
        raise error(f"a cube was made with its own fields; fix: {', '.join(f'{name}=None' for name in given)}")


def check_limit(value: Any, name: str) -> float | None:
    """Return a colour limit as a float; None where it is left to the values."""
    return (
        None if value is None else check_number(value, name, "a finite number or None", fix=f"{name}=None", error=error)
    )


def check_levels(levels: Any) -> NDArray[np.float64]:
    """Return nominal coverages, ``(level,)``, or raise."""
    expected, fix = "fractions above 0 and below 1", "levels=(0.5, 0.9)"
    nominal = check_array(levels, "levels", expected, fix=fix, error=error)
    if nominal.ndim != 1 or not len(nominal) or not ((nominal > 0) & (nominal < 1)).all():
        raise error(f"levels are {shown(levels)}, expected {expected}; fix: {fix}")
    return nominal


def check_colours(cmap: Any, default: str) -> str | Colormap:
    """Return the colour map that is meant; ``default`` for None."""
    if cmap is None:
        return default
    if isinstance(cmap, Colormap) or (isinstance(cmap, str) and cmap in mpl.colormaps):
        return cmap
    raise error(
        f"cmap is {shown(cmap)}, expected the name of a colour map of matplotlib, or one; fix: cmap={default!r}"
    )


def check_map(stations: Any = True, unsupported: Any = "hatched") -> Literal["hatched", "blank"]:
    """Refuse ``stations`` that are no flag; return how unsupported cells are shown."""
    check_flag(stations, "stations", error=error)
    return check_choice(unsupported, "unsupported", ("hatched", "blank"), error=error)
