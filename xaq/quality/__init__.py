"""What is wrong with observations: ``check`` reports it, ``repair`` fixes what is asked for.

In: a station dataset. Out: a table of findings, or a station dataset with its changes in ``history``.
"""
