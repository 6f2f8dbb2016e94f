"""Attention: the values drawn, the days they belong to, and the models that have none."""

import figures
import numpy as np
import pytest

from xaq import plot
from xaq.errors import ModelError, SchemaError
from xaq.stations import schema

forecast, closed = figures.forecast, figures.closed


def test_attention_is_drawn_by_target_and_history_day(forecast):
    ds, model = forecast
    ax = plot.attention(ds, model, time="2020-01-20")
    (image,) = ax.images
    past = schema.observations(ds, "pm25").until(19 * 4, 28)
    expected = model.attention(past, np.datetime64("2020-01-20"))
    np.testing.assert_allclose(image.get_array(), expected.mean(axis=0), rtol=1e-5)
    assert image.get_array().shape == (7, 14)
    np.testing.assert_allclose(image.get_array().sum(axis=1), 1.0, rtol=1e-5)
    assert image.get_extent() == [-14.5, -0.5, 6.5, -0.5]
    assert ax.child_axes[0].get_ylabel() == "attention [1]"
    one = plot.attention(ds, model, time="2020-01-20", station=str(ds.aq.visible.station.values[2]))
    np.testing.assert_allclose(one.images[0].get_array(), expected[2], rtol=1e-5)


def test_attention_needs_a_trained_model_a_visible_station_and_a_time_of_the_record(forecast):
    ds, model = forecast
    with pytest.raises(ModelError, match="expected a trained model"):
        plot.attention(ds, "kriging")
    with pytest.raises(SchemaError, match="not a visible station"):
        plot.attention(ds, model, station=str(ds.aq.hidden.station.values[0]))
    with pytest.raises(SchemaError, match="outside the record"):
        plot.attention(ds, model, time="2021-01-01")


def test_the_title_says_where_training_gained_nothing(forecast, monkeypatch):
    ds, model = forecast
    for learned in (False, True):
        monkeypatch.setattr(type(model.recipe), "learned", property(lambda _, learned=learned: learned))
        ax = plot.attention(ds, model, time="2020-01-20")
        assert ("attention is not learned" in ax.get_title("left")) is not learned
