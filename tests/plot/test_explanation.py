"""The map of an explanation: values, weights, labels and the sum in its title."""

import figures
import matplotlib.pyplot as plt
import numpy as np
import pytest
from figures import bar_label, layer

import xaq
from xaq import plot
from xaq.errors import SchemaError

ds, cube, closed = figures.ds, figures.cube, figures.closed


def test_an_explanation_shows_values_weights_and_the_sum(ds):
    why = figures.explained_by_hand(ds)
    ax = plot.explanation(ds, why, lines=[])
    circles, cross, weights = layer(ax, "_neighbours"), layer(ax, "_place"), layer(ax, "_weights")
    np.testing.assert_allclose(circles.get_offsets(), np.c_[why.lon, why.lat])
    np.testing.assert_array_equal(circles.get_array(), why.value)
    assert circles.norm is cross.norm
    assert (circles.norm.vmin, circles.norm.vmax) == (10.0, 40.0)
    np.testing.assert_array_equal(cross.get_array(), [14.04])
    np.testing.assert_allclose(layer(ax, "_filled").get_offsets(), [[why.lon[2], why.lat[2]]])
    # Heaviest first; width by weight, the negative one dashed.
    widths = np.array(weights.get_linewidths())
    np.testing.assert_allclose(widths[:2] / widths[0], [1.0, 0.4])
    assert [dash is not None for _, dash in weights.get_linestyles()] == [False, False, False, True]
    assert [t.get_text() for t in ax.texts if "%" in t.get_text()] == ["70 %", "28 %"]
    # However its lines are wrapped.
    assert " ".join(ax.get_title("left").split()) == (
        "PM2.5, 2020-01-01 08:00 UTC "
        "estimate 14.0 = kriging 20.0 \N{MINUS SIGN} trend 5.1 + log scale 0.2 \N{MINUS SIGN} learned 1.1 µg m⁻³ "
        "trend: kriging \N{MULTIPLICATION SIGN} elevation 0.90 \N{MULTIPLICATION SIGN} site effect 0.83"
    )
    assert bar_label(ax) == "PM2.5 [µg m⁻³]"
    legend = [t.get_text() for t in ax.get_legend().get_texts()]
    assert {"weight 50 %", "negative weight", "neighbour, value filled", "other visible station"} <= set(legend)
    assert len(layer(ax, "_other").get_offsets()) == 11


def test_labels_of_weights_do_not_overlap(ds):
    why = figures.explained_by_hand(ds)
    crowded = why.assign(lon=why.place_lon + why.lon * 0 + [0.0, 0.3, 0.31, 0.3], lat=why.place_lat + why.lat * 0)
    crowded = crowded.assign(weight=("station", [0.1, 0.3, 0.3, 0.3])).set_coords(["lon", "lat"])
    ax = plot.explanation(ds, crowded, lines=[])
    ax.figure.canvas.draw()
    boxes = [t.get_window_extent() for t in ax.texts]
    assert sum("%" in t.get_text() for t in ax.texts) == 4
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_only_an_explanation_is_drawn(ds, cube):
    with pytest.raises(SchemaError, match=r"ds\.aq\.explain"):
        plot.explanation(ds, cube)
    why = figures.explained_by_hand(ds)
    why["estimate"].attrs["units"] = "1e-9"
    with pytest.raises(SchemaError, match="convert"):
        plot.explanation(ds, why)
    assert not plt.get_fignums()


def test_an_estimate_of_a_day_is_called_a_daily_mean_in_a_title_of_known_characters(recwarn):
    ds = xaq.datasets.load("germany").isel(station=slice(20), time=slice(40))
    model = ds.aq.train("pm10", max_epochs=0, progress=False)
    ax = plot.explanation(ds, ds.aq.explain(model, lon=10.3, lat=50.9, time="2005-01-20"), lines=[])
    ax.figure.canvas.draw()
    assert ax.get_title("left").splitlines()[0] == "PM10, daily mean 2005-01-20"
    assert ax.findobj(lambda artist: artist.get_label() == "_scale")
    assert not [w for w in recwarn if "Glyph" in str(w.message)]
