"""A figure conforms its dataset once, whatever it draws, also where it makes the estimates itself."""

import figures
import pytest

from xaq import plot
from xaq.stations import schema

ds, cube, closed = figures.ds, figures.cube, figures.closed


def hidden_station(ds):
    return str(ds.station.values[ds.hidden.values][0])


def visible_station(ds):
    return str(ds.station.values[~ds.hidden.values][0])


HOURS = ("2020-01-01T06", "2020-01-01T07")
FIGURES = {
    "map": lambda ds, cube: plot.map(ds, cube, lines=[]),
    "panels": lambda ds, cube: plot.panels(ds, cube, ["2020-01-01", "2020-01-02"], lines=[]),
    "compare": lambda ds, cube: plot.compare(ds, cube, cube, lines=[]),
    "width": lambda ds, cube: plot.width(ds, cube, lines=[]),
    "stations": lambda ds, cube: plot.stations(ds, lines=[]),
    "errors": lambda ds, cube: plot.errors(ds, cube, lines=[]),
    "series": lambda ds, cube: plot.series(ds, cube, "s003"),
    "hours": lambda ds, cube: plot.hours(ds, cube, "s003"),
    "errors of a mapper": lambda ds, cube: plot.errors(ds, "kriging", lines=[]),
    "series of a mapper at a hidden station": lambda ds, cube: plot.series(ds, "kriging", hidden_station(ds)),
    "series of a mapper at a visible station": lambda ds, cube: plot.series(ds, "kriging", visible_station(ds)),
    "hours of a mapper": lambda ds, cube: plot.hours(ds, "kriging", visible_station(ds)),
    "reliability": lambda ds, cube: plot.reliability(ds, "kriging", baselines=["kriging-log"]),
    "reliability of means": lambda ds, cube: plot.reliability_of_means(ds, "kriging", of=["D"]),
    "explanation": lambda ds, cube: plot.explanation(ds, figures.explained_by_hand(ds), lines=[]),
    "animation": lambda ds, cube: plot.animation(ds, cube, time=HOURS, lines=[]),
    "explore": lambda ds, cube: plot.explore(ds, cube, time=HOURS, dpi=40, lines=[]),
}


@pytest.mark.filterwarnings("ignore:Animation was deleted without rendering")
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_conforms_once(name, ds, cube, monkeypatch):
    calls, conform = [], schema.conform
    monkeypatch.setattr(schema, "conform", lambda *args: calls.append(args) or conform(*args))
    FIGURES[name](ds, cube)
    assert len(calls) == 1
