"""Drafts are tried with one thread, as a command and as a task do it: OpenMP's threads fight over a busy machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sklearn.ensemble  # noqa: F401 - its thread pools must be there to be limited
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield
