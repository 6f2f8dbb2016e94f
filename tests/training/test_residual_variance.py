"""The residual variance of stations, made a part of the record at a time."""

import numpy as np

from xaq.aqnet.station_side import unexplained
from xaq.interpolate.leave_one_out import LeaveOneOut
from xaq.stations import schema
from xaq.training import fit_classical


def test_the_parts_of_a_long_record_give_the_variance_of_the_whole(small_ds, small_model, monkeypatch):
    seen, recipe = schema.observations(schema.conform(small_ds), "pm25"), small_model.recipe
    monkeypatch.setattr(fit_classical, "_STATION_STEPS", 14 * 50)
    made = np.array(fit_classical.fit_residual_variance(seen, recipe))
    others = LeaveOneOut.of(seen.lon, seen.lat, recipe.covariance, recipe.config.k)
    residual = unexplained(recipe, seen.values, others).residual
    np.testing.assert_array_equal(made[:, :2], np.column_stack([seen.lon, seen.lat]))
    np.testing.assert_allclose(made[:, 2], np.nanmean(residual.astype(float) ** 2, axis=1), rtol=1e-5)
