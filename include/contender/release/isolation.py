"""Running a model as on a machine where the user's packages, whose code ships inside it, are not installed."""

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

_PYTHON = (".py", ".pyc")  # may be opened: warnings and tracebacks read source lines, predictions do not depend on them


@contextmanager
def isolated_from(shipped: Mapping[str, tuple[str, ...]]) -> Iterator[None]:
    """Inside, imports of these packages and opening data files beside their code fail.

    Use it in a fresh process only: modules that are imported already stay usable, and an audit hook cannot be removed.

    Args:
        shipped: top-level packages with their folders, or the file of a single module.

    Raises:
        ConfigError: the block failed after it had tried to use one of them.
    """
    if not shipped:
        yield
        return
    isolation = _Isolation(dict(shipped))
    sys.meta_path.insert(0, isolation)
    sys.addaudithook(isolation.audit)
    try:
        yield
    except Exception:
        if not isolation.attempts:
            raise
        msg = (
            f"the model {isolation.attempts[-1]} when it is loaded or predicts, but it must work where {', '.join(shipped)} is "
            "not installed; its code ships inside the model: import at the top of a module and not inside functions, "
            "do without functools.lru_cache, and read files when the pipeline is built or fitted"
        )
        raise ConfigError(msg) from None
    finally:
        isolation.active = False
        sys.meta_path.remove(isolation)


@dataclass
class _Isolation(MetaPathFinder):
    shipped: dict[str, tuple[str, ...]]
    attempts: list[str] = field(default_factory=list)
    active: bool = True

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        del path, target
        if fullname.partition(".")[0] in self.shipped:
            self.attempts.append(f"imports {fullname}")
            msg = f"{fullname} is not installed where the model serves"
            raise ModuleNotFoundError(msg, name=fullname)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and self.active and isinstance(arguments[0], str | bytes | os.PathLike):
            path = Path(os.path.abspath(os.fsdecode(arguments[0])))  # noqa: PTH100 - resolve() would open files itself
            if path.suffix not in _PYTHON and any(
                self._beside(path, place) for places in self.shipped.values() for place in places
            ):
                self.attempts.append(f"opens {path}")
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))

    @staticmethod
    def _beside(path: Path, place: str) -> bool:
        """Whether a file is in a package's folder, or in the same folder as a single module."""
        return path.parent == Path(place).parent if place.endswith(".py") else path.is_relative_to(place)
