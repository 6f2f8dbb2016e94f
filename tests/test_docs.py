"""What the documentation shows is what happens."""

import ast
import doctest
import inspect
import re
import runpy
from functools import lru_cache
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import test_walls
from PIL import Image
from public import PUBLIC, VERBS

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", sorted(PUBLIC.keys() - VERBS.keys()))
def test_examples_in_docstrings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for example in doctest.DocTestFinder(recurse=False).find(PUBLIC[name], name, module=False):
        assert doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(example).failed == 0
    plt.close("all")


def test_the_reference_has_every_public_name():
    listed = re.findall(r"^   ([A-Za-z_.]+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    # Members of a class are on its page.
    owed = [n.removeprefix("xaq.") for n in PUBLIC if not inspect.isclass(PUBLIC.get(n.rpartition(".")[0]))]
    assert sorted(listed) == sorted(owed)


def test_the_gallery_shows_existing_calls_beside_their_pictures():
    import xaq
    from xaq.plot.accessor import PlotAccessor

    page = (ROOT / "docs" / "gallery.md").read_text()
    drawn = set()
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith(".plot"):
                holder = xaq.plot if ast.unparse(node.value) == "xaq.plot" else PlotAccessor
                assert hasattr(holder, node.attr), ast.unparse(node)
                drawn.add(node.attr)
    assert {"map", "stations", "hours", "attention", "errors", "table"} <= drawn
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", page)
    assert len(pictures) >= 6
    assert all((ROOT / "docs" / p).stat().st_size < 200_000 for p in pictures)


README = (ROOT / "README.md").read_text(encoding="utf-8")
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_readme_shows_existing_verbs_and_commands():
    import xaq
    from xaq.accessor import AqAccessor
    from xaq.cli import main
    from xaq.plot.accessor import PlotAccessor

    assert len(EXAMPLE.strip().splitlines()) <= 15
    holders = {"ds.aq": AqAccessor, "ds.aq.plot": PlotAccessor, "xaq": xaq, "model": xaq.Model}
    for node in ast.walk(ast.parse(EXAMPLE)):
        holder = holders.get(ast.unparse(node.value)) if isinstance(node, ast.Attribute) else None
        assert holder is None or hasattr(holder, node.attr), ast.unparse(node)
    for command in re.findall(r"^xaq (\w+) ", README, re.MULTILINE):
        with pytest.raises(SystemExit) as stop:
            main([command, "--help"])
        assert stop.value.code == 0
    for target in re.findall(r"`make ([\w-]+)`", README):
        assert f"\n{target}:" in (ROOT / "Makefile").read_text()


def test_the_report_of_the_readme_is_the_one_of_check():
    import xaq

    shown, _ = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
    assert str(xaq.datasets.load("germany").aq.check()).strip() == shown.strip()


@pytest.mark.slow
def test_the_scores_of_the_readme_are_those_that_its_example_prints(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(EXAMPLE, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert (tmp_path / "map.png").stat().st_size > 10_000
    _, shown = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
    columns, *rows = (line.split() for line in printed[printed.index("mae") :].splitlines())
    expected, *lines = (line.split() for line in shown.strip().splitlines())
    assert columns == expected
    for row, line in zip(rows, lines, strict=True):
        assert row[0] == line[0]
        # Other processors and versions round differently.
        np.testing.assert_allclose(np.array(row[1:], float), np.array(line[1:], float), atol=0.06)


def table_of(text: str, first: str) -> tuple[list[str], dict[str, list[str]]]:
    """Return the header of the table whose header begins with a cell, and its rows by their first cell, without bold."""
    lines = text.replace("**", "")[text.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in lines)
    return header, {name: cells for name, *cells in rows}


def test_the_accuracy_of_the_readme_is_that_of_its_page():
    (_, *columns), full = table_of((ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8"), "network")
    _, short = table_of(README, "network")
    aqnet, coverage = columns.index("AQ-Net"), columns.index("coverage")
    assert [name.split(",")[0] for name in short] == [name.split(",")[0] for name in full]
    for (best, model, covered), row in zip(short.values(), full.values(), strict=True):
        assert (model, covered) == (row[aqnet], row[coverage])
        assert best.split(",")[0] == max(row[:aqnet], key=lambda scores: float(scores.split(" / ")[0]))


PAGES = sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_on_a_page_is_python_and_calls_what_exists(page):
    import xaq
    from xaq.accessor import AqAccessor
    from xaq.plot.accessor import PlotAccessor

    holders = {"ds.aq": AqAccessor, "ds.aq.plot": PlotAccessor, "xaq": xaq, "xaq.plot": xaq.plot}
    for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for node in ast.walk(ast.parse(code)):
            holder = holders.get(ast.unparse(node.value)) if isinstance(node, ast.Attribute) else None
            assert holder is None or hasattr(holder, node.attr), ast.unparse(node)


def test_every_page_is_in_the_index_and_every_link_leads_somewhere():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = {
        line.strip() for toc in re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL) for line in toc.splitlines()
    }
    assert {page.stem for page in PAGES} - {"index"} <= listed
    for page in [*PAGES, ROOT / "README.md"]:
        links = re.findall(r"\]\(([^)#:]+?)(?:#[\w-]+)?\)", page.read_text(encoding="utf-8"))
        # Notebooks are copied into docs/ when it is built.
        paths = [page.parent / re.sub(r"^tutorials/", "../notebooks/", link) for link in links]
        assert not [path for path in paths if not path.exists()], page.name


def test_the_picture_and_the_list_of_folders_are_those_of_the_imports():
    draw_architecture = runpy.run_path(str(ROOT / "docs" / "draw_architecture.py"))
    imports, _ = draw_architecture["read_imports"]()
    expected = draw_architecture["as_text"](imports)
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    fix = "fix: python docs/draw_architecture.py"
    assert draw_architecture["BLOCK"].findall(page) == [expected], fix
    assert Image.open(draw_architecture["PICTURE"]).info["Description"] == expected, fix


def test_the_table_of_folders_says_what_each_may_import():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)/` \|.*\| ([^|]+) \|$", page, re.MULTILINE)
    assert {folder: set(re.findall(r"\w+", last)) - {"nothing"} for folder, last in rows} == test_walls.MAY_IMPORT


@lru_cache
def names_in(module: Path) -> set[str]:
    """Return every name that a module defines or uses."""
    tree = ast.walk(ast.parse(module.read_text(encoding="utf-8")))
    return {str(getattr(n, field)) for n in tree for field in ("name", "id", "attr", "arg") if hasattr(n, field)}


def missing_names(dotted: str) -> list[str]:
    """Return what of ``folder.module.name`` is not there; nothing where the first part is no folder of xaq."""
    parts = dotted.removeprefix("xaq.").split(".")
    package = ROOT / "xaq"
    if not (package / parts[0] / "__init__.py").exists() or len(parts) < 2:
        return []
    module = package / parts[0] / f"{parts[1]}.py"
    return [p for p in parts[2:] if p not in names_in(module)] if module.exists() else [dotted]


@pytest.mark.parametrize("page", ["architecture", "method"])
def test_modules_and_names_of_the_code_that_a_page_mentions_exist(page):
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    mentioned = re.findall(r"`([a-z_]+(?:\.\w+)+)(?:\(\))?`", text)
    # In the table of symbols the module comes first, then its names.
    for module, names in re.findall(r"`([a-z_]+\.\w+)`: ((?:`[\w.]+`(?:, )?)+)", text):
        mentioned += [f"{module}.{name}" for name in re.findall(r"`([\w.]+)`", names)]
    assert not {dotted: gone for dotted in mentioned if (gone := missing_names(dotted))}


#: What TeX writes with letters that are no symbols of the method.
NO_SYMBOLS = re.compile(
    r"\\(?:log|exp|cos|sin|tanh|max|sum|sqrt|t?frac|big|Big|q?quad|dots|cdot|top|mp|le|ge|propto|hat|bar|tilde|overline|textstyle)(?![a-z])"
    r"|\\math(?:bf 1|bb I|rm\{CRPS\})|\\text\{(?!bg)[^}]*\}|\\[,;!]"
)


def symbols_of(formula: str) -> set[str]:
    """Return the letters of a formula, Greek ones by name, without subscripts."""
    bare = NO_SYMBOLS.sub(" ", formula).replace(r"\text{bg}", r"\bg ")
    bare = re.sub(r"_(\{(?:[^{}]|\{[^{}]*\})*\}|\\[a-z]+|.)", " ", bare)
    return set(re.findall(r"\\[A-Za-z]+|[A-Za-z]", bare))


def test_a_letter_of_the_method_means_one_thing_and_is_in_the_table():
    page = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    rows = [row.split(" | ") for row in re.findall(r"^\| (\$.*) \|$", page, re.MULTILINE)]
    assert all(len(row) == 4 for row in rows)
    first = [symbol.split(" = ")[0] for row in rows for symbol in re.findall(r"\$([^$]+)\$", row[0])]
    assert len(first) == len(set(first))
    known = set().union(*map(symbols_of, first))
    # Stations, settlements, leads and slownesses are subscripts; a step is an argument.
    indices = {"i", "j", "h", "c", "t", r"\ell", r"\delta"}
    for formula in re.findall(r"\$\$(.+?)\$\$|\$([^$]+)\$", page, re.DOTALL):
        assert symbols_of("".join(formula)) <= known | indices, formula
