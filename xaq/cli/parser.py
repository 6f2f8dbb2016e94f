"""The parser of the command line: short messages of wrong usage, and help that begins with what a command needs."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

from .output import WRONG_USAGE

#: Help in one line per option, where a terminal is wide enough; examples as they are written.
FORMATTER: Any = partial(argparse.RawDescriptionHelpFormatter, max_help_position=32)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and whose usage names only what must be given."""

    def __init__(self, **asked: Any) -> None:
        super().__init__(**{"formatter_class": FORMATTER, "allow_abbrev": False, **asked})

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and where the help is, and exit with the code of wrong usage."""
        self.exit(WRONG_USAGE, f"{self.prog}: {message}; help: {self.prog} --help\n")

    def format_help(self) -> str:
        """Return the help, with the arguments that a command needs in place of a list of all options."""
        if self.usage is None:
            placed = [a for a in self._actions if not a.option_strings]
            words = [_placed(a) for a in placed]
            needed = [a for a in self._actions if a.required and a.option_strings]
            words += [f"{a.option_strings[0]} {a.metavar or a.dest.upper()}" for a in needed]
            self.usage = " ".join(["%(prog)s", *words, "[options]"])
        return super().format_help()


def _placed(action: argparse.Action) -> str:
    """Return an argument without an option as usage shows it."""
    name = f"{action.metavar or action.dest.upper()}" + " ..." * isinstance(action.nargs, str)
    return f"[{name}]" if action.nargs == "*" else name


def refuse_rest(parser: argparse.ArgumentParser, rest: Sequence[str]) -> None:
    """Exit with the code of wrong usage where arguments are left that the command does not know."""
    if not rest:
        return
    word = rest[0].partition("=")[0]
    if word.startswith("-"):
        known = [text for a in parser._actions for text in a.option_strings]
        # A part of an option is not taken for it, but meant.
        similar = [text for text in known if text.startswith(word)] or difflib.get_close_matches(
            word, known, n=1, cutoff=0.7
        )
        parser.error(f"{word} is no option" + (f", perhaps {similar[0]}" if similar else ""))
    parser.error(f"{word!r} is one argument too many, or stands behind an option: files go one after the other")
