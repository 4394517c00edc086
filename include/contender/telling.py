"""What may be told of text that is not ours: exceptions of foreign code, and addresses that may hold a password.

An estimator, an encoder or a database quotes the rows it fails on, and messages go to the ledger, MLflow, pages, notices
and logs, which nobody can take them out of. So a foreign exception is told by its type, its place, and only those words
of its text that stand in the code it came from.
"""

from __future__ import annotations

import os
import re
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from contender.errors import ContenderError, one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import CodeType, FrameType

_HIDDEN = "..."
# Sentences of Python, NumPy and pandas themselves that hold names of code, or whose end, in which a value may stand, is
# cut. The only foreign text besides what stands in the code.
_KNOWN = (
    re.compile(r"could not convert string to float(?=:)"),
    re.compile(r"invalid literal for int\(\) with base \d+(?=:)"),
    re.compile(r"[\w.<>]+\(\) missing \d+ required (positional|keyword-only) arguments?: ('\w+'(, | and |, and )?)+$"),
    re.compile(r"[\w.<>]+\(\) got an unexpected keyword argument '\w+'$"),
    re.compile(r"[\w.<>]+\(\) takes (from \d+ to )?\d+ positional arguments? but \d+ (was|were) given$"),
    re.compile(r"missing a required argument: '\w+'$"),
    re.compile(r"got an unexpected keyword argument '\w+'$"),
    re.compile(r"too many positional arguments$"),
    re.compile(r"(integer |float )?division( or modulo)? by zero$"),
    re.compile(r"(un)?supported operand type\(s\) for \S+: '[\w.]+' and '[\w.]+'$"),
    re.compile(r"'[\w.]+' object is not (subscriptable|callable|iterable)$"),
    re.compile(r"float\(\) argument must be a string or a real number, not '[\w.]+'$"),
    re.compile(r"unhashable type: '[\w.]+'$"),
    re.compile(r"cannot pickle '[\w. ]+' object$"),
    re.compile(r"Singular matrix$"),
    re.compile(r"index \d+ is out of bounds for axis \d+ with size \d+$"),
    re.compile(r"operands could not be broadcast together with shapes [\d(), ]+$"),
)
# Where a literal of the code has its gaps: %s, %(name)d, {}, {name!r:>3}.
_GAPS = re.compile(r"%(?:\(\w*\))?[-#0 +]*[\d*]*(?:\.[\d*]+)?[a-zA-Z]|\{[^{}]*\}")
_LEAST = 12  # letters of a literal with no space in it: a shorter one may be a part of some value
_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])?(?::\d{1,5})?")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


def raised(error: BaseException, *, most: int = 300, names: Collection[str] = ()) -> str:
    """An exception on one bounded line, without values of the data: ``ValueError: unknown categories ... (encode.py:12)``.

    An error of ours is told as it is. Of any other, its type, what ``_KNOWN`` and the literals of the code on its way
    hold of its text, and where it was raised: in the user's own code, if it passed there. What cannot be imported is told by name.

    Args:
        names: words that are no values of the data, such as the parameters of an estimator; quoted in the text they stay.
    """
    if isinstance(error, ContenderError):
        return f"{type(error).__name__}: {' '.join(str(error).split())[:most]}"
    if isinstance(error, ImportError) and (said := _import_said(error)):
        return said
    frames = list(_frames(error))
    said = _said(error, [code for _, code in frames], names)[:most]
    place = _place(frames, error)
    return type(error).__name__ + (f": {said}" if said else "") + (f" ({place})" if place else "")


def first_line(error: BaseException | None) -> str:
    """The first line of what a service says, bounded, without secrets of addresses: MLflow names its server in full.

    Only of a service that is given no value of the data. The following lines are often its traceback.
    """
    lines = str("" if error is None else error).strip().splitlines()
    return without_secrets(lines[0])[:300] if lines else type(error).__name__


