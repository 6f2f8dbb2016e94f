"""How large a cube is before it is written, so that a mistyped grid or period does not start a job of days."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np

from .._arguments import check_number
from ..errors import StoreError
from .contents import find
from .ensemble import Joint
from .grid import Grid
from .location import StoreLike, resolve

#: Gigabytes before compression above which a cube is not written unless asked for: a year of hourly 0.1-degree maps of
#: Europe with bounds is 30.
MAX_SIZE = 50.0
_BYTES_PER_VALUE, _GB = 4, 1e9
_log = logging.getLogger("xaq")


def check_limit(max_size: Any) -> float:
    """Return the limit that a user gives, GB, or raise."""
    expected = "a number of gigabytes above 0"
    return check_number(
        max_size,
        "max_size",
        expected,
        fix=f"max_size={MAX_SIZE:g}",
        valid=lambda gb: 0 < gb < math.inf,
        error=StoreError,
    )


def check_size(joint: Joint, grid: Grid, store: StoreLike, *, max_size: float, update: bool) -> None:
    """Log the size of a cube that is to be written, and refuse one above the limit.

    Parameters
    ----------
    joint : Joint
        What is estimated, with its members and periods.
    grid : Grid
    store : path, URL or store
        Where the cube goes.
    max_size : float, GB
        Before compression.
    update : bool
        A cube that is there already is extended: only its new steps are written, whatever its size.

    Raises
    ------
    StoreError
        The cube is larger.
    """
    ensemble, request = joint.ensemble, joint.request
    steps = len(request.times if ensemble.freq is None else joint.calendar.start)
    # A member takes as much as a variable.
    layers = request.n_layers + (ensemble.members or 0)
    cells = grid.shape[0] * grid.shape[1]
    size = cells * steps * layers * _BYTES_PER_VALUE / _GB
    kind = "step" if ensemble.freq is None else "period"
    text = f"{cells:,} cells ({grid.shape[0]:,} x {grid.shape[1]:,}), {steps:,} {kind}{'s' * (steps != 1)}, {layers} variable{'s' * (layers != 1)}"
    if size <= max_size or (update and find(resolve(store)) is not None):
        _log.info("a cube of %s: %s before compression", text, _shown(size))
        return
    coarser = ""
    if grid.spacing:
        enough = _rounded_up(grid.spacing * math.sqrt(size / max_size))
        coarser = f"grid={enough:g}, a shorter period, or "
    raise StoreError(
        f"the cube would have {text}: {_shown(size)} before compression, above max_size={max_size:g} GB; fix: {coarser}"
        f"max_size={_rounded_up(size):g}"
    )


def _shown(gigabytes: float) -> str:
    """Return a size in the unit that suits it."""
    return f"{gigabytes:,.1f} GB" if gigabytes >= 1 else f"{1000 * gigabytes:,.1f} MB"


def _rounded_up(value: float) -> float:
    """Return a number with two digits that is not below a value."""
    digit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(np.round(math.ceil(value / digit - 1e-9) * digit, 12))
