"""How a model is made: folds of hidden stations, the learning loop, calibration, the fit of a base forecast.

In: a station dataset. Out: a model with its held-out scores.
"""
