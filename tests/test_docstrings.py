"""Docstrings of public names are complete by the rules of numpydoc."""

import dataclasses
import inspect

import pytest
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import validate
from public import PUBLIC, VERBS, implements_contract, is_property

from xaq._method import without_dataset

#: Never required: an extended summary (ES01) and a See Also section (SA01).
NOT_REQUIRED = {"ES01", "SA01"}
#: Not required of a dataclass, whose fields are described as attributes.
PARAMETERS = {"PR01", "PR02", "PR03"}
#: Not required of a property or of a Protocol's method: the example of the class shows them.
EXAMPLE = {"EX01"}


@pytest.mark.parametrize("name", sorted(n for n in PUBLIC if not implements_contract(n)))
def test_docstring_is_complete(name):
    thing, owner = PUBLIC[name], PUBLIC.get(name.rpartition(".")[0])
    excused = set(NOT_REQUIRED)
    if is_property(thing) or getattr(owner, "_is_protocol", False):
        excused |= EXAMPLE
    if dataclasses.is_dataclass(thing) or getattr(thing, "_is_protocol", False):
        excused |= PARAMETERS
    assert [error for error in validate(get_doc_object(PUBLIC[name]))["errors"] if error[0] not in excused] == []


@pytest.mark.parametrize("name", sorted(n for n in PUBLIC if implements_contract(n)))
def test_an_implementation_of_the_contract_has_a_summary(name):
    assert [
        error for error in validate(get_doc_object(PUBLIC[name]))["errors"] if error[0].startswith(("GL", "SS"))
    ] == []


@pytest.mark.parametrize("name", sorted(n for n, thing in PUBLIC.items() if dataclasses.is_dataclass(thing)))
def test_attributes_are_the_fields(name):
    described = [part for names, *_ in get_doc_object(PUBLIC[name])["Attributes"] for part in names.split(", ")]
    assert described == [field.name for field in dataclasses.fields(PUBLIC[name])]


@pytest.mark.parametrize("name", sorted(n for n, thing in PUBLIC.items() if is_property(thing)))
def test_properties_are_in_the_example_of_their_class(name):
    owner, _, attribute = name.rpartition(".")
    assert attribute in "\n".join(get_doc_object(PUBLIC[owner])["Examples"]) or implements_contract(name)


@pytest.mark.parametrize("name", sorted(VERBS))
def test_methods_have_the_docstring_of_the_functions_they_call(name):
    assert inspect.getdoc(PUBLIC[name]) == without_dataset(inspect.getdoc(VERBS[name]))


def test_the_dataset_is_removed_from_a_docstring():
    text = "Do.\n\nParameters\n----------\nds : xarray.Dataset\n    Stations\n\n    and more.\nk : int\n    Of them.\n"
    assert without_dataset(text) == "Do.\n\nParameters\n----------\nk : int\n    Of them.\n"
    assert without_dataset("ds, cube : xarray.Dataset\n    Two.\n") == "cube : xarray.Dataset\n    Two.\n"
