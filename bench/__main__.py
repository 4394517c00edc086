"""``python -m bench [ONLY]``: measure, print a Markdown table, write ``$CONTENDER_HOME/bench.json``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from bench.rows import MEASUREMENTS, Row
from contender.errors import did_you_mean


def main(only: str) -> int:
    """0 when every figure is within its limit."""
    if only and only not in MEASUREMENTS:
        sys.stderr.write(f"no measurement {only!r}.{did_you_mean(only, MEASUREMENTS)}\n")
        return 2
    home = Path(os.environ.get("CONTENDER_HOME") or ".contender").absolute()
    rows: list[Row] = []
    for name, measure in MEASUREMENTS.items():
        if only in ("", name):
            sys.stderr.write(f"measuring {name} ...\n")
            rows.append(measure(home / "bench" / name))
    home.mkdir(parents=True, exist_ok=True)
    (home / "bench.json").write_text(json.dumps([row.model_dump() for row in rows], indent=1))
    print("| name | value | limit | ok | against | how |\n|---|---|---|---|---|---|")
    for row in rows:
        sign = "<=" if row.better == "lower" else ">="
        print(
            f"| {row.name} | {row.value:g} {row.unit} | {sign} {row.limit:g} | {'yes' if row.ok else 'NO'} "
            f"| {row.against} | {row.how} |"
        )
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
