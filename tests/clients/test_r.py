"""R's stars and terra on netCDF that xaq wrote: coordinate reference system, edges, times, a cell, a mean, what is missing."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import box, run

pytestmark = pytest.mark.clients


@pytest.fixture(scope="module", autouse=True)
def packages():
    asked = 'cat(c("stars", "terra") %in% rownames(installed.packages()))'
    if run("Rscript", "-e", asked).split() != ["TRUE", "TRUE"]:
        pytest.skip("R has no stars or no terra")


@cache
def printed(file: Path, lon: float, lat: float, step: int) -> dict[str, str]:
    """Return what both packages read, by package and name; R takes seconds to start."""
    lines = run("Rscript", Path(__file__).with_name("cube.R"), file, "pm25", lon, lat, step).splitlines()
    return dict(line.split("\t") for line in lines if "\t" in line)


@pytest.mark.parametrize("package", ["stars", "terra"])
def test_r_reads_a_cube(package, case):
    cube, _, file = case
    cell = cube.pm25[2, 2, 5]
    said = printed(file, float(cell.lon), float(cell.lat), 3)
    assert said[f"{package} crs"].strip() == "4326"
    assert [float(edge) for edge in said[f"{package} box"].split()] == list(box(cube))
    times = np.array(said[f"{package} times"].split(), "M8[s]")
    np.testing.assert_array_equal(times, cube.time.values.astype("M8[s]"))
    assert float(said[f"{package} cell"]) == pytest.approx(float(cell), rel=1e-6)
    assert float(said[f"{package} mean"]) == pytest.approx(float(cube.pm25.mean()), rel=1e-5)
    assert int(said[f"{package} missing"]) == int(cube.pm25.isnull().sum())
