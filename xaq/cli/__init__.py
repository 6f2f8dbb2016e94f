"""The command line: the verbs of ``ds.aq`` from a shell, a module for each. Tables go to stdout, messages to stderr.

In: the arguments of a shell. Out: an exit code. Each verb's module declares its arguments in ``add``, and ``run`` runs it.
"""

from .command import main

__all__ = ["main"]
