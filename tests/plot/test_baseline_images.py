"""Three figures against baseline images. Texts are hidden, so that fonts do not matter.

After an intended change run ``XAQ_BASELINE=write pytest tests/plot/test_baseline_images.py`` and look at the images.
"""

import os
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from cartopy.mpl.gridliner import Gridliner
from matplotlib.testing.compare import compare_images
from matplotlib.text import Text

from xaq import datasets, plot
from xaq.cube.reanalyze import reanalyze
from xaq.stations import holdout

FOLDER = Path(__file__).parent / "baseline"
#: RMS difference of grey values, 0 to 255; triangles in place of all circles give twice this.
TOLERANCE = 3.0


def germany():
    return holdout.hide(datasets.load("germany"), fraction=0.15, seed=7)


def draw_map():
    ds = germany()
    cube = reanalyze(ds, "kriging", grid=0.25, time="2005-02-08", max_distance=90.0)
    return plot.map(ds, cube, vmin=10.0, vmax=90.0)


def draw_stations():
    return plot.stations(datasets.synthetic(n_stations=60, days=2), zoom=(9.7, 49.8, 10.3, 50.2), vmin=10.0, vmax=50.0)


def draw_errors():
    return plot.errors(germany(), "idw", time=slice("2005-01", "2005-03"))


@pytest.mark.parametrize("draw", [draw_map, draw_stations, draw_errors], ids=lambda f: f.__name__[5:])
def test_figure_matches_its_baseline(draw, tmp_path):
    with mpl.rc_context(mpl.rcParamsDefault | {"backend": "agg"}):
        ax = draw()
        figure = ax.figure
        figure.set_size_inches(5, 5)
        figure.set_layout_engine("none")
        ax.set_position((0.05, 0.15, 0.75, 0.8))
        for grid in figure.findobj(Gridliner):
            grid.left_labels = grid.bottom_labels = False
        for text in figure.findobj(Text):
            text.set_visible(False)
        name = f"{draw.__name__[5:]}.png"
        made = FOLDER / name if os.environ.get("XAQ_BASELINE") == "write" else tmp_path / name
        figure.savefig(made, dpi=60)
        plt.close(figure)
    assert compare_images(str(FOLDER / name), str(made), tol=TOLERANCE) is None
