"""The configuration: sizes that fit each other, and messages that say how to fix those that do not."""

import pytest

from xaq.nn.config import AQNetConfig


@pytest.mark.parametrize(
    "changes",
    [{"task": "nowcast"}, {"patch": 5}, {"hidden": 30}, {"k": 0}, {"task": "forecast", "days_after": 1}],
    ids=str,
)
def test_sizes_that_do_not_fit_are_refused(changes):
    with pytest.raises(ValueError, match=r", expected "):
        AQNetConfig(**changes)


@pytest.mark.parametrize(
    ("changes", "fix"),
    [
        ({"patch": 5}, {"patch": 24}),
        ({"hidden": 30}, {"hidden": 32}),
        ({"task": "forecast", "days_after": 1}, {"days_after": 0}),
        ({"task": "forecast", "days_before": 0, "days_after": 0}, {"days_before": 1}),
    ],
    ids=str,
)
def test_messages_say_the_fix_and_it_works(changes, fix):
    ((name, value),) = fix.items()
    with pytest.raises(ValueError, match=rf"fix: {name}={value}$"):
        AQNetConfig(**changes)
    AQNetConfig(**{**changes, **fix})


@pytest.mark.parametrize(
    "changes", [{"n_known": 1}, {"n_covariates": 1, "n_known": 1}, {"n_known": -1}, {"dropout": 1.0}], ids=str
)
def test_covariates_known_ahead_are_those_of_a_forecast_and_dropout_is_below_one(changes):
    with pytest.raises(ValueError, match=r"^(n_known|dropout) is .*, expected "):
        AQNetConfig(**changes)


def test_published_configuration_reads_336_hours_and_writes_168():
    config = AQNetConfig.published()
    assert (config.input_steps, config.target_steps, config.patch) == (336, 168, 1)
