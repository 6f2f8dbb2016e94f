"""The public names of xaq. Each needs a page in the reference, an example and a complete docstring."""

import inspect
from collections.abc import Iterator
from typing import Any

import xaq
from xaq.fields import sample
from xaq.interpolate import base, explanation
from xaq.plot.accessor import PlotAccessor

#: Members of the contract of mappers: documented in full in xaq.interpolate.base, in one line by each implementation.
CONTRACT = {"prepare", "estimate", "fill", "explain", "name", "has_interval", "margin_days", "fields"}
MAPPERS = {"InverseDistance", "Model", "Nearest", "OrdinaryKriging", "SpaceTimeKriging"}
#: Public names that xaq does not export: the contract of mappers, sampling at points, and ``ds.aq.plot``.
BESIDE = {
    "xaq.fields.sample.sample_points": sample.sample_points,
    "xaq.interpolate.base.Estimate": base.Estimate,
    "xaq.interpolate.explanation.Explainer": explanation.Explainer,
    "xaq.interpolate.explanation.Explanation": explanation.Explanation,
    "xaq.interpolate.base.Mapper": base.Mapper,
    "xaq.interpolate.base.Observations": base.Observations,
    "xaq.plot.accessor.PlotAccessor": PlotAccessor,
}


def exported() -> dict[str, Any]:
    """Return the exports of xaq and of its public modules, by full name."""
    found = {}
    for name in xaq.__all__:
        thing = getattr(xaq, name)
        if inspect.ismodule(thing):
            found |= {f"xaq.{name}.{inner}": getattr(thing, inner) for inner in thing.__all__}
        else:
            found[f"xaq.{name}"] = thing
    return found


def members(owner: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods and properties of a class and of its private base classes, without dataclass fields."""
    for part in owner.__mro__:
        if part is owner or part.__name__.startswith("_"):
            for name in vars(part).keys() - vars(part).get("__annotations__", {}).keys():
                member = inspect.getattr_static(owner, name)
                if not name.startswith("_") and (is_property(member) or inspect.isroutine(member)):
                    yield name, member if is_property(member) else getattr(owner, name)


def is_property(thing: Any) -> bool:
    """Whether a member is a property, cached or not."""
    return inspect.isdatadescriptor(thing) or type(thing).__name__ == "cached_property"


def implements_contract(name: str) -> bool:
    """Whether a name is a mapper's implementation of a member of the contract."""
    owner, _, member = name.rpartition(".")
    return member in CONTRACT and owner in {f"xaq.{c}" for c in MAPPERS}


#: Every public function, class, method and property by its full name.
PUBLIC = exported() | BESIDE
PUBLIC |= {f"{name}.{i}": m for name, thing in PUBLIC.items() if inspect.isclass(thing) for i, m in members(thing)}

#: The methods of both accessors among these, each with the function that it calls.
VERBS = {
    f"{owner}.{name}": getattr(home, name)
    for owner, home in (("xaq.AqAccessor", xaq), ("xaq.plot.accessor.PlotAccessor", xaq.plot))
    for name in home.__all__
    if inspect.isfunction(PUBLIC.get(f"{owner}.{name}"))
}
