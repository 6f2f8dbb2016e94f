"""The trained thing: its recipe and file, its station side and its cell side.

In: observations as arrays, or a model file. Out: a mapper like any other. How it is trained is in ``training``.
"""
