"""Who may import whom: the walls of DESIGN.md, read from the source of every module."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "xaq"
FLOORS = ("arrays", "labels", "nn", "bridges", "faces")
ARRAYS = {"sphere", "windows", "features", "kriging", "spacetime", "mappers", "forecasters", "vocabulary", "errors"}
ARRAYS |= {"defects", "land", "tables", "drift", "log_share", "surroundings", "geography"}
LABELS = {"stations", "readers", "datasets", "grid", "store", "verify", "reanalysis", "plan", "covariates", "explain"}
LABELS |= {"progress", "background", "units", "stamps", "evidence", "compare", "audit", "repair"}
FACES = {"accessor", "docstrings", "plot", "plot_accessor", "cli", "__init__", "__main__"}

HEAVY = {"torch", "lightning", "pytorch_lightning", "safetensors"}
PLOTTING = {"matplotlib", "cartopy"}
LABELLED = {"xarray", "dask", "zarr", "pandas", "rioxarray", "xskillscore", "cf_xarray"}
FORBIDDEN = {
    "arrays": HEAVY | PLOTTING | LABELLED - {"pandas"},
    "labels": HEAVY | PLOTTING,
    "nn": LABELLED | PLOTTING | {"lightning", "pytorch_lightning"},
    "bridges": PLOTTING,
    "faces": set(),
}


def floor_of(module: str) -> str:
    """Return the floor of a module named from inside the package: ``stations``, ``nn.aqnet``, ``__init__``."""
    head = module.split(".")[0]
    if head == "nn":
        return "nn"
    return next(
        (n for n, heads in (("arrays", ARRAYS), ("labels", LABELS), ("faces", FACES)) if head in heads), "bridges"
    )


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports_of(path: Path, *, lazy: bool = True) -> tuple[set[str], set[str]]:
    """Return (outside packages, xaq modules) that a file imports; ``lazy`` adds those inside functions."""
    package = ["xaq", *path.relative_to(ROOT).parts[:-1]]
    outside, inside = set(), set()

    def note(dotted: str) -> None:
        head, _, rest = dotted.partition(".")
        if head != "xaq":
            outside.add(head)
        elif not rest or not ((ROOT / rest.split(".")[0]).is_dir() or (ROOT / f"{rest.split('.')[0]}.py").exists()):
            inside.add("__init__")
        else:
            inside.add(rest)

    def walk(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not lazy:
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.Import):
                for alias in child.names:
                    note(alias.name)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                base = [*base, *(child.module.split(".") if child.module else [])]
                # "from . import kriging" names a module, "from .kriging import Covariance" a thing inside one.
                for alias in child.names if base == ["xaq"] else [None]:
                    note(".".join([*base, *([alias.name] if alias else [])]))
            walk(child)

    walk(ast.parse(path.read_text(encoding="utf-8")))
    return outside, inside


FILES = sorted(ROOT.rglob("*.py"))
each_file = pytest.mark.parametrize("path", FILES, ids=name_of)


@each_file
def test_no_floor_imports_what_it_must_not(path):
    outside, _ = imports_of(path)
    assert not outside & FORBIDDEN[floor_of(name_of(path))]


@each_file
def test_no_floor_imports_a_higher_one(path):
    name = name_of(path)
    floor = floor_of(name)
    _, inside = imports_of(path)
    if floor == "nn":
        assert all(floor_of(other) == "nn" for other in inside), f"{name} imports {inside}"
    elif floor in ("arrays", "labels"):
        assert all(floor_of(other) in FLOORS[: FLOORS.index(floor) + 1] for other in inside), f"{name} imports {inside}"
    else:
        above = FLOORS[FLOORS.index(floor) + 1 :]
        assert not [other for other in inside if floor_of(other) in above], f"{name} imports {inside}"


@each_file
def test_only_plot_imports_plotting_at_the_top(path):
    outside, _ = imports_of(path, lazy=False)
    if not name_of(path).startswith("plot"):
        assert not outside & PLOTTING


@each_file
def test_the_library_never_prints(path):
    if name_of(path) == "cli":
        pytest.skip("the one place that prints")
    calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
    assert not [c.lineno for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]


def test_importing_xaq_loads_nothing_heavy():
    code = "import sys, xaq; print(sorted({'torch', 'lightning', 'matplotlib', 'cartopy'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert loaded.stdout.strip() == "[]"


def test_the_walls_would_be_seen_to_break(tmp_path, monkeypatch):
    """The reader of imports sees relative, absolute and lazy ones."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    for module in ("kriging.py", "model.py"):
        (tmp_path / module).write_text("")
    (tmp_path / "readers").mkdir()
    file = tmp_path / "readers" / "x.py"
    file.write_text(
        "import numpy as np\nfrom .. import kriging\ndef f():\n    import torch.nn\n    from xaq.model import Model\n"
    )
    assert imports_of(file) == ({"numpy", "torch"}, {"kriging", "model"})
    assert imports_of(file, lazy=False) == ({"numpy"}, {"kriging"})
    file.write_text("import xaq\nfrom xaq import Grid\nfrom .table import f\nfrom ..kriging import g\n")
    assert imports_of(file)[1] == {"__init__", "readers.table", "kriging"}
