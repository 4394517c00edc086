"""What the machine did is told from what an estimator did; in doubt the trial is tried again."""

from __future__ import annotations

import errno
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pyarrow as pa
import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError

from builders import AS_OF
from contender.documents.sweep import Trial, TrialResult
from contender.errors import ConfigError
from contender.sweep.machine import by_machine


def numpy_says() -> BaseException:
    try:
        np.empty(2**57)
    except MemoryError as error:
        return error
    raise AssertionError


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        numpy_says(),
        pa.ArrowMemoryError("malloc of size 64 failed"),
        OSError(errno.ENOSPC, "No space left on device"),
        ConnectionResetError("by peer"),
        TimeoutError(),
        ModuleNotFoundError("No module named 'lightgbm'"),
        BrokenProcessPool("abruptly terminated"),
        TerminatedWorkerError("A worker process managed by the executor was unexpectedly terminated"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        ValueError("std::bad_alloc"),
        caused(ConfigError("pkg.Model cannot be imported"), ImportError("libgomp.so.1")),
        caused(RuntimeError("fit failed"), MemoryError()),
    ],
    ids=repr,
)
def test_of_the_machine(error: BaseException) -> None:
    assert by_machine(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("C must be positive"),
        RuntimeError("no convergence"),
        KeyError("x"),
        ZeroDivisionError(),
        RecursionError(),
        np.linalg.LinAlgError("Singular matrix"),
        SystemExit(3),
        caused(ValueError("b"), KeyError("a")),
    ],
    ids=repr,
)
def test_of_the_estimator(error: BaseException) -> None:
    assert not by_machine(error)


def test_an_error_that_is_its_own_cause_comes_to_an_end() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert not by_machine(first)


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        ("its process was killed by SIGKILL, 2 times; out of memory, or a crash in compiled code", True),
        ("its process ended with exit code 1, 2 times; out of memory, or a crash in compiled code", True),
        ("MemoryError: Unable to allocate 3.0 GiB", True),
        ("_ArrayMemoryError: Unable to allocate 3.0 GiB for an array", True),
        ("ValueError: its process", False),
        ("roc_auc is nan on fold 1", False),
        (None, False),
    ],
)
def test_a_record_of_version_0_1_0_says_by_its_words_whose_failure_it_was(error: str | None, lost: bool) -> None:
    trial = Trial(key="a", estimator="pkg.A", params={}, seed=0)
    old = TrialResult(trial=trial, status="failed", seconds=1, cpu_seconds=1, started=AS_OF, error=error)
    assert old.lost == lost