def safe_url(url: str) -> str:
    """Scheme, host and port of an address. Login, path, query and fragment may each be a secret.

    Where an unquoted password makes it unclear where the host begins, the scheme alone.
    """
    scheme, found, rest = url.partition("://")
    if not found or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return _HIDDEN
    authority, after, path = re.fullmatch(r"([^/?#\\]*)([/?#\\]?)(.*)", rest, flags=re.DOTALL).groups()  # type: ignore[union-attr]
    host = authority.rpartition("@")[2]
    if "@" in path or not _HOST.fullmatch(host):
        return f"{scheme}://{_HIDDEN}"
    return f"{scheme}://{host}" + (f"{after}{_HIDDEN}" if path else "")


def shown(setting: str) -> str:
    """A setting that may be an address, however mistyped, for a message: bounded, and without what may be a secret."""
    if _is_open(setting):
        return one_line(setting)
    return safe_url(setting) if "://" in setting or set(setting) & set("@?#") else one_line(setting)


def without_secrets(text: str) -> str:
    """A text whose web and database addresses are told by ``safe_url``; places in buckets and MLflow stay."""
    return _ADDRESS.sub(lambda found: found[0] if _is_open(found[0]) else safe_url(found[0].rstrip("'\"),.;:")), text)


def _is_open(address: str) -> bool:
    """Whether it is a place in a bucket or in MLflow, without what may be a secret."""
    return address.startswith(("s3://", "models:/", "runs:/")) and not set(address) & set("@?#")


def _frames(error: BaseException) -> Iterator[tuple[int, CodeType]]:
    """Line and code of every frame between where an exception was caught and where it was raised."""
    step = error.__traceback__
    while step is not None:
        frame: FrameType = step.tb_frame
        yield step.tb_lineno, frame.f_code
        step = step.tb_next


def _said(error: BaseException, codes: list[CodeType], names: Collection[str]) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    text = " ".join(str(error).split())[:2_000]
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}" if error.lineno else ""
    if isinstance(error, NameError | AttributeError):
        name = getattr(error, "name", None)  # set by the interpreter
        return f"there is no {name!r}" if any(name in code.co_names for code in codes) else ""
    known = next((match[0] for pattern in _KNOWN if (match := pattern.match(text))), None)
    return known if known is not None else _of_the_code(text, codes, names)


def _import_said(error: ImportError) -> str:
    """In the interpreter's words, of its own attributes: module and name stand in an import statement."""
    name, wanted = error.name, getattr(error, "name_from", None)
    if not name or not re.fullmatch(r"[\w.]+", name):
        return ""
    if isinstance(error, ModuleNotFoundError):
        return f"No module named {name!r}"
    return f"cannot import {wanted!r} from {name!r}" if wanted else f"cannot import {name!r}"


def _of_the_code(text: str, codes: list[CodeType], names: Collection[str]) -> str:
    """The text with ``...`` for whatever is in no literal of the code and not among the names."""
    pieces = {
        piece
        for code in codes
        for literal in code.co_consts
        if isinstance(literal, str)
        for piece in (" ".join(part.split()) for part in _GAPS.split(literal))
        if (" " in piece or len(piece) >= _LEAST) and re.search(r"[^\W\d_]{2}", piece) and piece in text
    }
    if not pieces:
        return ""
    pieces |= {repr(name) for name in names}
    longest_first = "|".join(map(re.escape, sorted(pieces, key=len, reverse=True)))
    told, end = [], 0
    for match in re.finditer(longest_first, text):
        told += [_HIDDEN] * bool(text[end : match.start()].strip(" '\".,:;()[]")) + [match[0]]
        end = match.end()
    told += [_HIDDEN] * bool(text[end:].strip(" '\".,:;()[]"))
    return " ".join(told)


def _place(frames: list[tuple[int, CodeType]], error: BaseException) -> str:
    """``file.py:12`` of the last frame in the user's own code, else of the last one."""
    if isinstance(error, SyntaxError) and error.filename:
        return Path(error.filename).name
    frames = [one for one in frames if not one[1].co_filename.startswith("<")]
    own = [one for one in frames if _is_own(one[1])]
    if not frames:
        return ""
    line, code = (own or frames)[-1]
    return f"{'/'.join(code.co_filename.split('/')[-2:])}:{line}"


def _is_own(code: CodeType) -> bool:
    """Whether it is in a file of neither a library nor Contender; compiled code names its source by a relative path."""
    file, ours = code.co_filename, str(Path(__file__).parent)
    return file.startswith("/") and not file.startswith((ours, *_LIBRARIES))
