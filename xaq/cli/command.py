"""``main``: parse the arguments of a shell, run a verb, and turn what is raised into messages and an exit code.

Exit codes: 0 success, 1 an error in data, model or store (the message says what is wrong and how to fix it), 2 wrong
usage, 130 interrupted, 141 nobody reads its output, 143 terminated.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from .._signals import EXIT_CODE, Terminated, sigterm_raises
from .._version import __version__
from ..errors import XaqError, XaqWarning
from . import check, demo, estimate, export, info, output, plot, reanalyze, remedies, repair, train, verify
from .calls import Command
from .parser import Parser, refuse_rest

#: In the order of a workflow.
VERBS = (
    check.VERB, repair.VERB, train.VERB, verify.VERB, reanalyze.VERB, estimate.VERB, info.VERB, export.VERB, plot.VERB,
    demo.VERB,
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments, rest = _parser().parse_known_args(_with_negative_values(sys.argv[1:] if argv is None else argv))
    refuse_rest(arguments.parser, rest)
    code = 0
    try:
        with warnings.catch_warnings(), sigterm_raises():
            warnings.showwarning = partial(_show_warning, Command.of(arguments))
            output.refuse_inputs(arguments)
            with _log_shown():
                arguments.run(arguments)
            sys.stdout.flush()
    except XaqError as error:
        text = str(error).removeprefix("usage: ").removeprefix("argument: ")
        print(f"xaq: {remedies.in_message(text, Command.of(arguments))}", file=sys.stderr)
        code = output.WRONG_USAGE if output.is_usage(error) else 1
    except (KeyboardInterrupt, Terminated) as stop:
        word, code = ("terminated", EXIT_CODE) if isinstance(stop, Terminated) else ("interrupted", 130)
        print(f"xaq: {word}; finished blocks and checkpoints are kept, the same command resumes", file=sys.stderr)
    except BrokenPipeError:
        code = output.PIPE_CLOSED
    except OSError as error:
        print(f"xaq: the output cannot be written ({error}); fix: write it where there is room", file=sys.stderr)
        code = 1
    return output.ended(code)


def _with_negative_values(argv: Sequence[str]) -> list[str]:
    """Join values such as ``-10,35,30,60`` to their option: argparse takes them for options of their own."""
    words: list[str] = []
    for word in argv:
        if re.match(r"-[\d.]", word) and words and re.fullmatch(r"--[a-z-]+", words[-1]):
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def _show_warning(command: Command, message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, XaqWarning):
        print(f"xaq: note: {remedies.in_message(str(message), command)}", file=sys.stderr)


@contextmanager
def _log_shown() -> Iterator[None]:
    """Print to stderr what the library logs: how large a cube is that it begins to write."""
    log, handler = logging.getLogger("xaq"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("xaq: %(message)s"))
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="xaq", description="Air-quality station networks to gridded reanalysis cubes.")
    parser.add_argument("--version", action="version", version=f"xaq {__version__}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for verb in VERBS:
        own = verbs.add_parser(
            verb.name, help=verb.text, description=f"{verb.text[0].upper()}{verb.text[1:]}.",
            epilog=f"example:\n  {verb.example}",
        )  # fmt: skip
        own.set_defaults(run=verb.run, verb=verb.name, parser=own)
        verb.add(own)
    return parser
