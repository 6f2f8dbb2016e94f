"""Notebooks as they are committed: whole, small, and readable on any machine. ``make docs`` runs them."""

import ast
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: pip install nbformat")

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
#: A path of somebody's machine, in text or in a traceback.
A_PATH = re.compile(r"(?<![\w.:/])/(home|root|tmp|work|Users|usr|opt|var|private)/|[A-Z]:\\\\")
#: What Jupyter writes where something warned, failed or drew a bar.
NOISE = re.compile(r"Warning\b|Traceback|\d+%\|")


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return nbformat.read(path, as_version=4)


def outputs_of(notebook):
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def test_there_are_six_and_each_is_listed():
    assert len(NOTEBOOKS) == 6
    index, readme = ((ROOT / p).read_text(encoding="utf-8") for p in ("docs/index.md", "notebooks/README.md"))
    assert all(f"tutorials/{path.stem}" in index and path.name in readme for path in NOTEBOOKS)


def test_it_is_a_valid_notebook_for_any_python_kernel(notebook):
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.language_info == {"name": "python"}


def test_prose_comes_before_code(notebook):
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert len(first.source) > 200
    code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    assert all(b - a > 1 for a, b in pairwise(code)), "two cells of code without a word between them"


def test_code_runs_from_the_top_and_hides_nothing(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        ast.parse(cell.source)
        assert "filterwarnings" not in cell.source
        assert not cell.metadata.get("tags")


def test_outputs_are_whole_quiet_and_small(notebook, path):
    assert path.stat().st_size < 1_000_000
    outputs = outputs_of(notebook)
    assert any("image/png" in output.get("data", {}) for output in outputs)
    for output in outputs:
        assert output.output_type != "error"
        assert output.get("name") != "stderr", output.text
        text = json.dumps({k: v for k, v in output.get("data", {}).items() if k != "image/png"}) + output.get(
            "text", ""
        )
        assert not NOISE.search(text), NOISE.search(text)
        assert len(json.dumps(output)) < 1_000_000


def test_no_path_of_a_machine(notebook):
    for cell in notebook.cells:
        assert not A_PATH.search(cell.source)
    for output in outputs_of(notebook):
        data = {k: v for k, v in output.get("data", {}).items() if k != "image/png"}
        assert not A_PATH.search(json.dumps(data) + output.get("text", ""))


def test_links_to_pages_and_notebooks_lead_somewhere(notebook, path):
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    targets = [t for t in re.findall(r"\]\(([^)]+)\)", prose) if "://" not in t]
    assert targets
    assert all((path.parent / target.partition("#")[0]).exists() for target in targets)
