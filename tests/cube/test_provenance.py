"""What cubes and figures say of the method that made them."""

import pytest

from xaq.cube.info import CubeInfo
from xaq.cube.provenance import method_text


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ({"method": "kriging"}, "kriging"),
        ({"method": "AQ-Net", "learned": True, "init_time": "2020-01-01T00:00:00"}, "AQ-Net"),
        ({"method": "AQ-Net", "learned": False, "init_time": None}, "AQ-Net (classical first guess)"),
        ({"method": "AQ-Net", "learned": False, "init_time": "2020-01-01T00:00:00"}, "AQ-Net (base forecast)"),
    ],
)
def test_a_model_that_gained_nothing_says_what_it_is(known, text):
    assert method_text(known) == text


@pytest.mark.parametrize(
    ("hidden", "text"), [(["a", "b"], "(7 hidden)"), ([], "(7 hidden in training, none from this cube)")]
)
def test_scores_of_training_say_where_the_cube_uses_the_stations_that_they_come_from(hidden, text):
    row = {"method": "AQ-Net", "mae": 5.05, "rmse": 8.1, "stations": "7 hidden"}
    known = {"hidden_stations": hidden, "held_out_scores": [row]}
    assert f"AQ-Net: MAE 5.05, RMSE 8.1 {text}" in repr(CubeInfo("c.zarr", "title", 1, 1, {}, ("", ""), known)).split(
        "\n  "
    )
