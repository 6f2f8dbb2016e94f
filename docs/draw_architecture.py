"""Draw the folders of xaq from their imports, and write the imports into architecture.md.

Usage: ``python docs/draw_architecture.py``. A test compares the page and the picture with the code.
"""

import re
import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Patch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

import test_walls  # noqa: E402 - the reader of imports that the tests use

PAGE, PICTURE = HERE / "architecture.md", HERE / "images" / "architecture.png"
#: The block of the page that this script writes.
BLOCK = re.compile(r"(?<=<!-- imports -->\n```text\n).*?(?=```\n<!-- /imports -->)", re.DOTALL)
#: The modules at the root of the package that import folders, as one box.
VERBS = "verbs"
#: For each box its left and right column, and what lives there.
BOXES = {
    VERBS: (0, 5, "accessor (ds.aq), datasets: the verbs that users call"),
    "cli": (0, 5, "the verbs as commands"),
    "readers": (0, 1, "files to\nstation datasets"),
    "quality": (1, 2, "check, repair"),
    "plot": (2, 3, "figures"),
    "evaluate": (2, 3, "verify, explain"),
    "cube": (2, 3, "request, graph,\nlabels, Zarr store"),
    "fields": (2, 3, "grids and rasters\nat points"),
    "export": (3, 4, "netCDF, pyramids,\nSTAC"),
    "simulation": (3, 4, "members with\ncorrelated errors"),
    "training": (4, 5, "folds, learning,\ncalibration"),
    "aqnet": (4, 5, "model file and mapper"),
    "nn": (4, 5, "networks of tensors"),
    "stations": (0, 3, "station dataset: schema, hidden stations, time axis, units"),
    "interpolate": (0, 4, "contract of a mapper, classical mappers, held-out errors, what AQ-Net starts from"),
    "arrays": (0, 4, "sphere, time steps, transforms"),
}
#: The heaviest package that a folder imports gives its colour.
KINDS = (
    ("PyTorch", {"torch", "lightning", "safetensors"}, "#fbdcc4"),
    ("matplotlib", {"matplotlib", "cartopy"}, "#d9ecd3"),
    ("xarray", {"xarray", "dask", "zarr"}, "#d5e6f5"),
    ("NumPy, SciPy", set(), "#ececec"),
)


def read_imports() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return the folders, and the outside packages, that each folder imports; modules at the root count as ``verbs``."""
    inside: dict[str, set[str]] = {}
    outside: dict[str, set[str]] = {}
    for path in test_walls.FILES:
        folder = test_walls.folder_of(test_walls.name_of(path))
        packages, modules = test_walls.imports_of(path)
        folders = {test_walls.folder_of(module) for module in modules} - {"", folder}
        if folder or folders:
            inside.setdefault(folder or VERBS, set()).update(folders)
            outside.setdefault(folder or VERBS, set()).update(packages)
    return inside, outside


def layers(imports: dict[str, set[str]]) -> dict[str, int]:
    """Return the layer of each folder: the longest path of imports below it."""
    found: dict[str, int] = {}

    def layer(folder: str) -> int:
        if folder not in found:
            found[folder] = 1 + max((layer(below) for below in imports[folder]), default=-1)
        return found[folder]

    for folder in imports:
        layer(folder)
    return found


def reduced(imports: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the imports without those that follow from others."""

    def below(folder: str) -> set[str]:
        return imports[folder] | {further for near in imports[folder] for further in below(near)}

    return {f: {a for a in direct if not any(a in below(b) for b in direct)} for f, direct in imports.items()}


def as_text(imports: dict[str, set[str]]) -> str:
    """Return one line for each folder, the highest layer first."""
    order = layers(imports)
    folders = sorted(imports, key=lambda folder: (-order[folder], folder))
    width = max(map(len, folders)) + 1
    return "".join(f"{f + ':':{width}} {', '.join(sorted(imports[f])) or '-'}\n" for f in folders)


def draw(imports: dict[str, set[str]], outside: dict[str, set[str]]) -> None:
    """Write the picture."""
    if unplaced := imports.keys() - BOXES.keys():
        raise SystemExit(f"no box for {', '.join(sorted(unplaced))}; fix: add a line to BOXES")
    mpl.use("Agg")
    level = layers(imports)
    figure, ax = plt.subplots(figsize=(10.6, 8.2), dpi=110)
    for folder, (left, right, text) in BOXES.items():
        colour = next(colour for _, packages, colour in KINDS if outside[folder] & packages or not packages)
        if folder == VERBS:
            colour = "white"
        _box(ax, left, right, level[folder], folder if folder != VERBS else "xaq", text, colour)
    for folder, below in reduced(imports).items():
        for other in below:
            _arrow(ax, folder, other, level)
    handles = [Patch(facecolor=colour, edgecolor="0.35", label=name) for name, _, colour in reversed(KINDS)]
    ax.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=len(KINDS), frameon=False,
        title="built on", title_fontsize=9, fontsize=9,
    )  # fmt: skip
    ax.set(xlim=(-0.02, 5.02), ylim=(-0.1, max(level.values()) + 0.75))
    ax.set_axis_off()
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, bbox_inches="tight", metadata={"Software": None, "Description": as_text(imports)})
    plt.close(figure)


#: Half the space between two columns, and the height of a box; layers are one apart.
_MARGIN, _HEIGHT = 0.06, 0.66


def _box(ax: Axes, left: float, right: float, bottom: float, name: str, text: str, colour: str) -> None:
    width = right - left - 2 * _MARGIN
    patch = FancyBboxPatch(
        (left + _MARGIN, bottom), width, _HEIGHT, boxstyle="round,pad=0,rounding_size=0.05", facecolor=colour, edgecolor="0.35",
        mutation_aspect=1.0,
    )  # fmt: skip
    ax.add_patch(patch)
    middle = (left + right) / 2
    ax.text(middle, bottom + 0.51, name, ha="center", va="center", fontsize=11, weight="bold")
    ax.text(middle, bottom + 0.22, text, ha="center", va="center", fontsize=8.5, linespacing=1.15)


def _arrow(ax: Axes, upper: str, lower: str, level: dict[str, int]) -> None:
    """Draw an arrow from the foot of a box to the top of one below, upright where the two lie above each other."""
    (a, b, _), (c, d, _) = BOXES[upper], BOXES[lower]
    first, last = max(a, c), min(b, d)
    if first < last:
        x = (first + last) / 2
        start, end = x, x
    else:
        # Side by side: from the near side of the one to the near side of the other.
        start, end = (a + 0.1, d - 0.25) if c < a else (b - 0.1, c + 0.25)
    ax.annotate(
        "", (end, level[lower] + _HEIGHT), (start, level[upper]),
        arrowprops={"arrowstyle": "-|>", "color": "0.3", "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip


def main() -> None:
    """Draw the picture and write the block of the page."""
    imports, outside = read_imports()
    draw(imports, outside)
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(BLOCK.sub(as_text(imports), page), encoding="utf-8")


if __name__ == "__main__":
    main()
