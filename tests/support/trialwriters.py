"""``python trialwriters.py MODE URI ...``: processes that record trials, forked from one that has imported everything.

``together URI WRITERS TRIALS``: side by side; prints how often they asked again. ``killed URI TIMES TRIALS SEED``: one
after another, each killed after a random while. ``forked URI TRIALS``: a parent that records on while children that it
forked come and go.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from typing import TYPE_CHECKING

from builders import make_result, make_run
from contender.tracking.runs import Tracking

if TYPE_CHECKING:
    from collections.abc import Callable

RUN = make_run()


def key(writer: int, number: int) -> str:
    """Of a writer's trial."""
    return f"{writer:02d}{number:062d}"


def record(uri: str, writer: int, trials: int, ready: Callable[[], object] = lambda: None) -> int:
    """Record a writer's trials; how often it asked again."""
    tracking = Tracking(uri)
    parent = tracking.run_id(RUN)
    ready()
    for number in range(trials):
        tracking.record_trial(RUN, parent, make_result(key(writer, number), C=number))
    return tracking.retries


def together(uri: str, writers: int, trials: int) -> None:
    with multiprocessing.get_context("fork").Pool(writers) as pool:
        again = pool.starmap(record, [(uri, writer, trials) for writer in range(writers)])
    sys.stdout.write(f"{sum(again)}\n")


def killed(uri: str, times: int, trials: int, seed: int) -> None:
    moments = random.Random(seed)  # noqa: S311 - moments, not secrets
    for writer in range(times):
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            record(uri, writer, trials, lambda: os.write(writing, b"."))  # noqa: B023 - of this very child
            os._exit(0)
        os.read(reading, 1)
        time.sleep(moments.uniform(0.0, 0.5))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def forked(uri: str, trials: int) -> None:
    tracking = Tracking(uri)
    parent = tracking.run_id(RUN)
    for number in range(trials):
        child = os.fork()
        if not child and number % 2:
            os._exit(0)
        if not child:
            sys.exit(0)  # with all that Python does at its end
        tracking.record_trial(RUN, parent, make_result(key(0, number)))
        assert os.waitpid(child, 0)[1] == 0


if __name__ == "__main__":
    mode, uri, *numbers = sys.argv[1:]
    {"together": together, "killed": killed, "forked": forked}[mode](uri, *map(int, numbers))
