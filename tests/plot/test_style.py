"""Round values of legends, and titles that are wrapped."""

import figures
import matplotlib.pyplot as plt
import pytest
from matplotlib.patches import Patch

from xaq.plot import style

closed = figures.closed


@pytest.mark.parametrize(
    ("largest", "values"),
    [(10.9, [3, 6, 9]), (3.0, [1, 2, 3]), (0.07, [0.02, 0.04, 0.06]), (700, [200, 400, 600]), (57, [15, 30, 45])],
)
def test_round_values(largest, values):
    assert style.round_values(largest) == values


def test_a_long_title_is_wrapped_at_its_part_of_the_figure_and_a_short_one_is_not():
    figure, axes = plt.subplots(1, 2, figsize=(8, 3))
    text = "PM2.5, mean width of the 90 % intervals of single hours, 24 hours, 2020-01-01 00:00 to 2020-01-01 23:00 UTC"
    style.title(axes[0], text, "kriging")
    style.title(axes[1], "PM2.5, daily mean 2020-01-01", "kriging")
    figure.canvas.draw()
    drawn, other = (ax.get_title("left") for ax in axes)
    assert " ".join(drawn.split("\n")) == f"{text} kriging"
    assert axes[0]._left_title.get_window_extent().x1 < axes[1].get_window_extent().x0
    assert other == "PM2.5, daily mean 2020-01-01\nkriging"


def test_a_title_breaks_behind_a_comma_into_lines_of_about_one_length():
    assert style.wrapped("one two three, four five six", 100.0) == "one two three,\nfour five six"
    assert style.wrapped("unbreakable" * 9, 100.0) == "unbreakable" * 9


def test_a_legend_wider_than_the_figure_gets_rows_and_leaves_the_map_its_height():
    long = "not supported: no station near, unlike all stations or no value of the background"
    heights = []
    for texts in (["visible station"], ["visible station", "hidden station", "no observation", long]):
        figure = plt.figure(figsize=(5.0, 6.0), layout="constrained")
        ax = figure.add_subplot()
        legend = style.legend_below(ax, [style.handle("o", 40.0, text) for text in texts])
        figure.canvas.draw()
        heights.append(ax.get_window_extent().height / figure.bbox.height)
        assert legend.get_window_extent().x1 <= figure.bbox.x1
        assert ax.get_window_extent().width > 0.8 * figure.bbox.width
    assert heights[1] > heights[0] - 0.1
    assert [" ".join(text.get_text().split()) for text in legend.get_texts()][-1] == long


def test_the_patch_of_a_legend_is_wider_than_a_dot():
    figure, ax = plt.subplots()
    style.legend_below(ax, [style.handle("o", 4.0, "station"), Patch(label="not supported")])
    figure.canvas.draw()
    assert ax.get_legend().get_patches()[0].get_window_extent().width > 1.5 * style.SMALL * figure.dpi / 72


def test_the_label_of_a_colour_bar_has_lines_no_longer_than_the_bar():
    ax = plt.figure(figsize=(4.0, 2.4), layout="constrained").add_subplot()
    text = "mean width of the 90 % intervals of PM2.5, monthly means [µg m⁻³]"
    bar = style.colour_bar(ax, ax.pcolormesh([[0.0, 1.0]]), text, "neither")
    ax.figure.canvas.draw()
    assert " ".join(bar.ax.get_ylabel().split()) == text
    assert bar.ax.yaxis.label.get_window_extent().height <= ax.figure.bbox.height


@pytest.mark.parametrize(
    ("value", "text"), [(27.0, "27.0"), (8.614, "8.61"), (0.5, "0.500"), (123.4, "123"), (11, "11.0")]
)
def test_scores_have_three_digits(value, text):
    assert style.three_digits(value) == text
