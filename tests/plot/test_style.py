"""Round values of legends, and titles that are wrapped."""

import figures
import matplotlib.pyplot as plt
import pytest

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
