"""The provenance that a cube or estimates at points carry in an attribute."""

from __future__ import annotations

import json
from typing import Any

import xarray as xr

from ..interpolate.drift import BACKGROUND, FIELD, RASTER

#: Names of what users pass and a provenance may name, each with its kind of predictor.
FIELDS = {"background": BACKGROUND, "rasters": RASTER, "fields": FIELD}


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
    """Return the method of a provenance, and the fields with an effect: ``"kriging with background"``; empty without one.

    A model whose network adds nothing says so.
    """
    found = [name for name in FIELDS if name in known and _has_effect(known, name)]
    fields = " and ".join(filter(None, [", ".join(found[:-1]), *found[-1:]]))
    first_guess = "base forecast" if known.get("init_time") else "classical first guess"
    gained = "" if known.get("learned", True) else f" ({first_guess})"
    return " with ".join(filter(None, [f"{known.get('method', '')}{gained}", fields]))


def _has_effect(known: dict[str, Any], name: str) -> bool:
    """Return whether a slope of a kind of field in a provenance is not zero."""
    slopes = [term["slope"] for term in known.get("drift", []) if term["kind"] == FIELDS[name]]
    return any(slopes) or (name == "background" and bool(known[name]["slope"]))
