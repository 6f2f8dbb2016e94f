"""Several maps side by side: their colours, times and differences."""

import figures
import numpy as np
import pytest
from figures import layer, mesh_of

from xaq import plot
from xaq.errors import SchemaError

network, network_cube, idw_cube, closed = figures.network, figures.network_cube, figures.idw_cube, figures.closed


def test_panels_share_colours_and_show_their_times(network, network_cube):
    axes = plot.panels(network, network_cube, ["2020-01-01", "2020-01-02T08", "2020-01-03"], lines=[])
    assert len({mesh_of(ax).norm for ax in axes}) == 1
    assert [ax.get_title("left") for ax in axes] == [
        "daily mean 2020-01-01 (UTC)", "2020-01-02 08:00 UTC", "daily mean 2020-01-03 (UTC)",
    ]  # fmt: skip
    shown = mesh_of(axes[1]).get_array()
    np.testing.assert_allclose(shown.max(), network_cube.pm25.sel(time="2020-01-02T08:00").max(), rtol=1e-6)
    assert [mesh_of(ax).colorbar.ax.get_ylabel() for ax in axes if mesh_of(ax).colorbar] == ["PM2.5 [µg m⁻³]"]
    with pytest.raises(SchemaError, match="no times"):
        plot.panels(network, network_cube, [])


def test_two_cubes_share_colours_and_their_difference_is_drawn(network, network_cube, idw_cube):
    first, second, difference = plot.compare(network, network_cube, idw_cube, time="2020-01-02", lines=[])
    assert mesh_of(first).norm is mesh_of(second).norm
    day = slice("2020-01-02", "2020-01-02T23")
    expected = (network_cube.pm25.sel(time=day).mean("time") - idw_cube.pm25.sel(time=day).mean("time")).values
    drawn = mesh_of(difference)
    np.testing.assert_allclose(drawn.get_array().ravel(), expected.ravel(), rtol=1e-4, atol=1e-4)
    assert drawn.norm.vmin == -drawn.norm.vmax
    assert drawn.colorbar.ax.get_ylabel() == "difference [µg m⁻³]"
    assert difference.get_title("left") == "kriging \N{MINUS SIGN} idw"


def test_cubes_of_different_cells_or_times_are_not_compared(network, network_cube, idw_cube):
    with pytest.raises(SchemaError, match="different cells"):
        plot.compare(network, network_cube, idw_cube.isel(lon=slice(1, None)))
    with pytest.raises(SchemaError, match="different times"):
        plot.compare(network, network_cube, idw_cube.isel(time=slice(24)))


def test_markers_of_small_maps_are_smaller_in_proportion(network, network_cube):
    alone = layer(plot.map(network, network_cube, lines=[]), "_visible")
    several = layer(plot.panels(network, network_cube, ["2020-01-01", "2020-01-02"], lines=[])[1], "_visible")
    assert 0.2 < several.get_sizes()[0] / alone.get_sizes()[0] < 0.5
    pair = layer(plot.compare(network, network_cube, network_cube, lines=[])[0], "_hidden")
    assert pair.get_sizes()[0] == pytest.approx(1.5 * several.get_sizes()[0])


def test_the_legend_names_every_marker_that_any_panel_shows_at_its_size(network, network_cube):
    silent = network.copy(deep=True)
    silent.pm25.loc[{"time": "2020-01-01"}] = np.nan
    axes = plot.panels(silent, network_cube, ["2020-01-01", "2020-01-02"], lines=[])
    (legend,) = axes[0].figure.legends
    assert [text.get_text() for text in legend.get_texts()][:3] == [
        "visible station",
        "hidden station",
        "no observation",
    ]
    drawn = layer(axes[1], "_visible").get_sizes()[0]
    assert legend.legend_handles[0].get_markersize() == pytest.approx(np.sqrt(drawn))


def test_a_panel_and_a_step_of_a_film_without_a_value_say_so(network, network_cube):
    empty = network_cube.copy(deep=True)
    empty.pm25.loc[{"time": "2020-01-01T05"}] = np.nan
    axes = plot.panels(network, empty, ["2020-01-01T04", "2020-01-01T05"], lines=[], stations=False)
    assert [ax.get_title("left") for ax in axes] == ["2020-01-01 04:00 UTC", "2020-01-01 05:00 UTC, no value"]
    explorer = plot.explore(network, empty, time=("2020-01-01T04", "2020-01-01T05"), lines=[], dpi=30)
    assert explorer.captions == ("2020-01-01 04:00 UTC", "2020-01-01 05:00 UTC, no value")


@pytest.mark.parametrize(
    "draw",
    [
        lambda ds, cube: plot.compare(ds, cube, cube, lines=[]),
        lambda ds, cube: plot.panels(ds, cube, ["2020-01-01", "2020-01-02"], lines=[]),
    ],
)
def test_colour_bars_of_one_row_of_maps_are_as_high_as_the_maps(network, network_cube, draw):
    axes = draw(network, network_cube)
    axes[0].figure.canvas.draw()
    for ax in axes:
        if (bar := mesh_of(ax).colorbar) is not None:
            drawn, beside = bar.outline.get_window_extent(), ax.get_window_extent()
            np.testing.assert_allclose([drawn.y0, drawn.y1], [beside.y0, beside.y1], atol=1.5)
