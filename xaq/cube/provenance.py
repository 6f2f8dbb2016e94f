"""The provenance that a cube or estimates at points carry in an attribute."""

from __future__ import annotations

import json
from typing import Any

import xarray as xr

#: Names of what users pass and a provenance may name.
FIELDS = ("background", "rasters", "fields")


def provenance(ds: xr.Dataset) -> dict[str, Any]:
    """Return the provenance that xaq wrote into a dataset; empty for any other."""
    try:
        known = json.loads(ds.attrs.get("xaq_provenance", "{}"))
    except (TypeError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def not_seen(ds: xr.Dataset) -> list[str]:
    """Return the identifiers of the stations that were hidden when a cube or estimates were made."""
    return [str(station) for station in provenance(ds).get("hidden_stations", [])]


def method_text(known: dict[str, Any]) -> str:
    """Return the method of a provenance, and the fields that it reads: ``"kriging with background"``; empty without one.

    A model whose network adds nothing says so.
    """
    found = [name for name in FIELDS if name in known]
    fields = " and ".join(filter(None, [", ".join(found[:-1]), *found[-1:]]))
    first_guess = "base forecast" if known.get("init_time") else "classical first guess"
    gained = "" if known.get("learned", True) else f" ({first_guess})"
    return " with ".join(filter(None, [f"{known.get('method', '')}{gained}", fields]))
