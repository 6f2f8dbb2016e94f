"""Scores as figures: the numbers in the table, skill, and the coverage of intervals."""

import figures
import numpy as np
import pandas as pd
import pytest

import xaq
from xaq import plot
from xaq.errors import ModelError, SchemaError

network, forecast, closed = figures.network, figures.forecast, figures.closed


@pytest.fixture(scope="module")
def by_horizon(forecast):
    ds, model = forecast
    return xaq.verify(ds, model, time=slice("2020-01-16", None), baselines=["persistence"])


@pytest.mark.filterwarnings("ignore::xaq.errors.XaqWarning")
def test_the_table_shows_every_score_and_marks_the_best(by_horizon):
    ax = plot.table(by_horizon, metrics=["mae", "rmse"])
    texts = {t.get_text(): t for t in ax.texts}
    horizons = list(dict.fromkeys(by_horizon.index.get_level_values("horizon")))
    assert {*horizons, "MAE", "RMSE", "AQ-Net", "persistence"} <= set(texts)
    for horizon in horizons:
        for metric in ("mae", "rmse"):
            both = by_horizon.loc[("hidden", horizon), metric]
            assert texts[f"{both.min():#.3g}"].get_fontweight() == "bold"
    assert "µg m⁻³" in ax.get_title("left")


def test_the_best_score_depends_on_its_kind():
    rows = {"mae": [3.0, 2.0], "r2": [0.5, 0.6], "bias": [-0.1, 2.0], "coverage": [0.99, 0.89], "width": [5.0, 9.0]}
    scores = pd.DataFrame(rows, index=pd.Index(["a", "b"], name="method"))
    scores.attrs = {"target": "o3", "units": "ppb", "level": 0.9}
    ax = plot.table(scores, metrics=list(rows))
    bold = {t.get_text() for t in ax.texts if t.get_fontweight() == "bold"}
    assert bold == {"2.00", "0.600", "-0.100", "0.890"}
    assert ax.get_title("left") == "O3 at hidden stations; MAE, bias, width in ppb"


def test_skill_is_the_relative_reduction_of_the_error(by_horizon):
    ax = plot.skill(by_horizon, reference="persistence", metric="mae")
    (line,) = [a for a in ax.lines if a.get_label() == "AQ-Net"]
    wide = by_horizon.loc["hidden", "mae"].unstack("method")
    np.testing.assert_allclose(line.get_ydata(), 1 - (wide["AQ-Net"] / wide["persistence"]).to_numpy(float))
    assert [t.get_text() for t in ax.get_xticklabels()] == [str(h) for h in wide.index]


def test_scores_that_cannot_be_drawn_are_refused(by_horizon, network):
    with pytest.raises(SchemaError, match="no method 'climatology'"):
        plot.skill(by_horizon, reference="climatology")
    with pytest.raises(SchemaError, match="no column f1"):
        plot.table(by_horizon, metrics=["f1"])
    with pytest.raises(SchemaError, match="expected a table of scores"):
        plot.table(pd.DataFrame({"mae": [1.0]}))
    with pytest.raises(SchemaError, match="no horizons"):
        plot.skill(xaq.verify(network, "kriging", baselines=[]))


def test_coverage_by_nominal_coverage_is_that_of_verify(network):
    ax = plot.reliability(network, "kriging", levels=[0.5, 0.8])
    (line,) = [a for a in ax.lines if a.get_label() == "kriging"]
    expected = [xaq.verify(network, "kriging", baselines=[], level=level).coverage.item() for level in (0.5, 0.8)]
    np.testing.assert_allclose(line.get_ydata(), expected)
    np.testing.assert_allclose(line.get_xdata(), [0.5, 0.8])


def test_reliability_needs_intervals_hidden_stations_and_fractions(network, forecast):
    with pytest.raises(SchemaError, match="none of idw has an interval"):
        plot.reliability(network, "idw", baselines=[])
    with pytest.raises(SchemaError, match="no station is hidden"):
        plot.reliability(network.drop_vars("hidden"), "kriging")
    with pytest.raises(SchemaError, match="expected fractions"):
        plot.reliability(network, "kriging", levels=[90])
    with pytest.raises(ModelError, match="forecast"):
        plot.reliability(network, forecast[1])


def test_long_names_of_methods_do_not_reach_into_the_numbers(network):
    scores = network.aq.verify("idw", baselines=["kriging"]).rename(
        index={"idw": "a method with a name of many words, " * 2}
    )
    ax = plot.table(scores)
    ax.figure.canvas.draw()
    (name,) = [t for t in ax.texts if t.get_text().startswith("a method")]
    others = [t for t in ax.texts if t.get_ha() == "right"]
    assert len(others) >= 4
    assert name.get_window_extent().x1 < min(t.get_window_extent().x0 for t in others)
