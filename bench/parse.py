"""``python -m bench.parse FOLDER``: the median seconds of building a folder's DAGs, in a warm process."""

from __future__ import annotations

import statistics
import sys
import time

from contender_airflow.dags import build_dags


def main(folder: str) -> None:
    """Print the median of five times."""
    build_dags(folder)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        build_dags(folder)
        seconds.append(time.perf_counter() - began)
    print(statistics.median(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
