"""``python tools/quick.py [TESTS]``: the tests of what differs from the last commit, or those that are named.

A module's tests mirror it: those of ``judge/gates/beats.py`` are ``judge/gates/test_beats*.py``, else ``judge/test_gates*.py``,
else all in ``judge/gates``; and the contract tests that import it or its package. What else uses it is for ``make test``, as
are tests marked slow or integration; tests that are named run, whatever their mark.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path, PurePath

ROOT = Path(__file__).parents[1]
MIRRORS = (  # folders of modules, and the folders of tests that mirror them; the last is for tools and bench
    ("include/contender", "tests/unit"),
    ("plugins/contender_airflow", "tests/unit"),
    ("plugins/contender_airflow", "tests/dags"),
    ("plugins/contender_airflow/operators", "tests/dags"),
    ("", "tests/unit"),
)


def tests_of(changed: PurePath) -> set[str]:
    """The test files of a changed file; all paths are those in the repository."""
    if changed.parts[0] == "tests":
        return {str(changed)} if changed.match("test_*.py") and (ROOT / changed).exists() else set()
    found: list[Path] = []
    for home, tests in MIRRORS:
        if changed.is_relative_to(home):
            below = changed.relative_to(home)
            folder, stem = ROOT / tests / below.parent, below.name.partition(".")[0]  # of report.html.j2: report
            tries = [folder.glob(f"test_{stem}*.py")]
            if below.parent.name:
                tries += [folder.parent.glob(f"test_{folder.name}*.py"), folder.glob("test_*.py")]
            found += next(filter(None, map(list, tries)), [])
    module = ".".join(changed.with_suffix("").parts[1:])
    imported = re.compile(rf"^from ({module}|{module.rpartition('.')[0]}) import", re.MULTILINE)
    found += [test for test in (ROOT / "tests" / "contracts").glob("test_*.py") if imported.search(test.read_text())]
    return {str(test.relative_to(ROOT)) for test in found}


def main(tests: list[str]) -> int:
    """Pytest's exit code; 0 when there is nothing to run."""
    if not tests:
        status = ["git", "status", "--porcelain", "--untracked-files=all", "--no-renames"]
        names = [line[3:] for line in subprocess.check_output(status, cwd=ROOT, text=True).splitlines()]  # noqa: S603
        found = {name: tests_of(PurePath(name)) for name in names}
        alone = [f", no test mirrors {name}" for name in names if name.endswith(".py") and not found[name]]
        sys.stderr.write(f"{len(names)} files changed{''.join(alone)}\n")
        chosen = sorted(set().union(*found.values()))
        tests = ["-m", "not slow and not integration", *chosen] if chosen else []
    command = [Path(sys.executable).with_name("pytest"), "--quiet", *tests]
    code = subprocess.call(command, cwd=ROOT) if tests else 0  # noqa: S603
    return 0 if code == 5 else code  # all of them are slow


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
