"""Quality control of observations: ``check`` reports problems, ``repair`` fixes those that are named.

In: a station dataset. Out: a table of findings, or a station dataset with its changes in ``history``.
"""
