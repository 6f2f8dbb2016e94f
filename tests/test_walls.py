"""Which folder may import which, and what no folder may: read from the source of every module."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "xaq"
#: What each folder may import beside itself and the modules at the root that import no folder.
MAY_IMPORT = {
    "arrays": set(),
    "nn": {"arrays"},
    "interpolate": {"arrays"},
    "stations": {"arrays", "interpolate"},
    "quality": {"arrays", "stations"},
    "readers": {"arrays", "stations"},
    "fields": {"arrays", "interpolate", "stations"},
    "simulation": {"arrays", "interpolate"},
    "cube": {"arrays", "interpolate", "stations", "fields", "simulation"},
    "export": {"arrays", "cube"},
    "evaluate": {"arrays", "interpolate", "stations", "fields", "cube"},
    "aqnet": {"arrays", "nn", "interpolate"},
    "training": {"arrays", "nn", "interpolate", "stations", "fields", "evaluate", "aqnet"},
    "plot": {"arrays", "interpolate", "stations", "cube", "evaluate"},
}
MAY_IMPORT["cli"] = set(MAY_IMPORT)
#: Packages from outside that a folder must not import, at the top or inside a function.
LEARNING = {"torch", "lightning", "pytorch_lightning", "safetensors"}
PLOTTING = {"matplotlib", "cartopy"}
LABELLED = {"xarray", "dask", "zarr", "rioxarray", "xskillscore"}
MUST_NOT = {
    "arrays": LEARNING | PLOTTING | LABELLED | {"pandas"},
    "nn": PLOTTING | LABELLED | {"pandas", "lightning", "pytorch_lightning"},
    "interpolate": LEARNING | PLOTTING | LABELLED | {"pandas"},
    "stations": LEARNING | PLOTTING,
    "quality": LEARNING | PLOTTING,
    "readers": LEARNING | PLOTTING,
    "fields": LEARNING | PLOTTING,
    "simulation": PLOTTING | LABELLED | {"pandas", "lightning", "pytorch_lightning", "safetensors"},
    "cube": LEARNING | PLOTTING,
    "export": LEARNING | PLOTTING,
    "evaluate": LEARNING | PLOTTING,
    "aqnet": PLOTTING,
    "training": PLOTTING,
    "plot": LEARNING,
    "cli": LEARNING,
}
#: The modules at the root that call folders: the accessor, bundled data, the package itself.
FACES = {"accessor", "datasets", "__init__", "__main__"}


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def folder_of(module: str) -> str:
    """Return the folder of a module named from inside the package, empty at the root."""
    head = module.split(".")[0]
    return head if (ROOT / head).is_dir() else ""


def imports_of(path: Path, *, lazy: bool = True, types: bool = False) -> tuple[set[str], set[str]]:
    """Return (outside packages, xaq modules) that a file imports; ``lazy`` adds those inside functions, ``types`` those for types."""
    package = ["xaq", *path.relative_to(ROOT).parts[:-1]]
    outside, inside = set(), set()

    def note(dotted: str) -> None:
        head, _, rest = dotted.partition(".")
        if head != "xaq":
            outside.add(head)
            return
        parts = rest.split(".") if rest else []
        while parts and not (ROOT.joinpath(*parts).is_dir() or ROOT.joinpath(*parts).with_suffix(".py").exists()):
            parts.pop()
        inside.add(".".join(parts) or "__init__")

    def walk(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) and not lazy:
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test) and not types:
                continue
            if isinstance(child, ast.Import):
                for alias in child.names:
                    note(alias.name)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                base = [*base, *(child.module.split(".") if child.module else [])]
                for alias in child.names:
                    note(".".join([*base, alias.name]))
            walk(child)

    walk(ast.parse(path.read_text(encoding="utf-8")))
    return outside, inside


FILES = sorted(ROOT.rglob("*.py"))
each_file = pytest.mark.parametrize("path", FILES, ids=name_of)


def test_every_folder_has_its_walls():
    folders = {p.name for p in ROOT.iterdir() if p.is_dir() and any(p.glob("*.py"))}
    assert folders == MAY_IMPORT.keys() == MUST_NOT.keys()


@each_file
def test_a_folder_imports_only_the_folders_that_it_may(path):
    name = name_of(path)
    _, inside = imports_of(path)
    folder = folder_of(name)
    if not folder:
        beyond = {m for m in inside if folder_of(m)} if name not in FACES else set()
    else:
        beyond = {m for m in inside if folder_of(m) and folder_of(m) not in MAY_IMPORT[folder] | {folder}}
        # The command line also opens bundled data.
        beyond |= inside & (FACES - {"datasets"} if folder == "cli" else FACES)
    assert not beyond, f"{name} imports {beyond}"


@each_file
def test_a_folder_imports_no_package_that_it_must_not(path):
    outside, _ = imports_of(path)
    assert not outside & MUST_NOT.get(folder_of(name_of(path)), set())


@each_file
def test_only_plot_imports_plotting_at_the_top(path):
    outside, _ = imports_of(path, lazy=False)
    if folder_of(name_of(path)) != "plot":
        assert not outside & PLOTTING


def test_no_circle():
    """Types included: a module that needs another's types and is needed by it should be one module, or three."""
    left = {name_of(p): imports_of(p, lazy=False, types=True)[1] - {name_of(p)} for p in FILES}
    packages = {name_of(p) for p in FILES if p.name == "__init__.py"}
    left = {name: {m for m in inside if m not in packages} for name, inside in left.items() if name not in packages}
    while free := {name for name, inside in left.items() if not inside & left.keys()}:
        left = {name: inside for name, inside in left.items() if name not in free}
    assert not left


@each_file
def test_the_library_never_prints(path):
    if folder_of(name_of(path)) == "cli":
        pytest.skip("the one folder that prints")
    calls = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.Call)]
    assert not [c.lineno for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]


def test_importing_xaq_loads_nothing_heavy():
    code = "import sys, xaq; print(sorted({'torch', 'lightning', 'matplotlib', 'cartopy'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert loaded.stdout.strip() == "[]"


def test_the_walls_would_be_seen_to_break(tmp_path, monkeypatch):
    """The reader of imports sees relative, absolute and lazy ones, and those for types where asked."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    for folder, module in (("readers", "x"), ("readers", "table"), ("aqnet", "model"), ("interpolate", "kriging")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / f"{module}.py").write_text("")
    file = tmp_path / "readers" / "x.py"
    file.write_text(
        "import numpy as np\nfrom ..interpolate import kriging\n"
        "def f():\n    import torch.nn\n    from xaq.aqnet.model import Model\n"
        "if TYPE_CHECKING:\n    from .table import Rows\n"
    )
    assert imports_of(file) == ({"numpy", "torch"}, {"interpolate.kriging", "aqnet.model"})
    assert imports_of(file, lazy=False) == ({"numpy"}, {"interpolate.kriging"})
    assert imports_of(file, lazy=False, types=True)[1] == {"interpolate.kriging", "readers.table"}
    file.write_text("import xaq\nfrom xaq import Grid\nfrom .table import f\nfrom ..interpolate.kriging import g\n")
    assert imports_of(file)[1] == {"__init__", "readers.table", "interpolate.kriging"}
