"""How a model is made: windows, folds of hidden stations, the fit of a base forecast, learning, calibration.

In: a station dataset. Out: a model with its held-out scores.
"""
