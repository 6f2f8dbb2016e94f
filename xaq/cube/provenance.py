"""The provenance that a cube or estimates at points carry in an attribute."""

from __future__ import annotations

import json
from typing import Any

import xarray as xr


def provenance(ds: xr.Dataset) -> dict[str, Any]:
    """Return the provenance that xaq wrote into a dataset; empty for any other."""
    try:
        known = json.loads(ds.attrs.get("xaq_provenance", "{}"))
    except (TypeError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def method_text(known: dict[str, Any]) -> str:
    """Return the method of a provenance, and the fields that it reads: ``"kriging with background"``; empty without one."""
    fields = ["background"] * ("background" in known) + ["rasters"] * ("rasters" in known)
    return " with ".join(filter(None, [str(known.get("method", "")), " and ".join(fields)]))
