"""What a verb of the command line is."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Verb:
    """A verb of the command line.

    Attributes
    ----------
    name, text, example : str
        Its name, what it does, and a command that shows it.
    add : callable
        Declares its arguments on a parser.
    run : callable
        Runs it with the parsed arguments.
    """

    name: str
    text: str
    example: str
    add: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]
