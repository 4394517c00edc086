"""The walk through the folders of this machine that a glob asks for, links followed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from contender.data.reading.places import hidden, hive_keys
from contender.errors import DataUnavailable


class Walk:
    """The search for the files of a glob. Links are followed, and what cannot be reached is an error: ``Path.glob`` skips it.

    Args:
        base: the folder that partition columns are named below.
        check: raises when a link may not be followed.

    Attributes:
        linked: whether there was a link, so that one file may have been found twice.
    """

    def __init__(self, base: Path, check: Callable[[Path], None]) -> None:
        self._base, self._check = base, check
        self._seen: set[tuple[Any, ...]] = set()
        self.linked = False

    def files(self, folder: Path, pattern: tuple[str, ...]) -> Iterator[Path]:
        """The matching files below a folder.

        Raises:
            DataUnavailable: a link leads nowhere.
            OSError: a folder cannot be read.
        """
        head, rest = pattern[0], pattern[1:] or (("*",) if pattern[0] == "**" else ())
        place = (pattern, *self.identity(folder, folder / "any"))
        if place in self._seen:  # a link that leads round, or to a folder that was searched already
            return
        self._seen.add(place)
        if head == "**":
            yield from self.files(folder, rest)
        for entry in sorted(folder.iterdir(), key=lambda one: (one.is_symlink(), one)) if folder.is_dir() else ():
            if hidden((entry.name,)) or not (head == "**" or fnmatchcase(entry.name, head)):
                continue
            if entry.is_symlink():
                self._follow(entry)
            if entry.is_dir() and (head == "**" or rest):
                yield from self.files(entry, pattern if head == "**" else rest)
            elif not (head == "**" or rest or entry.is_dir()):
                yield entry

    def identity(self, path: Path, file: Path) -> tuple[Any, ...]:
        """Equal for two paths to the same rows: links may lead to one file from the folders of two partitions.

        Args:
            file: the path itself, or any file in it.
        """
        return os.path.realpath(path), tuple(sorted(hive_keys(file.relative_to(self._base)).items(), key=str))

    def _follow(self, link: Path) -> None:
        self.linked = True
        if not link.exists():
            raise leads_nowhere(link)
        if link.is_dir():
            self._check(link)


def leads_nowhere(link: Path) -> DataUnavailable:
    """The error for a link whose mount is away."""
    msg = f"data.source.uri: the link {link} leads to {link.readlink()}, which cannot be reached; "
    return DataUnavailable(msg + "mount what it leads to, or remove the link")
