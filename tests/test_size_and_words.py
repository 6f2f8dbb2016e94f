"""The size of things, and the words they go by: what a reader meets must be small, and named as the field names it."""

import ast
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = sorted((ROOT / "xaq").rglob("*.py"))
TEXTS = [
    *CODE,
    *sorted((ROOT / "tests").rglob("*.py")),
    *sorted((ROOT / "benchmarks").rglob("*.py")),
    *sorted((ROOT / "docs").glob("*.py")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "notebooks").glob("*.ipynb")),
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
]
each_module = pytest.mark.parametrize("path", CODE, ids=lambda p: str(p.relative_to(ROOT)))
each_text = pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))

#: What is not written, and what is: patterns of prose and code. This file is not searched.
WORDS = {
    r"fore(tel|told)": "predict",
    r"\bm[e]nd(s|ed|ing)?\b": "fix, repair",
    r"\bdrift(s|ed|ing)\b|\b(they|neighbours|patterns?|winds?) drift\b": "advection (drift is kriging's external drift alone)",
    r"\bunrest\b": "residual-variance ratio",
    r"\bstamps?\b|\bstamped\b": "timestamp, block record",
    r"\bsurroundings\b": "pooling neighbourhood",
    r"\brelief\b": "raster predictors",
    r"\bcertificates?\b|\bcertify\b": "held-out scores",
    r"\blasting (error|difference)|\blevels? of (a|the|its|their) places?\b": "mean residual, site effect",
    r"\busual (residual|variance)": "climatological residual variance",
    r"\bshares? of\b|\blog_share\b": "weight, fraction, data capture",
    r"\b(the|a|an|any|no|its|their|this|each|even) shares?\b(?! (a|one|the|all|no|their|its|this|what)\b)": "weight, fraction",
    r"\bpeople around\b": "population density",
    r"\bin the mean\b": "on average",
    r"(%|per cent|percent) (less|more) (MAE|RMSE|error)": "MAE 4 % lower",
    r"\bthousand million": "billion",
    r"\bless error\b": "error lower",
}
#: Names of the code that say nothing to a reader of the field.
NAMES = {
    "share",
    "shares",
    "stamp",
    "stamps",
    "relief",
    "unrest",
    "surroundings",
    "certificate",
    "usual",
}


def text_of(path: Path) -> str:
    """Return what people write in a file: of a notebook, the sources of its cells."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    return "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])


@each_text
def test_the_words_are_those_of_the_field(path):
    if path == Path(__file__):
        pytest.skip("the list itself")
    found = [
        f"line {number}: {match[0]!r}, write {instead}"
        for number, line in enumerate(text_of(path).splitlines(), 1)
        for pattern, instead in WORDS.items()
        for match in re.finditer(pattern, line, re.IGNORECASE)
    ]
    assert not found, "\n".join(found)


@each_module
def test_names_are_those_of_the_field(path):
    """Whole words of identifiers: variables, arguments, attributes, functions and classes."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for field in ("id", "arg", "attr", "name"):
            if isinstance(name := getattr(node, field, None), str):
                names.add(name)
    words = {word for name in names for word in re.split(r"_+|(?<=[a-z])(?=[A-Z])", name)}
    assert not {word for word in words if word.lower() in NAMES}


@each_module
def test_a_file_has_at_most_450_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function's body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


@each_module
def test_classes_and_bodies_of_functions_are_small(path):
    tree = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    classes = {n.name: n.end_lineno - n.lineno + 1 for n in tree if isinstance(n, ast.ClassDef)}
    assert not {name: size for name, size in classes.items() if size > 300}
    bodies = {n.name: body_lines(n) for n in tree if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))}
    assert not {name: size for name, size in bodies.items() if size > 60}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("what the others fore" + "tell", True),
        ("fix: ds.aq.repair()", False),
        ("kriging with external drift", False),
        ("neighbours drift past", True),
        ("the share of the log scale", True),
        ("all leads share one", False),
        ("a timestamp", False),
        ("4.6 % less MAE", True),
    ],
)
def test_the_list_would_find_them(text, found):
    assert any(re.search(pattern, text, re.IGNORECASE) for pattern in WORDS) == found


def test_test_files_have_names_of_their_own():
    """Pytest imports test files by their names alone."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(names) == len(set(names)), sorted(name for name in set(names) if names.count(name) > 1)
