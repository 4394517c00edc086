"""How long a backend that is away is waited for: one rule for the store, MLflow, databases and buckets of data.

A task that gives up costs one of its tries, and all of them are used up within seconds, while a server that restarts, or
a network that breaks, is back within a minute or two. So what was asked of a backend is asked again until it answers or
the patience is over. Ask again only what has the same effect the second time.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tenacity import RetryCallState

SECONDS = 120.0
_LONGEST_PAUSE = 10.0
_patience: ContextVar[float] = ContextVar("patience", default=SECONDS)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Wait for this long in the block: where a person waits, or where what happened is only written down."""
    before = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(before)


def patient(away: Callable[[BaseException], bool], told: Callable[[RetryCallState], None] | None = None) -> Retrying:
    """Calls a function again, after growing random pauses, while its error says that a backend is away.

    Args:
        away: whether an error says so; any other is raised at once, as the last one is when the patience is over.
        told: is called before each pause.
    """
    return Retrying(
        retry=retry_if_exception(away),
        wait=wait_random_exponential(multiplier=0.05, max=_LONGEST_PAUSE),  # random, so that callers come apart
        stop=stop_after_delay(_patience.get()),
        before_sleep=told,
        reraise=True,
    )
