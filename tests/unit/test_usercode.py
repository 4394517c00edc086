"""Which code is the user's own, what it consists of, and that it travels inside a pickle."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sklearn.linear_model import LogisticRegression

from builders import LOGISTIC
from contender import usercode as owncode
from contender.errors import ConfigError
from contender.usercode import by_value, check_ships, import_path, own_code
from ownpkg import importable, write_package

if TYPE_CHECKING:
    from collections.abc import Iterator

BUILD = "mypkg.models.build"


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Path]:
    with importable(write_package(tmp_path)):
        yield tmp_path / "mypkg"


def test_what_a_distribution_installed_is_a_requirement_and_not_the_users_own() -> None:
    assert own_code(LOGISTIC).packages == {}
    assert own_code(LOGISTIC).requirements == {"scikit-learn": version("scikit-learn")}


def test_what_no_distribution_installed_is_the_users_own(package: Path) -> None:
    code = own_code(BUILD)
    assert code.packages == {"mypkg": (str(package),)}
    assert set(code.requirements) == {"scikit-learn", "numpy"}, "numpy is two imports away"


def test_requirements_are_those_of_the_modules_that_the_path_reaches(package: Path) -> None:
    """What only the package's dashboard imports is no requirement of its models."""
    (package / "dashboard.py").write_text("import typer\nimport mypkg.models\n")
    (package / "features.py").write_text(
        "import typing\nif typing.TYPE_CHECKING:\n    import pandas\nimport rich.table\n"
    )
    assert set(own_code(BUILD).requirements) == {"scikit-learn", "rich"}


def test_a_requirement_inside_a_function_or_a_try_is_one_too(package: Path) -> None:
    (package / "features.py").write_text(
        "try:\n    import no_such_thing\nexcept ImportError:\n    from scipy import stats\ndef f():\n    import yaml.nodes\n"
    )
    assert set(own_code(BUILD).requirements) == {"scikit-learn", "scipy", "PyYAML"}


def test_modules_side_by_side_in_a_folder_belong_together(tmp_path: Path) -> None:
    (tmp_path / "mymodels.py").write_text("import myhelpers\nimport contender.errors\nimport json\n")
    (tmp_path / "myhelpers.py").write_text("import pandas\nimport mymodels\n")
    (tmp_path / "bystander.py").write_text("")
    with importable(tmp_path):
        code = own_code("mymodels.build")
    assert code.packages == {
        "myhelpers": (str(tmp_path / "myhelpers.py"),),
        "mymodels": (str(tmp_path / "mymodels.py"),),
    }
    assert set(code.requirements) == {"pandas"}


def test_a_folder_without_an_init_is_a_package(package: Path) -> None:
    (package / "__init__.py").unlink()
    importlib.invalidate_caches()
    assert own_code(BUILD).packages == {"mypkg": (str(package),)}
    assert set(own_code(BUILD).requirements) == {"scikit-learn", "numpy"}


def test_an_editable_install_is_the_users_own_and_an_installed_pipeline_is_shipped_too(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = {**owncode._owners(), "mypkg": ["iniconfig"]}
    monkeypatch.setattr(owncode, "_owners", lambda: owners)
    assert own_code(BUILD).packages == {}
    assert own_code(BUILD, pipeline=True).packages == {"mypkg": (str(package),)}
    monkeypatch.setattr(owncode, "_editable", lambda name: name == "iniconfig")
    assert "mypkg" in own_code(BUILD).packages


def test_an_editable_install_is_known_as_one() -> None:
    """This repository is one; Contender itself ships with no model all the same."""
    assert owncode._editable("contender")
    assert not owncode._editable("scikit-learn")
    assert own_code("contender.sweep.model.build_model").packages == {}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("constants.py", "SCALE = 2.0\n"),
        ("features.py", "# nothing\n"),
        ("unreached.py", ""),
        ("helpers/deep/columns.yaml", "a: 1\n"),
    ],
)
def test_any_file_of_the_package_changes_the_fingerprint(package: Path, name: str, content: str) -> None:
    before = own_code(BUILD).fingerprint
    assert own_code(BUILD).fingerprint == before
    (package / name).parent.mkdir(exist_ok=True)
    (package / name).write_text(content)
    assert own_code(BUILD).fingerprint != before


