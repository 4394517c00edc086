"""A venv with some of the packages that are installed here, as links: what pip would install, without its minutes."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
from packaging.requirements import Requirement


def venv_with(requirements: list[str], venv: Path, *options: str) -> Path:
    """Make a venv that holds what requirements need and nothing else.

    Args:
        options: of ``python -m venv``.

    Returns:
        Its Python.
    """
    subprocess.run([sys.executable, "-m", "venv", *options, venv], check=True)
    [packages] = venv.glob("lib/python*/site-packages")
    here = Path(np.__file__).parents[1]
    for name in installed_for(requirements):
        if (here / name).exists() and not (packages / name).exists():
            (packages / name).symlink_to(here / name)
    return venv / "bin" / "python"


def installed_for(requirements: list[str]) -> set[str]:
    """The top-level files and folders in site-packages of everything that requirements need.

    Raises:
        AssertionError: another version of a package is installed here.
    """
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    todo = [(line, "") for line in requirements]
    while todo:
        line, extra = todo.pop()
        needed = Requirement(line)
        if needed.marker is not None and not needed.marker.evaluate({"extra": extra}):
            continue
        for wanted in {"", *needed.extras} - {extra for name, extra in seen if name == needed.name}:
            seen.add((needed.name, wanted))
            try:
                package = distribution(needed.name)
            except PackageNotFoundError:
                continue  # whoever imports it says so
            assert needed.specifier.contains(package.version, prereleases=True), f"{line}: {package.version} is here"
            found |= {file.parts[0] for file in package.files or () if file.parts[0] != ".."}
            todo += [(line, wanted) for line in package.requires or ()]
    return found - {"__pycache__"}
