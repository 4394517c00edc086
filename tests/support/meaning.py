"""``python -m meaning LAKE STORE MODELS``: what this process makes of tables. Another pandas must make the same of them."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from builders import LOGISTIC, make_run
from contender.data.rows import kept_rows
from contender.data.snapshot import read_snapshot, take_snapshot
from contender.data.split import was_held_out
from contender.documents.data import Quarantine
from contender.documents.release import TrainedOn
from contender.store.local import LocalStore
from contender.sweep.model import build_model

SPLITS: dict[str, dict[str, Any]] = {
    "by a text": {"data": {"id": "customer"}},
    "by an integer": {"data": {"id": "id"}},
    "by content": {"data": {"id": None}},
    "by time": {"data": {"id": "id", "time": "at", "window": "60d"}, "split": {"gate": "14d", "folds": 2}},
}
MODELS = (LOGISTIC, "sklearn.ensemble.HistGradientBoostingClassifier")


def meaning(lake: Path, store: LocalStore, models: Path, rules: dict[str, str]) -> dict[str, Any]:
    """Snapshot, roles and folds of each file of the lake, split in each way, and what models of the last predict.

    Args:
        models: a folder in which the first process leaves its models; the next one predicts with them, too.
        rules: which rows a model of another process was trained on, as its release says; they decide ``held_out``.
    """
    found: dict[str, Any] = {"pandas": pd.__version__}
    for file in sorted(lake.iterdir()):
        for way, parts in SPLITS.items():
            name = f"{file.name} {way}"
            source = {"kind": file.suffix[1:], "uri": str(file)}
            run = make_run(**parts | {"data": parts["data"] | {"source": source}})
            snapshot = take_snapshot(run, store)
            aside = Quarantine(id="q", snapshot=snapshot.id, rows={}, checks=())
            rows = kept_rows(run, snapshot, aside, read_snapshot(snapshot, run.pipeline, store))
            rule = rows.trained_on.model_dump_json()
            seen = TrainedOn.model_validate_json(rules.get(name, rule))
            found[name] = {
                "snapshot": snapshot.id,
                "gate": rows.split.gate.tolist(),
                "sweep": rows.split.sweep.tolist(),
                "folds": [[side.tolist() for side in fold] for fold in rows.folds],
                "rule": rule,
                "held_out": np.flatnonzero(was_held_out(rows.frame, seen)).tolist(),
            }
    for path in MODELS:
        model = build_model(path, {}, 3).fit(rows.features, rows.target)
        left = models / f"{path}.pickle"
        if not left.exists():
            left.write_bytes(pickle.dumps(model))
        for name, one in ((path, model), (f"{path} of the first", pickle.loads(left.read_bytes()))):  # noqa: S301 - ours
            found[name] = one.predict_proba(rows.features)[:, 1].tolist()
    return found


if __name__ == "__main__":
    lake, store, models = map(Path, sys.argv[1:])
    json.dump(meaning(lake, LocalStore(store), models, json.load(sys.stdin)), sys.stdout)
