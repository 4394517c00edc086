"""Trying a model as on a machine where the code it ships with is not installed."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contender.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PYTHON = (".py", ".pyc")  # a warning or a traceback shows source lines; nothing depends on them


@contextmanager
def elsewhere(shipped: Mapping[str, tuple[str, ...]]) -> Iterator[None]:
    """Inside, no import finds these packages and no data file beside their code opens. For a fresh process: a module
    that is imported already stays so, and Python lets nobody take an audit hook away again.

    Args:
        shipped: top-level packages with their folders, or the file of a single module.

    Raises:
        ConfigError: what happened inside failed after it had asked for one of them.
    """
    if not shipped:
        yield
        return
    border = _Border(dict(shipped))
    sys.meta_path.insert(0, border)
    sys.addaudithook(border.audit)
    try:
        yield
    except Exception as error:
        if not border.asked:
            raise
        msg = (
            f"the model {border.asked[-1]} when it is loaded or predicts, but it must work where {', '.join(shipped)} is "
            "not installed; its code ships inside the model: import at the top of a module and not inside functions, "
            "do without functools.lru_cache, and read files when the pipeline is built or fitted"
        )
        raise ConfigError(msg) from error
    finally:
        border.closed = False
        sys.meta_path.remove(border)


@dataclass
class _Border(MetaPathFinder):
    shipped: dict[str, tuple[str, ...]]
    asked: list[str] = field(default_factory=list)
    closed: bool = True

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        del path, target
        if fullname.partition(".")[0] in self.shipped:
            self.asked.append(f"imports {fullname}")
            msg = f"{fullname} is not installed where the model serves"
            raise ModuleNotFoundError(msg, name=fullname)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and self.closed and isinstance(arguments[0], str | bytes | os.PathLike):
            path = Path(os.path.abspath(os.fsdecode(arguments[0])))  # noqa: PTH100 - resolve() would open files itself
            if path.suffix not in _PYTHON and any(
                self._beside(path, place) for places in self.shipped.values() for place in places
            ):
                self.asked.append(f"opens {path}")
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))

    @staticmethod
    def _beside(path: Path, place: str) -> bool:
        """In a package's folder, or in the same folder as a single module."""
        return path.parent == Path(place).parent if place.endswith(".py") else path.is_relative_to(place)
