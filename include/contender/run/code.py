"""The versions and fingerprint of the installed code, as runs and trials record them."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from sysconfig import get_path

from contender.canonical import content_key, sha256
from contender.documents.code import Code

#: Distributions that can change a trial's numbers; an own estimator's are in the trial's key (``usercode``).
_RESULT_RELEVANT = ("numpy", "pandas", "scikit-learn", "scipy", "skrub")
#: Source files that can change a trial's numbers, given the kept rows and the parameters. Code that selects the rows
#: (sources, coercion, checks, leaks) is left out: a trial's key has the ids of snapshot and quarantine, and its
#: parameters.
_RESULT_RELEVANT_SOURCE = (
    *("data/rows.py", "data/split.py", "metrics"),
    *("sweep/curves.py", "sweep/model.py", "sweep/trial.py", "sweep/worker.py"),
)


@cache
def installed_code() -> Code:
    """The fingerprint and the versions of this installation."""
    root = Path(__file__).parents[1]
    return Code(
        fingerprint=_fingerprint(root),
        python=platform.python_version(),
        versions={name: version(name) for name in _RESULT_RELEVANT},
        commit=_commit(root),
        lock=content_key(sorted(path.name for path in Path(get_path("purelib")).glob("*.dist-info"))),
    )


def _fingerprint(root: Path) -> str:
    """A hash of the source files that can change a trial's numbers, by path and content."""
    places = [root / name for name in _RESULT_RELEVANT_SOURCE]
    files = [path for place in places for path in ([place] if place.suffix else place.rglob("*.py"))]
    return content_key({path.relative_to(root).as_posix(): sha256(path.read_bytes()) for path in files})


def _commit(root: Path) -> str | None:
    """The git commit, when this is a clone. It is shown to people; no decision depends on it."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "-C", str(root), "rev-parse", "HEAD"],  # noqa: S607 - fixed arguments
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
