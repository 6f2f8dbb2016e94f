"""``xaq plot``: each figure gets what it is made from, and becomes a file of its kind."""

import matplotlib.pyplot as plt
import pytest
import xarray as xr
from matplotlib.animation import FuncAnimation

import xaq
from xaq.cli import main
from xaq.cli.plot import FIGURES

#: What each figure is asked for beside its subjects, and what its function must get.
ASKED = {
    "map": (["--time", "2020-01-02T08", "--vmax", "9", "--no-stations"], {"time": "2020-01-02T08", "vmax": 9.0, "stations": False}),
    "panels": (["--times", "2020-01-02T08,2020-01-02T09", "--per-row", "2"], {"times": ["2020-01-02T08", "2020-01-02T09"], "columns": 2}),
    "compare": (["--unsupported", "blank"], {"unsupported": "blank"}),
    "width": (["--cmap", "magma"], {"cmap": "magma"}),
    "stations": (["--zoom", "9,49,10,50", "--target", "pm25"], {"zoom": (9.0, 49.0, 10.0, 50.0), "target": "pm25"}),
    "errors": (["--hide", "s001"], {}),
    "series": (["--station", "s003"], {"station": "s003"}),
    "hours": (["--station", "s003", "--slots", "6-8,18-20", "--period-tz", "Europe/Berlin"],
              {"station": "s003", "slots": [(6, 8), (18, 20)], "tz": "Europe/Berlin"}),
    "attention": (["--station", "s003"], {"station": "s003"}),
    "reliability": (["--levels", "0.5,0.9", "--baselines", "idw"], {"levels": [0.5, 0.9], "baselines": ["idw"]}),
    "reliability_of_means": (["--of", "D,MS"], {"of": ["D", "MS"]}),
    "error_covariance": ([], {}),
    "explanation": (["--lon", "10", "--lat", "50", "--time", "2020-01-02T08"], {}),
    "animation": (["--interval", "100"], {"interval": 100.0}),
    "explore": (["--dpi", "50"], {"dpi": 50.0}),
    "table": (["--metrics", "mae"], {"metrics": ["mae"]}),
    "skill": (["--scored", "visible", "--metric", "mae"], {"stations": "visible", "metric": "mae"}),
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_gets_its_subjects_and_options(with_model, data, here, monkeypatch, name):
    got = {}

    def draw(ds, *subjects, **given):
        got.update(subjects=(ds, *subjects), given=given)
        return xaq.plot.Explorer("page", ("one",), (b"",)) if name == "explore" else plt.figure().add_subplot()

    monkeypatch.setattr(xaq.plot, name, draw)
    monkeypatch.setattr(xaq.evaluate.verify, "verify", lambda ds, model, **_: (ds, model))
    monkeypatch.setattr(xaq.evaluate.explain, "explain", lambda ds, model, **where: (model, where))
    figure, (options, expected) = FIGURES[name], ASKED[name]
    subjects = [str(with_model / ("c.zarr" if kind in ("cube", "other") else "m.xaq")) for kind in figure.subjects]
    assert main(["plot", name, *subjects, *data, *options, "-o", figure.file]) == 0
    assert got["given"] == expected
    assert (here / figure.file).stat().st_size > 0
    first = got["subjects"][0]
    stations = first[0] if isinstance(first, tuple) else first
    if name == "errors":
        assert stations.aq.hidden.station.values.tolist() == ["s001"]
    elif "m.xaq" in "".join(subjects):
        assert stations.aq.hidden.station.values.tolist() == ["s003", "s010"], "those of the model"
    if name == "compare":
        assert all(isinstance(cube, xr.Dataset) and "pm25" in cube for cube in got["subjects"][1:])
    plt.close("all")


def test_figures_of_a_cube_mark_the_stations_that_were_hidden_when_it_was_made(network, data, here, monkeypatch):
    got = []
    monkeypatch.setattr(xaq.plot, "errors", lambda ds, cube, **_: got.append(ds) or plt.figure().add_subplot())
    cube = str(here / "hidden.zarr")
    assert (
        main(
            [
                "reanalyze",
                "idw",
                *data,
                "--target",
                "pm25",
                "--hide",
                "s001,s003",
                "--grid",
                "0.5",
                "--time",
                "2020-01-02",
                "--store",
                cube,
            ]
        )
        == 0
    )
    assert main(["plot", "errors", cube, *data, "-o", "e.png"]) == 0
    assert got[0].aq.hidden.station.values.tolist() == ["s001", "s003"]
    assert main(["plot", "errors", cube, *data, "--hide", "s001", "-o", "e.png"]) == 0
    assert got[1].aq.hidden.station.values.tolist() == ["s001"]
    plt.close("all")


def test_a_film_is_written_as_one(network, data, here, monkeypatch):
    figure, ax = plt.subplots()
    film = FuncAnimation(figure, lambda frame: ax.plot([frame], [0], "o"), frames=2)
    monkeypatch.setattr(xaq.plot, "animation", lambda ds, cube, **_: film)
    assert main(["plot", "animation", str(network / "c.zarr"), *data, "-o", "film.gif"]) == 0
    assert (here / "film.gif").read_bytes().startswith(b"GIF8")
    plt.close("all")


def test_a_map_without_stations_needs_none(network, here, capsys):
    cube = str(network / "c.zarr")
    assert main(["plot", "map", cube, "-o", "m.png"]) == 2
    assert capsys.readouterr().err.endswith("fix: --no-stations\n")
    assert main(["plot", "map", cube, "--no-stations", "-o", "m.png"]) == 0
    assert (here / "m.png").stat().st_size > 0


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (["map", "kriging"], "plot map needs a cube, kriging is a method; fix: xaq reanalyze kriging germany --store cube.zarr"),
        (["explore", "x.csv"], "plot explore needs a cube, x.csv is a file; fix: xaq reanalyze model.xaq germany --store cube.zarr"),
        (["attention", "idw"], "plot attention needs a model file, idw is a method; fix: xaq train germany -o model.xaq"),
        (["attention", "f.zarr"], "plot attention needs a model file, f.zarr is a folder; fix: xaq train germany -o model.xaq"),
    ],
)  # fmt: skip
def test_a_figure_says_what_it_needs_and_the_command_that_makes_it(here, capsys, subject, message):
    (here / "x.csv").touch()
    (here / "f.zarr").mkdir()
    file = ["-o", "p.html" if subject[0] == "explore" else "p.png"]
    assert main(["plot", *subject, "germany", *file]) == 1
    assert capsys.readouterr().err == f"xaq: {message}\n"


@pytest.mark.parametrize(
    ("arguments", "fix"),
    [
        (["animation", "c.zarr", "-o", "film.png"], "-o film.gif"),
        (["explore", "c.zarr", "-o", "page"], "-o page.html"),
        (["hours", "idw", "--station", "s003", "--slots", "9", "-o", "h.png"], "--slots 9-12,16-19"),
        (["reliability", "idw", "--levels", "high", "-o", "r.png"], "--levels 0.5,0.8,0.9"),
        (["stations", "--zoom", "1,2", "-o", "s.png"], "--zoom 5,47,16,55"),
    ],
)
def test_what_a_figure_cannot_be_made_from_is_refused_with_a_fix(data, here, capsys, arguments, fix):
    name, *rest = arguments
    at = next(i for i, text in enumerate(rest) if text.startswith("-"))
    assert main(["plot", name, *rest[:at], *data, *rest[at:]]) == 2
    assert capsys.readouterr().err.strip().endswith(f"fix: {fix}")
    assert list(here.iterdir()) == []