def test_the_version_of_a_requirement_changes_the_fingerprint(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = own_code(BUILD).fingerprint, own_code(LOGISTIC).fingerprint
    monkeypatch.setattr(owncode, "version", lambda _: "0.0")
    after = own_code(BUILD).fingerprint, own_code(LOGISTIC).fingerprint
    assert not set(before) & set(after)


def test_bytecode_hidden_files_and_the_place_change_no_fingerprint(package: Path, tmp_path: Path) -> None:
    before = own_code(BUILD).fingerprint
    importlib.import_module("mypkg.models")
    (package / ".git").mkdir()
    (package / ".git" / "HEAD").write_text("x")
    assert (package / "__pycache__").exists() or sys.dont_write_bytecode
    assert own_code(BUILD).fingerprint == before
    with importable(write_package(tmp_path / "elsewhere")):
        assert own_code(BUILD).fingerprint == before


def test_code_that_is_not_there_or_not_python_is_passed_over(package: Path) -> None:
    (package / "features.py").write_text("def broken(:\n")
    assert set(own_code(BUILD).requirements) == {"scikit-learn"}
    assert own_code("no_such_package.models.build").packages == {}


LOADS = "import pickle, sys; print(pickle.load(sys.stdin.buffer).get_params(deep=False)['steps'][0][1].__class__.__module__)"


def test_a_model_pickled_by_value_opens_where_the_package_is_not(package: Path) -> None:
    import cloudpickle

    model = importlib.import_module("mypkg.models").build()
    with by_value(own_code(BUILD).packages):
        inside = cloudpickle.dumps(model)
    assert not cloudpickle.list_registry_pickle_by_value()
    done = subprocess.run([sys.executable, "-I", "-c", LOADS], input=inside, capture_output=True, check=True)
    assert done.stdout.decode().strip() == "mypkg.features"


def test_a_model_of_two_modules_in_one_folder_opens_elsewhere(tmp_path: Path) -> None:
    import cloudpickle

    (tmp_path / "mymodels.py").write_text(
        "from sklearn.preprocessing import FunctionTransformer\nimport myhelpers\n"
        "def build():\n    return FunctionTransformer(myhelpers.double)\n"
    )
    (tmp_path / "myhelpers.py").write_text("def double(x):\n    return 2 * x\n")
    with importable(tmp_path):
        model = importlib.import_module("mymodels").build()
        with by_value(own_code("mymodels.build").packages):
            content = cloudpickle.dumps(model)
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).transform(21))"
    done = subprocess.run([sys.executable, "-I", "-c", code], input=content, capture_output=True, check=True)
    assert done.stdout.strip() == b"42"


def test_two_states_of_a_package_live_in_one_process(package: Path, tmp_path: Path) -> None:
    import cloudpickle
    import pandas as pd

    frame = pd.DataFrame({"x": [1.0]})
    model = importlib.import_module("mypkg.models").build()[0].fit(frame)
    with by_value(["mypkg"]):
        old = cloudpickle.dumps(model)
    with importable(write_package(tmp_path / "new", constants="SCALE = 0.0\n")):
        new = importlib.import_module("mypkg.models").build()[0].fit(frame)
        before = pickle.loads(old)  # noqa: S301 - ours
        assert (before.transform(frame).iloc[0, 0] > 0.7, new.transform(frame).iloc[0, 0]) == (True, 0.0)


def test_modules_that_know_each_other_can_ship(package: Path) -> None:
    (package / "constants.py").write_text("import mypkg.helpers.numbers as numbers\nSCALE = 1.0\n")
    check_ships(importlib.import_module("mypkg.models").build(), own_code(BUILD), "here")


def test_what_cannot_be_pickled_is_named(package: Path) -> None:
    (package / "constants.py").write_text("import threading\nSCALE = 1.0\nLOCK = threading.Lock()\n")
    model = importlib.import_module("mypkg.models").build()
    message = r"here: the code of mypkg ships inside the model, but cannot be pickled \(TypeError: cannot pickle '_thread\.lock'"
    with pytest.raises(ConfigError, match=message):
        check_ships(model, own_code(BUILD), "here")
    check_ships(LogisticRegression(), own_code(LOGISTIC), "here")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("mypkg.nowhere.build", r"^here: cannot import 'mypkg\.nowhere\.build': No module named 'mypkg\.nowhere'$"),
        ("mypgk.models.build", r"No module named 'mypgk'; is it installed, or a file or package in the DAG folder\?"),
        ("mypkg.models.biuld", r"^here: mypkg\.models has no function 'biuld'\. Did you mean 'build'\?"),
        ("mypkg.constants.SCALE", r"^here: mypkg\.constants has no function 'SCALE'\."),
    ],
)
def test_a_path_that_names_nothing_is_told_where_it_stands(package: Path, path: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        import_path(path, "here", kind="function")


@pytest.mark.parametrize("text", ["raise SystemExit(0)", "1 / 0", "def broken(:", "import no_such_thing"])
def test_a_module_that_breaks_is_the_users_mistake(package: Path, text: str) -> None:
    """One that exits would else end ``contender check`` as if all were well."""
    (package / "models.py").write_text(text)
    with pytest.raises(ConfigError, match=r"^here: cannot import 'mypkg\.models\.build': ") as caught:
        import_path(BUILD, "here", kind="function")
    assert "DAG folder" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(("module", "extra"), list(owncode._EXTRAS.items()))
def test_a_library_that_an_extra_brings_is_named_with_it(
    package: Path, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it is the user's own module that imports it."""
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    (package / "models.py").write_text(f"from {module} import Model\n")
    for path in (f"{module}.Model", BUILD):
        with pytest.raises(
            ConfigError, match=rf'^here: cannot import .*; install it with: pip install "contender\[{extra}\]"$'
        ):
            import_path(path, "here", kind="class")


def test_extras_are_those_of_the_distribution() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(owncode._EXTRAS.values()) <= set(project["optional-dependencies"])


def test_names_are_found_by_their_own_kind(package: Path) -> None:
    def is_class(found: Any) -> bool:
        return isinstance(found, type)

    assert import_path("mypkg.features.Squeezed", "here", kind="class", fits=is_class).__name__ == "Squeezed"
    with pytest.raises(ConfigError, match=r"has no class 'build'"):
        import_path(BUILD, "here", kind="class", fits=is_class)
