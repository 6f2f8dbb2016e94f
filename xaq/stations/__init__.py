"""Station datasets: their form, hidden stations, time axis and units.

In: any dataset whose roles can be found. Out: a dataset ``(station, time)`` in xaq's form, and observations as arrays.
"""
