"""``python -m bench [ONLY]``: measure, print a Markdown table, write ``$CONTENDER_HOME/bench.json``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from bench import challengers, evidence, looks, rows, search, sweeps, tracking, year
from contender.errors import did_you_mean

MEASUREMENTS = {
    "fixed_cost": rows.fixed_cost,
    "sweep": sweeps.measure,
    "parsing": rows.parsing,
    "snapshot": rows.snapshot,
    "validate": rows.validate,
    "folds": rows.folds,
    "tracking": tracking.measure,
    "writers": tracking.writers,
    "search": search.measure,
    "false_claims": evidence.false_claims,
    "coverage": evidence.coverage,
    "influence": evidence.influence_time,
    "looks": looks.measure,
    "challengers": challengers.measure,
    "level": year.measure,
}


def main(only: str) -> int:
    """Measure one or all; the exit code is 0 when every figure is within its limit."""
    if only and only not in MEASUREMENTS:
        sys.stderr.write(f"no measurement {only!r}.{did_you_mean(only, MEASUREMENTS)}\n")
        return 2
    home = Path(os.environ.get("CONTENDER_HOME") or ".contender").absolute()
    found: list[rows.Row] = []
    for name, measure in MEASUREMENTS.items():
        if only in ("", name):
            sys.stderr.write(f"measuring {name} ...\n")
            found.append(measure(home / "bench" / name))
    home.mkdir(parents=True, exist_ok=True)
    (home / "bench.json").write_text(json.dumps([row.model_dump() for row in found], indent=1))
    print("| name | value | limit | ok | against | how |\n|---|---|---|---|---|---|")
    for row in found:
        sign = "<=" if row.better == "lower" else ">="
        print(
            f"| {row.name} | {row.value:g} {row.unit} | {sign} {row.limit:g} | {'yes' if row.ok else 'NO'} "
            f"| {row.against} | {row.how} |"
        )
    return 0 if all(row.ok for row in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
