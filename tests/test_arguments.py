"""Arguments are what they must be, or an error says what was expected; NumPy's scalars are numbers."""

import numpy as np
import pandas as pd
import pytest

from xaq._arguments import check_choice, check_flag, check_integer, check_number
from xaq.errors import GridError, SchemaError


def level(value):
    return check_number(value, "level", "above 0 and at most 0.99", fix="level=0.9", valid=lambda x: 0 < x <= 0.99)


def seed(value):
    return check_integer(value, "seed", "an integer of 0 or more", fix="seed=0", valid=lambda n: n >= 0)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.float64(0.5), np.array(0.5)])
def test_a_number_of_any_type_becomes_a_float(value):
    assert level(value) == 0.5
    assert type(level(value)) is float


@pytest.mark.parametrize(
    "value",
    [
        0,
        1.5,
        np.nan,
        np.inf,
        "0.5",
        None,
        True,
        np.True_,
        [0.5],
        np.array([0.5]),
        0.5j,
        pd.NaT,
        pd.NA,
        object(),
        10**400,
    ],
)
def test_no_number_or_one_out_of_range_is_refused(value):
    with pytest.raises(SchemaError, match=r"level is .*, expected above 0 and at most 0\.99; fix: level=0\.9"):
        level(value)


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_an_integer_of_any_type_becomes_an_int(value):
    assert seed(value) == 3
    assert type(seed(value)) is int


@pytest.mark.parametrize("value", [-1, 3.0, np.float64(3), "3", None, True, np.True_, [3], np.array([3])])
def test_no_integer_or_one_out_of_range_is_refused(value):
    with pytest.raises(SchemaError, match=r"seed is .*, expected an integer of 0 or more; fix: seed=0"):
        seed(value)


def test_flags_are_true_or_false():
    assert check_flag(np.True_, "update") is True
    for value in (1, 0, "no", None, np.array([True])):
        with pytest.raises(SchemaError, match=r"update is .*, expected True or False"):
            check_flag(value, "update")


def test_a_choice_has_the_type_of_the_choices():
    assert check_choice(3, "zarr_format", (3, 2)) == 3
    assert type(check_choice(np.int64(2), "zarr_format", (3, 2))) is int
    for value in (True, 2.0, "3", None, np.array([3, 2]), [3]):
        with pytest.raises(SchemaError, match=r"zarr_format is .*, expected 3 or 2; fix: zarr_format=3"):
            check_choice(value, "zarr_format", (3, 2))


@pytest.mark.parametrize(
    ("given", "choices", "meant"),
    [
        ("GIOS", ("long", "wide", "eea", "gios"), "gios"), ("yearly", ("D", "MS", "QS", "YS"), "YS"), ("M", ("D", "MS", "QS", "YS"), "MS"),
        ("month", ("D", "MS", "QS", "YS"), "MS"), ("Y", ("D", "MS", "QS", "YS"), "YS"), ("maximum", ("mean", "max"), "max"),
        ("8h", ("D", "MS", "QS", "YS"), "D"), (3, ("mean", "max"), "mean"),
    ],
)  # fmt: skip
def test_the_fix_is_the_choice_whose_spelling_is_nearest(given, choices, meant):
    with pytest.raises(SchemaError, match=f"fix: freq='{meant}'$"):
        check_choice(given, "freq", choices)


def test_the_error_has_the_class_that_was_asked_for_and_shows_no_large_value():
    with pytest.raises(GridError, match=r"grid is of type ndarray"):
        check_number(np.zeros((100, 100)), "grid", "degrees above 0", fix="grid=0.1", error=GridError)
