"""What the pages for developers say of the code is true: places, rooms, links, and the steps in plain Python."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from contender.release.signing import create_key
from contender.store.ledger import Ledger
from contender.store.local import LocalStore
from documentation import DOCS, ROOT, blocks

pytestmark = pytest.mark.integration

CORE = ROOT / "include" / "contender"
PAGES = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    DOCS / "architecture.md",
    *sorted((DOCS / "decisions").glob("*.md")),
]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
STEPS = """
from datetime import UTC, datetime
from contender import pipeline
from contender.backends import Backends
from contender.run.freeze import freeze_run
from contender.spec.loading import load_spec
"""
PIPELINE = """
as_of: 2026-03-02
data:
  source: {kind: demo}
  target: churned
  positive: "yes"
  id: customer_id
  time: observed_on
  window: 90d
  label_delay: 30d
split: {gate: 14d, folds: 2}
sweep:
  metric: roc_auc
  strategy: {kind: random, trials: 2}
  candidates:
    - {estimator: sklearn.linear_model.LogisticRegression, params: {C: {log_uniform: [0.01, 100]}}}
gates:
  - {kind: threshold, metric: roc_auc, min: 0.5}
"""


@each_page
def test_every_place_that_a_page_names_is_there(page: Path) -> None:
    for path, name in re.findall(r"`([\w./-]+\.(?:py|j2|toml|yaml|md))(?:: (\w+))?`", page.read_text()):
        files = [file for file in (ROOT / path, CORE / path) if file.exists()]
        assert files or "/" not in path, path
        defined = re.compile(rf"^\s*((async )?def|class) {name}\b|^{name}\b.*=", flags=re.MULTILINE)
        assert not name or all(defined.search(file.read_text()) for file in files), f"{path}: {name}"


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_every_decision_is_in_the_list() -> None:
    listed = re.findall(r"\((\d{4}-.*\.md)\)", (DOCS / "decisions" / "README.md").read_text())
    assert listed == sorted(page.name for page in (DOCS / "decisions").glob("0*.md"))


def test_the_tree_has_every_room_and_no_other() -> None:
    [tree] = blocks("architecture.md", "text")
    above: list[str] = []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        if depth > 9:
            continue  # the second line of a room
        names = re.split(r"\s{2,}", line.strip())[0].split(" ")
        above = [*above[:depth], names[0]]
        assert all((ROOT / "".join(above[:-1]) / name).exists() for name in names), line
    rooms = {path.parent.name for top in ("include", "plugins") for path in (ROOT / top).rglob("__init__.py")}
    assert rooms - {"contender"} <= {Path(word).name for word in tree.split()}


def test_the_steps_run_in_plain_python_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTENDER_HOME", str(tmp_path))  # where the demo source publishes
    (tmp_path / "churn.yaml").write_text(PIPELINE)
    create_key(tmp_path / "release.pem")
    [steps] = blocks("architecture.md", "python")
    script = STEPS + steps.replace("/srv/", f"{tmp_path}/")
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [entry.kind for entry in Ledger(LocalStore(tmp_path / "store"), "churn").entries()] == ["promotion"]
