"""The user's own code: importing it by path, finding its files, and pickling it into a model.

A top-level package is the user's own if no installed distribution owns it, or one installed in editable mode; the
package of a ``pipeline:`` always is. It ships inside the model. Everything else it imports is a pinned requirement of
the model.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import sys
import types
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution, packages_distributions, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contender.canonical import content_key, sha256
from contender.errors import ConfigError, did_you_mean
from contender.telling import raised

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

_NEVER_OWN = sys.stdlib_module_names | {"contender", "contender_airflow"}
# The extra of Contender's distribution that installs an estimator's package.
_EXTRAS = {"lightgbm": "lightgbm", "xgboost": "xgboost", "imblearn": "imbalanced"}
_BYTECODE = (".pyc", ".pyo")


def import_path(path: str, place: str, *, kind: str, fits: Callable[[Any], bool] = callable) -> Any:
    """Import what a dotted path names.

    Args:
        kind: what it should be, in a word, for messages.
        fits: whether what was found is of that kind.

    Raises:
        ConfigError: the module cannot be imported, or has no such thing; located, with a suggestion.
    """
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's own module may raise anything
        why = raised(error)
        missing = isinstance(error, ModuleNotFoundError) and error.name == path.partition(".")[0]
        hint = "; is it installed, or a file or package in the DAG folder?" if missing else ""
        if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
            hint = f'; install it with: pip install "contender[{_EXTRAS[error.name]}]"'
        msg = f"{place}: cannot import {path!r}: {why}{hint}"
        raise ConfigError(msg) from None
    found = getattr(module, name, None)
    if not fits(found):
        names = [key for key, value in vars(module).items() if fits(value) and not key.startswith("_")]
        msg = f"{place}: {module_name} has no {kind} {name!r}." + did_you_mean(name, names)
        raise ConfigError(msg)
    return found


@dataclass(frozen=True)
class OwnCode:
    """The code behind an import path.

    Attributes:
        packages: the user's top-level packages, each with its folders (or its file, if it is a single module).
        requirements: the distributions that the code imports, with their installed versions.
    """

    packages: Mapping[str, tuple[str, ...]]
    requirements: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """A hash that changes with every file of the user's packages and every version of their requirements."""
        sources = [
            [name, file.relative_to(place).as_posix(), sha256(file.read_bytes())]
            for name, places in self.packages.items()
            for place in places
            for file in _files(Path(place))
        ]
        return content_key({"sources": sources, "requirements": dict(self.requirements)})


def own_code(path: str, *, pipeline: bool = False) -> OwnCode:
    """Find the code behind an import path by following ``import`` statements in source, through the user's packages.

    Args:
        pipeline: the path is a ``pipeline:``, whose package ships however it was installed.
    """
    packages: dict[str, tuple[str, ...]] = {}
    distributions: set[str] = set()
    todo, seen = [path.rpartition(".")[0]], set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        parent, _, _ = name.rpartition(".")
        top = name.partition(".")[0]
        if top not in packages:
            places = () if top in _NEVER_OWN else _places(top)
            owners = _owners().get(top, [])
            shipped = pipeline and top == path.partition(".")[0]
            if not places or not (shipped or not owners or any(map(_editable, owners))):
                distributions.update(owners)
                continue
            packages[top] = places
        source = _source(name, packages[top])
        if parent:
            todo.append(parent)
        if source is not None:
            todo += _imports(source, name if source.name == "__init__.py" else parent)
    return OwnCode(
        packages=dict(sorted(packages.items())), requirements={name: version(name) for name in sorted(distributions)}
    )


@contextmanager
def by_value(packages: Collection[str]) -> Iterator[None]:
    """Let pickles made in the block contain the code of these packages instead of references to it.

    Last month's champion then keeps its own code beside today's candidate, although a process can import only one
    package of a name.
    """
    import cloudpickle

    modules = [sys.modules[name] for name in packages if name in sys.modules]
    reducers = cloudpickle.Pickler.dispatch_table
    by_name = reducers[types.ModuleType]

    def reduce_module(module: types.ModuleType) -> Any:
        """Pickle a module's state. cloudpickle's own reducer never ends when two modules refer to each other."""
        if module.__name__.partition(".")[0] not in packages:
            return by_name(module)
        state = {key: value for key, value in vars(module).items() if key not in _IMPORT_SYSTEMS}
        return types.ModuleType, (module.__name__,), state

    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    reducers[types.ModuleType] = reduce_module
    try:
        yield
    finally:
        reducers[types.ModuleType] = by_name
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


_IMPORT_SYSTEMS = ("__builtins__", "__loader__", "__spec__", "__cached__")


def check_ships(model: Any, code: OwnCode, place: str) -> None:
    """Check that a model can be pickled together with the user's code.

    Raises:
        ConfigError: it holds something that cannot be pickled.
    """
    if not code.packages:
        return
    import cloudpickle

    try:
        with by_value(code.packages):
            cloudpickle.dumps(model)
    except Exception as error:  # noqa: BLE001 - a user's own classes may raise anything
        msg = (
            f"{place}: the code of {', '.join(code.packages)} ships inside the model, but cannot be pickled "
            f"({raised(error)}); make what cannot be (a lock, a connection, an open file) inside the functions that use it"
        )
        raise ConfigError(msg) from None


@cache
def _owners() -> Mapping[str, list[str]]:
    """The distributions that own each top-level module. The lookup is slow, and its result constant in a process."""
    return packages_distributions()


@cache
def _editable(name: str) -> bool:
    """Whether a distribution is installed in editable mode (PEP 610)."""
    origin = json.loads(distribution(name).read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable", False))


def _places(top: str) -> tuple[str, ...]:
    """A top-level package's folders, or the file of a single module; empty when it does not exist."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return ()
    if spec is None:
        return ()
    if spec.submodule_search_locations is not None:
        return tuple(spec.submodule_search_locations)
    return (spec.origin,) if spec.has_location and spec.origin else ()


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    found = (path for path in place.rglob("*") if path.suffix not in _BYTECODE and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(place).parts))


def _source(module: str, places: Iterable[str]) -> Path | None:
    """The source file of a module in one of the user's packages, if it has one."""
    steps = module.split(".")[1:]
    found = []
    for place in map(Path, places):
        inside = place.joinpath(*steps)
        found += (
            [inside / "__init__.py", inside.with_name(f"{inside.name}.py")] if steps else [place, place / "__init__.py"]
        )
    return next((file for file in found if file.is_file()), None)


def _imports(file: Path, package: str) -> list[str]:
    """Every module that a file may import, at any place in it. A name imported from a package may be a module, too."""
    try:
        return list(_imported(ast.parse(file.read_bytes()), package))
    except (SyntaxError, ValueError):  # not valid Python, so the model cannot have imported it
        return []


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            try:
                module = importlib.util.resolve_name("." * node.level + (node.module or ""), package or None)
            except ImportError:  # a relative import beyond the top-level package
                continue
            yield module
            yield from (f"{module}.{one.name}" for one in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from (name for other in node.orelse for name in _imported(ast.Module([other], []), package))
        else:
            yield from _imported(node, package)
