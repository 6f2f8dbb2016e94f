"""What the documentation shows is what happens."""

import ast
import doctest
import inspect
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
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


def test_the_readme_shows_existing_verbs_and_commands():
    import xaq
    from xaq.accessor import AqAccessor
    from xaq.cli import main
    from xaq.plot.accessor import PlotAccessor

    readme = (ROOT / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len(example.strip().splitlines()) <= 15
    for node in ast.walk(ast.parse(example)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = ast.unparse(node.func.value)
            holder = {"ds.aq": AqAccessor, "ds.aq.plot": PlotAccessor, "xaq": xaq, "model": xaq.Model}[owner]
            assert hasattr(holder, node.func.attr), ast.unparse(node)
    for command in re.findall(r"^xaq (\w+) ", readme, re.MULTILINE):
        with pytest.raises(SystemExit) as stop:
            main([command, "--help"])
        assert stop.value.code == 0
    for target in re.findall(r"`make (\w+)`", readme):
        assert f"\n{target}:" in (ROOT / "Makefile").read_text()


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
