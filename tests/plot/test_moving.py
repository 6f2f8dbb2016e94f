"""A cube over time: every step is drawn, the page is self-contained, and its slider changes the map."""

import base64
import io
import json
import re
import shutil
import subprocess

import figures
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from xaq import datasets, plot
from xaq.cube.reanalyze import reanalyze
from xaq.errors import SchemaError
from xaq.stations import holdout

closed = figures.closed
pytestmark = pytest.mark.filterwarnings("ignore:Animation was deleted without rendering")


@pytest.fixture(scope="module")
def ds():
    return holdout.hide(datasets.synthetic(n_stations=14, days=2), fraction=0.2, seed=1)


@pytest.fixture(scope="module")
def cube(ds):
    return reanalyze(ds, "idw", grid=0.4, time=slice("2020-01-01T00", "2020-01-01T03")).compute()


@pytest.fixture(scope="module")
def explorer(ds, cube):
    return plot.explore(ds, cube, dpi=40, lines=[])


def test_every_step_is_drawn_with_its_own_values(ds, cube):
    film = plot.animation(ds, cube, lines=[])
    ax = film._fig.axes[0]
    for i in range(4):
        film._draw_frame(i)
        mesh = ax.collections[0]
        np.testing.assert_allclose(mesh.get_array().ravel(), cube.pm25[i].values.ravel(), rtol=1e-6)
        circles = next(c for c in ax.collections if c.get_label() == "_visible")
        seen = ds.pm25.sel(time=cube.time[i]).values[~ds.hidden.values]
        np.testing.assert_allclose(circles.get_array(), seen[np.isfinite(seen)], rtol=1e-6)
        assert f"2020-01-01 {i:02d}:00 UTC" in ax.get_title("left")
    assert sum(c.get_label() == "_visible" for c in ax.collections) == 1


def test_an_animation_is_saved_as_gif(ds, cube, tmp_path):
    plot.animation(ds, cube, lines=[]).save(tmp_path / "hours.gif", writer="pillow", dpi=40)
    with Image.open(tmp_path / "hours.gif") as gif:
        assert gif.n_frames == 4


def test_the_page_contains_every_step_and_is_self_contained(explorer, tmp_path):
    page = explorer.save(tmp_path / "cube.html").read_text(encoding="utf-8")
    steps = json.loads(re.search(r"const steps = (\[.*?\]);\n", page)[1])
    assert [s["caption"] for s in steps] == [f"2020-01-01 {h:02d}:00 UTC" for h in range(4)]
    sizes = {Image.open(io.BytesIO(base64.b64decode(s["picture"]))).size for s in steps}
    assert len(sizes) == 1
    assert len({s["picture"] for s in steps}) == 4
    assert not re.search(r"https?://", page)


def test_a_notebook_shows_the_page(explorer):
    shown = explorer._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown
    assert "4 steps" in repr(explorer)


def test_titles_and_captions_cannot_break_the_page():
    hostile = plot.Explorer("</title><b>", ("</script><script>alert(1)</script>",), (b"",))
    assert "</title><b>" not in hostile.page
    assert "</script><script>alert" not in hostile.page


def test_colours_of_the_page_are_those_of_the_map(ds, cube):
    """A constant field of each value of the scale: its picture has the colour that the map gives it."""
    for value in (0.0, 7.0, 10.0):
        flat = cube.isel(time=[0]).assign(pm25=(cube.pm25.isel(time=[0]) * 0 + value).assign_attrs(cube.pm25.attrs))
        (png,) = plot.explore(ds, flat, vmin=0.0, vmax=10.0, stations=False, dpi=40, lines=[]).pictures
        colours = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3).astype(int)
        expected = 255 * np.array(plt.get_cmap("viridis")(value / 10.0)[:3])
        assert (np.abs(colours - expected).max(axis=1) <= 3).mean() > 0.2


def test_too_many_steps_are_refused_before_they_are_computed(ds, no_compute):
    long = datasets.synthetic(n_stations=5, days=20)
    with pytest.raises(SchemaError, match="480 steps are too many"):
        plot.explore(long, reanalyze(long, "nearest", grid=0.5))


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on PATH")
def test_the_slider_changes_the_map_in_a_browser(explorer, tmp_path):
    """The page itself, and a visitor who moves the slider and notes what changed; errors of scripts are noted too."""
    visit = """<script>
    const before = map.src;
    time.value = 2;
    time.dispatchEvent(new Event("input"));
    map.decode().then(() => {
      document.body.dataset.seen = [before !== map.src, caption.value, map.naturalWidth > 0, window.failed || "fine"].join("|");
    });
    </script></body>"""
    page = explorer.page.replace("<head>", "<head><script>onerror = (text) => { window.failed = text; };</script>")
    (tmp_path / "visited.html").write_text(page.replace("</body>", visit), encoding="utf-8")
    ran = subprocess.run(
        [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", "--virtual-time-budget=4000",
            "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "visited.html").as_uri(),
        ],
        capture_output=True, text=True, timeout=90, check=True,
    )  # fmt: skip
    assert 'data-seen="true|2020-01-01 02:00 UTC|true|fine"' in ran.stdout
    assert ":CONSOLE" not in ran.stderr


def test_hvplot_takes_a_cube_as_it_is(cube):
    pytest.importorskip("hvplot.xarray", reason="hvplot is not installed: pip install hvplot")
    import holoviews as hv

    drawn = cube.pm25.hvplot.quadmesh(x="lon", y="lat", dynamic=False)
    assert [str(d) for d in drawn.kdims] == ["time"]
    assert len(drawn) == cube.sizes["time"]
    assert hv.render(drawn, backend="bokeh") is not None
