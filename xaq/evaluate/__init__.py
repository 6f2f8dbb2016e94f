"""Is it any good, and why: scores at hidden stations, and what an estimate was made of.

In: a station dataset and a mapper. Out: a table of scores, or an explanation as a dataset.
"""
