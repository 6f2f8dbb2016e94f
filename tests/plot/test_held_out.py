"""The map of errors: their values, sizes and legend, and the models that it refuses."""

import json

import figures
import numpy as np
import pytest
from figures import bar_label, layer

import xaq
from xaq import plot
from xaq.cube.reanalyze import estimate
from xaq.errors import GridError, ModelError, SchemaError

ds, cube, forecast, closed = figures.ds, figures.cube, figures.forecast, figures.closed


def test_bubble_areas_are_proportional_to_rmse(ds):
    ax = plot.errors(ds, "kriging", lines=[])
    bubbles = layer(ax, "_hidden")
    hidden = ds.isel(station=np.flatnonzero(ds.hidden.values))
    guess = estimate(ds, "kriging", lon=hidden.lon, lat=hidden.lat).pm25.transpose("station", "time").values
    miss = guess - hidden.pm25.values
    rmse = np.sqrt(np.nanmean(miss**2, axis=1))
    offset = np.asarray(bubbles.get_offsets())
    which = [int(np.hypot(*(offset - place).T).argmin()) for place in np.c_[hidden.lon.values, hidden.lat.values]]
    sizes = bubbles.get_sizes()[which]
    np.testing.assert_allclose(sizes / rmse, sizes[0] / rmse[0], rtol=1e-5)
    np.testing.assert_allclose(np.sort(bubbles.get_array()), np.sort(rmse), rtol=1e-5)
    assert f"RMSE {np.sqrt(np.nanmean(miss**2)):#.3g}, MAE {np.nanmean(np.abs(miss)):#.3g} µg m⁻³" in ax.get_title(
        "left"
    )
    assert bar_label(ax) == "RMSE of PM2.5 [µg m⁻³]"
    assert len(layer(ax, "_visible").get_offsets()) == 15


def test_size_legend_is_drawn_to_the_scale_of_the_bubbles(ds):
    ax = plot.errors(ds, "idw", lines=[])
    bubbles = layer(ax, "_hidden")
    scale = bubbles.get_sizes()[0] / bubbles.get_array()[0]
    legend = ax.get_legend()
    texts = [t.get_text() for t in legend.get_texts()]
    shown = [pair for pair in zip(texts, legend.legend_handles, strict=True) if "µg" in pair[0]]
    assert len(shown) == 3
    for text, handle in shown:
        assert handle.get_markersize() ** 2 == pytest.approx(scale * float(text.split()[0]))


def test_errors_need_hidden_stations_that_an_analysis_model_has_not_seen(ds, forecast):
    with pytest.raises(SchemaError, match=r"ds\.aq\.hide\(fraction=0\.15\)"):
        plot.errors(ds.drop_vars("hidden"), "kriging")
    with pytest.raises(ModelError, match="verify"):
        plot.errors(ds, forecast[1])
    model = xaq.train(ds.drop_vars("hidden"), max_epochs=0, progress=False)
    with pytest.raises(ModelError, match=r"trained on \d of the stations"):
        plot.errors(ds, model)


def test_errors_of_a_cube_are_those_of_the_cells_that_contain_the_stations(ds, cube):
    ax = plot.errors(ds, cube, time="2020-01-02", lines=[])
    hidden = ds.isel(station=np.flatnonzero(ds.hidden))
    cells = cube.pm25.sel(lon=hidden.lon, lat=hidden.lat, method="nearest").sel(time="2020-01-02")
    rmse = np.sqrt(((cells - hidden.pm25) ** 2).mean("time"))
    np.testing.assert_allclose(layer(ax, "_hidden").get_array(), np.sort(rmse)[::-1], rtol=1e-5)
    assert "hidden stations, kriging: RMSE" in ax.get_title("left")
    seen = cube.assign_attrs(xaq_provenance=json.dumps({"hidden_stations": []}))
    with pytest.raises(ModelError, match=r"made from \d of the stations that are hidden now"):
        plot.errors(ds, seen)
    selection = ds.isel(station=np.flatnonzero(~ds.hidden)).aq.reanalyze("kriging", grid=cube)
    assert plot.errors(ds, selection, time="2020-01-02", lines=[]).get_title("left") == ax.get_title("left")
    with pytest.raises(GridError, match="outside the cube"):
        plot.errors(ds, cube.isel(lon=slice(0, 2), lat=slice(0, 1)))
