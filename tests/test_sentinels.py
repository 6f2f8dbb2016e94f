"""Codes for "missing" such as -999: every verb that computes says so once, as the audit judges, and computes nothing for it."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xaq
from xaq.errors import SchemaError, XaqWarning
from xaq.nn.config import AQNetConfig
from xaq.stations import limits

CONFIG = AQNetConfig(hidden=4, heads=2, k=4)
CODES = [-99.0, -999.0, -9999.0, 9999.0, 99999.0, 1e20, 1e38, -1e38, np.inf]


def network(code=None, name="pm25"):
    ds = xaq.datasets.synthetic(n_stations=10, days=6, seed=1).aq.hide(fraction=0.2, seed=1)
    if code is not None:
        ds.pm25[2, 5:9] = code
    return ds.rename(pm25=name)


def train(ds, **options):
    return ds.aq.train("pm25", config=CONFIG, max_epochs=0, progress=False, **options)


@pytest.fixture(scope="module")
def model():
    return train(network())


VERBS = {
    "train": lambda ds, model: train(ds),
    "reanalyze": lambda ds, model: ds.aq.reanalyze("idw", grid=0.5),
    "reanalyze with a model": lambda ds, model: ds.aq.reanalyze(model, grid=0.5),
    "estimate": lambda ds, model: ds.aq.estimate("kriging", lon=[10.0], lat=[50.0]),
    "verify": lambda ds, model: ds.aq.verify("idw"),
    "verify a model": lambda ds, model: ds.aq.verify(model),
    "explain": lambda ds, model: ds.aq.explain(model, lon=10.0, lat=50.0, time="2020-01-03T08"),
}
each_verb = pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS.keys())


def warnings_of(call):
    """Return the texts of the warnings about impossible values."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(w.message) for w in caught if issubclass(w.category, XaqWarning) and "impossible" in str(w.message)]


def audited(ds):
    report = ds.aq.check()
    return dict(report[report.problem == "impossible"][["variable", "count"]].values)


@each_verb
def test_a_code_is_named_once_and_the_advice_removes_it(model, verb):
    ds = network(-999.0)
    (text,) = warnings_of(lambda: verb(ds, model))
    assert "'pm25' at 4 of" in text
    assert "-999" in text
    assert "ds.aq.check()" in text
    fixed = eval(text.partition("fix: ds = ")[2], {"ds": ds})
    assert not warnings_of(lambda: verb(fixed, model))
    assert int(fixed.pm25.isnull().sum()) == int(ds.pm25.isnull().sum()) + 4


@each_verb
def test_nothing_is_said_of_plausible_values(model, verb):
    assert not warnings_of(lambda: verb(network(), model))


@pytest.mark.parametrize("code", CODES)
def test_every_code_that_the_audit_knows_is_named(code):
    ds = network(code)
    assert audited(ds) == {"pm25": 4}
    assert len(warnings_of(lambda: ds.aq.reanalyze("idw", grid=0.5))) == 1


@given(
    st.sampled_from(["pm25", "o3", "co", "wind"]),
    st.sampled_from(["ug m-3", "mg m-3", "ppb", "1e-6"]),
    st.sampled_from([0.001, 1.0, 1000.0]),
    st.lists(st.sampled_from([*CODES, -51.0, -49.0, -0.5, 0.0, 2500.0, 15000.0, np.nan]), max_size=4),
)
def test_the_warning_and_the_audit_agree(name, units, scale, values):
    """Also where units are in doubt: there only codes are impossible."""
    ds = network(name=name)
    ds[name] = (ds[name] * scale).assign_attrs(units=units)
    ds[name][3, : len(values)] = values
    said = warnings_of(lambda: limits.warn_if_impossible(ds, [name]))
    expected = audited(ds)
    assert len(said) == len(expected)
    if expected:
        assert f"{name!r} at {expected[name]} of " in said[0]


def test_a_covariate_that_is_a_pollutant_counts_and_another_variable_does_not():
    ds = network(-999.0, name="pm10")
    ds["pm25"], ds["wind"] = network().pm25, ds.pm10.assign_attrs(units="m s-1")
    for covariates, n in ((["pm10"], 1), (["wind"], 0), ([], 0)):
        assert len(warnings_of(lambda c=covariates: train(ds, covariates=c))) == n
    trained = train(ds, covariates=["pm10"])
    assert len(warnings_of(lambda: ds.aq.reanalyze(trained, grid=0.5))) == 1


def test_nothing_is_computed_for_the_warning(no_compute):
    lazy = network(-999.0).chunk({"time": 24})
    assert not warnings_of(lambda: lazy.aq.reanalyze("idw", grid=0.5))
    assert not warnings_of(lambda: lazy.aq.estimate("idw", lon=[10.0], lat=[50.0]))


def test_training_on_lazy_data_names_what_it_has_computed():
    (text,) = warnings_of(lambda: train(network(-999.0).chunk({"time": 24})))
    assert "'pm25' at 4 of" in text


def test_integers_are_judged_too():
    ds = network()
    ds["pm25"] = ds.pm25.fillna(-999).round().astype("int16").assign_attrs(units="ug m-3")
    assert len(warnings_of(lambda: ds.aq.reanalyze("idw", grid=0.5))) == 1


@pytest.mark.parametrize("code", [1e16, 1e20, 1e38, -1e38])
def test_values_that_overflow_are_an_error_and_the_advice_removes_them(code):
    ds = network(code)
    assert set(ds.aq.check().query("problem == 'impossible'").severity) == {"error"}
    with pytest.raises(SchemaError, match="'pm25' has 4 values beyond 1e\\+15") as error:
        train(ds)
    exec(str(error.value).partition("fix: ")[2], {"ds": ds})
    assert train(ds).hash == train(network(np.nan)).hash


def test_an_overflow_in_a_covariate_is_an_error_too():
    ds = network()
    ds["wind"] = ds.pm25.where(ds.pm25 < 30, 1e38).assign_attrs(units="m s-1")
    with pytest.raises(SchemaError, match="'wind' has"):
        train(ds, covariates=["wind"])


def test_a_large_code_that_does_not_overflow_is_a_warning():
    ds = network(9e14)
    assert set(ds.aq.check().query("problem == 'impossible'").severity) == {"warning"}
    assert len(warnings_of(lambda: train(ds))) == 1
