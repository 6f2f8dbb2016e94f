"""The fix that a message names, applied: advice that does not work is worse than none."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

import xaq
from xaq.errors import SchemaError


def fix_of(error: SchemaError) -> str:
    """Return the call after ``fix:`` of an error's first problem."""
    _, _, fix = error.problems[0].partition("fix: ")
    assert fix, f"no fix in {error}"
    return fix


def applied(error: SchemaError, **names: Any) -> Any:
    """Return what the fix of an error makes of the objects that it names, such as ``ds=``."""
    return eval(fix_of(error), {"pd": pd, "np": np, "xr": xr, "xaq": xaq, **names})
