"""A model trained with gridded fields: they help, it needs them again, and an explanation names the part of each."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import xaq
from xaq.aqnet.file import from_bytes, to_bytes
from xaq.errors import ModelError
from xaq.nn.config import AQNetConfig

SMALL = AQNetConfig(hidden=8, heads=2, days_before=1, days_after=1, k=8)
SPOT = {"lon": 10.03, "lat": 50.04}


def waves(number):
    """Return a field in time, about 0, with waves of some 40 km that travel."""
    times = np.datetime64("2020-01-01T00", "ns") + np.arange(72) * np.timedelta64(1, "h")
    lat, lon = np.arange(48.0, 52.01, 0.1), np.arange(8.0, 12.01, 0.1)
    hour, y, x = np.meshgrid(np.arange(72), lat, lon, indexing="ij")
    values = np.sin((7 + number) * x + hour / 4) * np.cos((9 - number) * y)
    axes = {"time": times, "lat": lat, "lon": lon}
    return xr.DataArray(values.astype("f4"), axes, ("time", "lat", "lon"), f"waves_{number}", {"units": "K"})


@pytest.fixture(scope="module")
def network():
    """Return plumes that thin out where the first field is high, by a factor of e in 2 K."""
    ds = xaq.datasets.synthetic(n_stations=40, days=3, missing=0.0)
    at = waves(0).interp(lon=ds.lon, lat=ds.lat, time=ds.time)
    values = (ds.pm25 * np.exp(-0.5 * at)).transpose(*ds.pm25.dims).astype("f4").assign_attrs(ds.pm25.attrs)
    return ds.assign(pm25=values).aq.hide(fraction=0.25, seed=1)


FIELDS = [waves(0), waves(3)]


@pytest.fixture(scope="module")
def model(network):
    return network.aq.train("pm25", fields=FIELDS, config=SMALL, max_epochs=0, progress=False)


def test_fields_help_at_hidden_stations_as_they_help_kriging(network, model):
    table = network.aq.verify(model, fields=FIELDS, baselines=["kriging", "kriging-drift"])
    for score in ("mae", "rmse"):
        assert table.loc["AQ-Net", score] < 0.9 * table.loc["kriging", score]
        assert table.loc["AQ-Net", score] < 1.02 * table.loc["kriging-drift", score]
    first, second = model.recipe.trend.drift
    assert first["slope"] / first["std"] == pytest.approx(-0.5, rel=0.25)
    assert abs(second["slope"]) < 0.1 * abs(first["slope"])


def test_a_model_needs_its_fields_again(network, model, tmp_path):
    again = xaq.load_model(model.save(tmp_path / "m.xaq"))
    assert again.recipe == model.recipe
    where = {"lon": [SPOT["lon"]], "lat": [SPOT["lat"]], "time": "2020-01-02"}
    made, expected = (network.aq.estimate(m, fields=FIELDS, **where).pm25 for m in (again, model))
    np.testing.assert_array_equal(made, expected)
    swapped = network.aq.estimate(model, fields=FIELDS[::-1], **where).pm25
    np.testing.assert_array_equal(swapped, expected)
    for fields, message in (
        (None, "fields that are not given"),
        (FIELDS[:1], "fields that are not given; fix: fields={'waves_3': field}"),
        ([*FIELDS, waves(1)], "without the fields waves_1"),
        ([FIELDS[0], FIELDS[1].isel(lon=slice(3, None))], "is not the field"),
    ):
        with pytest.raises(ModelError, match=message):
            network.aq.estimate(model, fields=fields, **where)
    provenance = json.loads(network.aq.reanalyze(model, grid=1.0, fields=FIELDS).attrs["xaq_provenance"])
    assert [field["name"] for field in provenance["fields"]] == ["waves_0", "waves_3"]
    assert provenance["drift"] == list(model.recipe.trend.drift)


def test_the_parts_of_an_estimate_are_the_estimate(network, model):
    why = network.aq.explain(model, **SPOT, time="2020-01-02T08", fields=FIELDS)
    assert why.term.values.tolist() == ["waves_0", "waves_3", "site effect"]
    trend = float(why.kriging * why.factor.prod())
    total = trend + float(why.advection + why.log_scale + why.learned)
    assert total == pytest.approx(float(why.estimate), rel=1e-5)
    assert abs(float(why.factor[0]) - 1) > 0.02
    assert float(why.learned) == 0.0
    assert float(why.contribution.sum()) == pytest.approx(float(why.estimate), rel=1e-5)


def test_a_model_warns_of_the_steps_that_a_field_lacks_where_it_learns_and_where_it_estimates(network, model):
    gap = [FIELDS[0].isel(time=np.r_[0:10, 20:72]), FIELDS[1].where(FIELDS[1].time != FIELDS[1].time[4])]
    lacking = "fields: 'waves_0' has no value at 10 of 72 steps"
    unknown = "fields: 'waves_3' has no value at any visible station at 1 of 72 steps"
    calls = (
        lambda: network.aq.estimate(model, fields=gap, lon=[10.03], lat=[50.04]).load(),
        lambda: network.aq.visible.aq.train("pm25", fields=gap, config=SMALL, max_epochs=0, progress=False),
    )
    for call in calls:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            call()
        texts = [str(w.message).partition(", the first")[0] for w in said if "has no value" in str(w.message)]
        assert texts == [lacking, unknown]


def test_a_cube_of_a_model_that_gained_nothing_says_so(network, model):
    cube = network.aq.reanalyze(model, grid=1.0, fields=FIELDS)
    assert json.loads(cube.attrs["xaq_provenance"])["learned"] is False
    assert "AQ-Net (classical first guess) with fields" in cube.attrs["title"]
    assert f"AQ-Net {model.hash[:12]} (classical first guess) with fields" in cube.attrs["history"]
    gained = xaq.Model(model.network, replace(model.recipe, training={"score": 0.99}))
    cube = network.aq.reanalyze(gained, grid=1.0, fields=FIELDS)
    assert json.loads(cube.attrs["xaq_provenance"])["learned"] is True
    assert "first guess" not in cube.attrs["title"] + cube.attrs["history"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"std": 0.0}, "trend.drift.std is 0.0, expected above 0"),
        ({"low": 2.0, "high": 1.0}, "trend.drift.low is 2.0, expected at most"),
        ({"slope": float("nan")}, "finite"),
        ({"kind": "cloud"}, "trend.drift.kind is 'cloud', expected a kind of predictor"),
        ({"name": "waves_3"}, "expected each once"),
        ({"more": 1.0}, "missing or unknown: more"),
        ({"kind": "background"}, "missing or unknown"),
    ],
)
def test_a_drift_that_no_training_makes_is_refused(model, change, message):
    first, second = model.recipe.trend.drift
    trend = replace(model.recipe.trend, drift=({**first, **change}, second))
    with pytest.raises(ModelError, match=message):
        from_bytes(to_bytes(model.network, replace(model.recipe, trend=trend)))
