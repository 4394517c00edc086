"""``python -m faults``: kill parts of a running Airflow, seed by seed; see ``make faults``."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from faults.campaign import campaign
from faults.summary import summary


def main() -> int:
    """1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="make faults")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the lab is taken down
    root = Path(tempfile.mkdtemp(prefix="contender-faults-"))
    print(f"a lab in {root}: Airflow and MLflow start", flush=True)
    cases = []
    with campaign(root) as lab:
        for seed in range(asked.first, asked.first + asked.seeds):
            case = lab.case(seed)
            print(case, flush=True)
            for wrong in case.wrong:
                print(f"           {wrong}", flush=True)
            if case.wrong:
                print(f"           again: make faults SEEDS=1 FIRST={seed}", flush=True)
            cases.append(case)
    print(summary(cases))
    if any(case.wrong for case in cases):
        print(f"kept {root}: logs, store and databases")
        return 1
    shutil.rmtree(root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
