"""The border: what a station dataset is, which stations are hidden, its time axis and its units.

In: any dataset whose roles can be found. Out: a dataset ``(station, time)`` in xaq's form, and observations as arrays.
"""
