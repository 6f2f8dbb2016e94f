"""Give a cube that was written beside another one its name; the old cube is deleted last, and put back after a kill."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from uuid import uuid4

from .contents import expect, own_keys
from .layout import STATE


def replace(target: Path, beside: Path) -> None:
    """Give a complete cube the name of the one that it replaces, and delete that one last."""
    old = target.with_name(f".{target.name}.{uuid4().hex}.xaq-old")
    target.rename(old)
    beside.rename(target)
    delete_folder(old)


def recover(target: Path) -> None:
    """Put back the cube of a call that was killed while it replaced it, or finish to delete it."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{32}}\.xaq-old")
    for old in sorted(path for path in target.parent.iterdir() if pattern.fullmatch(path.name)):
        if not target.exists():
            old.rename(target)
        else:
            own_keys(old, expect(old))
            delete_folder(old)


def delete_folder(folder: Path) -> None:
    """Delete a cube; what identifies it goes last, so that an interrupted deletion can be finished."""
    for child in folder.iterdir():
        if child.is_dir() and child.name != STATE:
            shutil.rmtree(child)
    shutil.rmtree(folder)
