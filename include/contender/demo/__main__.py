"""``python -m contender.demo FILE``: writes a CSV of simulated customers, to try Contender without data of one's own."""

from __future__ import annotations

import sys
from datetime import date, timedelta

import pandas as pd

from contender.demo import drop

DAYS, ROWS, UNTIL = 60, 60, date(2026, 3, 1)


def main() -> int:
    """Write the file; exit code 2 without its name."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m contender.demo FILE.csv\n")
        return 2
    days = [UNTIL - timedelta(days=before) for before in range(DAYS, 0, -1)]
    pd.concat([drop(day, seed=7, rows=ROWS) for day in days]).to_csv(sys.argv[1], index=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
