"""The line of docs/means.md that gives a cube of local periods local times."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from xaq import datasets

PAGE = Path(__file__).parents[2] / "docs/means.md"


def test_the_line_on_the_page_selects_local_days_and_months():
    line = re.search(r"^local = .*$", PAGE.read_text(encoding="utf-8"), re.M)[0]
    ds = datasets.synthetic(n_stations=8, days=40, step="6h")
    for freq, date, start in (("D", "2020-01-15", "2020-01-14T23:00"), ("MS", "2020-01", "2019-12-31T23:00")):
        cube = ds.aq.reanalyze("kriging", grid=0.5, freq=freq, tz="Europe/Warsaw")
        names = {"days": cube}
        exec(line, names)
        chosen = cube.assign_coords(time=names["local"]).pm25.sel(time=date)
        np.testing.assert_array_equal(chosen.values.squeeze(), cube.pm25.sel(time=pd.Timestamp(start)).values)
        assert np.isfinite(chosen.values).any()
