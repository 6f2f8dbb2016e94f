"""Fixes as commands: messages of the library propose calls of Python, those of the command line options and commands.

A fix is words with fragments of Python in them: arguments such as ``tz='UTC'``, and calls such as
``ds.aq.repair(stuck='missing')``. Both become options and commands. An alternative that has no command is left out where
another remains; else the fix says that it is Python.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterator, Mapping

from ..errors import SchemaError
from .calls import Command, command_of_call, rendered

#: Fixes that are neither an argument nor a call of a verb.
_PHRASES = (
    (r"call reanalyze\(\.\.\., store=\.\.\.\) again", "run the command that wrote the cube again"),
    (r"\breanalyze\(\.\.\., store=\.\.\., overwrite=True\)", "run the xaq reanalyze that wrote the cube again with --overwrite"),
    (r"call again to resume", "run the same command again to resume"),
    (r"add to the same call", "add to the same command"),
    (r" in this call", " in this command"),
    (r"xaq\.load_model\(path\) for a model file", "a model file"),
    (r"xaq\.load_model\('([^']*)'\)|pass the path given to model\.save", "the file that xaq train -o wrote"),
    (r"model\.save\(('[^']*')\)", r"-o \1"),
    (r"os\.makedirs\(('[^']*')\)", r"mkdir -p \1"),
    (r"os\.remove\(('[^']*')\)", r"rm \1"),
    (r"open_stations\(\.\.\.\) without step=, then ds\.resample\(.*?\)\.mean\(.*?\)", "pass tables, or no step="),
    (r"ds\.resample\(time=('[^']*')\)\.mean\((?:keep_attrs=True)?\)", r"step=\1"),
    (r"(?:pass|ds\.aq\.hide\()(?: |\b)model\.recipe\.hidden\)", "the stations that were hidden then"),
    (r"open_stations\(\['a\.csv', 'b\.csv'\], \.\.\.\)", "a.csv b.csv"),
    (r"lon=lat, lat=lon, they look swapped", "point_columns={'lon': 'lat', 'lat': 'lon'}, they look swapped"),
    (r"grid=0\.1 for a grid around the stations", "grid=0.1 without --bounds for a grid around the stations"),
    (r"found\['[^']*'\]\.where\(found\['supported'\]\), of found = ds\.aq\.estimate\(\.\.\.\)", "the rows of the table in which supported is True"),
    (r"keep = .*", "leave these points out of the file"),
    (r"lon=\[[^]]*\], lat=\[[^]]*\]", "a file with lon and lat of the points in degrees"),
)  # fmt: skip
#: An alternative ends here, outside quotes and brackets.
_BETWEEN = re.compile(r", or | or ")
#: The beginning of a call, perhaps assigned; and of an argument.
_CALL = re.compile(r"(?:\b\w+ = )?(?<![\w.])(?:(?:ds\.aq|xaq)\.(?:plot\.)?|plot\.)?([a-zA-Z_]+(?:\.regular)?)\(")
_ARGUMENT = re.compile(r"\b([a-z_]+)=(?!=)")
#: What shows that Python is left in a text.
_PYTHON = re.compile(r"\w[\[(](?!s\))|\w = |\b[a-z_]+=|\.\w+\(|\bds\.")
#: Commands of a shell, and options, which may look like Python.
_SHELL = re.compile(r"^(--?[a-z]|xaq )|\b(pip install|chmod|mkdir|rm) ")
#: A command within a fix, as it is marked there.
_COMMAND = re.compile("\1")
_PLAIN_TEXT = re.compile(r"'([^']*)'")
#: Where a fix ends with how a frame is read and passed on in Python.
_PASSED = ((r"then open_stations\(table, \.\.\.\)", "then table.to_csv('corrected.csv', index=False), and pass that file"),
           (r"then open_stations\(\.\.\., stations=places\)",
            "then places.to_csv('corrected.csv', index=False), and pass that file as --stations"))  # fmt: skip


def with_names(error: SchemaError, names: Mapping[str, str]) -> SchemaError:
    """Return an error whose fixes name arguments by the options that stand for them in a command, where these differ."""
    pattern = re.compile(rf"\b({'|'.join(names)})=")
    return SchemaError(
        [pattern.sub(lambda found: f"{names[found[1]]}=", problem) for problem in error.problems],
        subject=str(error).partition(": ")[0],
    )


def in_message(message: str, command: Command) -> str:
    """Return a message whose fixes are commands."""
    return "\n".join(_in_line(line, command) for line in message.split("\n"))


def _in_line(line: str, command: Command) -> str:
    head, *fixes = re.split(r"(?<=fix: )", line)
    if not fixes:
        return line
    zone = command.values.get("period_tz")
    # Of two time zones, that of the periods is meant where the message shows it.
    of_periods = zone is not None and repr(zone) in head
    texts = [re.sub(r"\btz=", "period_tz=", text) if of_periods else text for text in fixes]
    done = "".join(as_command(text.removesuffix("fix: "), command) + "fix: " * text.endswith("fix: ") for text in texts)
    return head + done.replace("\n", "\n  ")


def as_command(fix: str, command: Command) -> str:
    """Return a fix whose calls and arguments are commands and options."""
    if _SHELL.search(fix):
        return fix
    text = fix
    for pattern, words in _PHRASES:
        text = re.sub(pattern, words, text)
    kept: list[str] = []
    python_before = False
    for separator, piece in _alternatives(text):
        done = _translated(piece, command)
        python_before |= done is None
        # Words behind Python belong to it.
        if done is not None and not (python_before and done == piece):
            kept.append((separator if kept else "") + done)
    if kept:
        # Options of one command have no commas between them.
        return _on_lines(re.sub(r"(--[a-z-]+ (?:'[^']*'|[^\s']+)), (?=--)", r"\1 ", "".join(kept)))
    for pattern, words in _PASSED:
        fix = re.sub(pattern, words, fix)
    return f"in Python: {fix}"


def _on_lines(fix: str) -> str:
    """Return a fix with each command on a line of its own, to be pasted as it is; without commands, the fix."""
    parts = [part.strip(" ,;") for part in _COMMAND.split(fix)]
    return "\n".join(part for part in parts if part)


def _alternatives(text: str) -> Iterator[tuple[str, str]]:
    """Yield the alternatives of a fix, each with what separates it from the one before."""
    separator, start, position = "", 0, 0
    while position < len(text):
        found = _BETWEEN.match(text, position)
        if found:
            yield separator, text[start:position]
            separator, start = found[0], found.end()
        position = found.end() if found else _after(text, position)
    yield separator, text[start:]


def _after(text: str, position: int) -> int:
    """Return the position behind a quoted text, a bracket with all that is in it, or one character."""
    if text[position] in "([{":
        inside, closing = position + 1, {"(": ")", "[": "]", "{": "}"}[text[position]]
        while inside < len(text) and text[inside] != closing:
            inside = _after(text, inside)
        return min(inside + 1, len(text))
    # An apostrophe within a word quotes nothing.
    if text[position] in "'\"" and (position == 0 or not text[position - 1].isalnum()):
        end = text.find(text[position], position + 1)
        return end + 1 if end > 0 else position + 1
    return position + 1


def _translated(piece: str, command: Command) -> str | None:
    """Return an alternative with options and commands in place of Python; None where Python is left."""
    if plain := _PLAIN_TEXT.fullmatch(piece.strip()):
        return shlex.quote(plain[1])
    done: list[str] = []

    def replaced(
        text: str, start: re.Pattern[str], read: Callable[[re.Match[str], str], tuple[str, int] | None]
    ) -> str:
        position, parts = 0, []
        for found in start.finditer(text):
            if found.start() < position:
                continue
            result = read(found, text)
            if result is not None:
                # What is translated is not looked at again.
                done.append(result[0])
                parts += [text[position : found.start()], f"\0{len(done) - 1}\0"]
                position = result[1]
        return "".join([*parts, text[position:]])

    text = replaced(piece, _CALL, lambda found, text: _of_call(found, text, command))
    text = replaced(text, _ARGUMENT, lambda found, text: _of_argument(found, text, command))
    if _PYTHON.search(text):
        return None
    # Marked, so that words behind a command are told from it.
    whole = [f"\1{d}\1" if d.startswith("xaq ") else d for d in done]
    return re.sub("\0(\\d+)\0", lambda found: whole[int(found[1])], text)


def _of_call(found: re.Match[str], text: str, command: Command) -> tuple[str, int] | None:
    """Return the command of a call, and where the call ends."""
    end = _after(text, found.end() - 1)
    call = _parsed(f"{found[1]}{text[found.end() - 1 : end]}")
    if not isinstance(call, ast.Call):
        return None
    done = command_of_call(call, command)
    return None if done is None else (done, end)


def _of_argument(found: re.Match[str], text: str, command: Command) -> tuple[str, int] | None:
    """Return the option of an argument with its value, and where the value ends."""
    option = command.option(found[1])
    if option is None:
        return None
    start = found.end()
    if text[start : start + 6] == "slice(":
        end = _after(text, start + 5)
    elif text[start : start + 1] and text[start] in "'\"[{(":
        end = _after(text, start)
    else:
        word = re.compile(r"[-+]?\w+(?:\.\d+)?(?:e[-+]?\d+)?").match(text, start)
        if word is None:
            return option, start
        end = word.end()
    value = _parsed(text[start:end].replace(", ...", ""))
    words = None if value is None else rendered(option, found[1], value)
    return None if words is None else (words, end)


def _parsed(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
