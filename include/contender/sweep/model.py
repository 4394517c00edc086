"""From an import path and parameters to an unfitted model: preprocessing for mixed tables, then the estimator.

The preprocessing is skrub's ``tabular_pipeline``, which knows what each kind of estimator needs (encoding, imputation,
scaling). It is part of the model: fitted inside each fold, shipped with the release.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from contender.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sklearn.pipeline import Pipeline


def estimator_class(path: str, place: str = "sweep.candidates") -> type[Any]:
    """The class behind an import path.

    Raises:
        ConfigError: there is no such module or class, or it is no estimator.
    """
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a user's own module may raise anything
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        msg = f"{place}: cannot import {path!r}: {kind}{str(error)[:300]}"
        raise ConfigError(msg) from error
    found = getattr(module, name, None)
    if not isinstance(found, type):
        classes = [key for key, value in vars(module).items() if isinstance(value, type) and not key.startswith("_")]
        msg = f"{place}: {module_name} has no class {name!r}." + did_you_mean(name, classes)
        raise ConfigError(msg)
    if not all(hasattr(found, method) for method in ("fit", "predict", "get_params")):
        msg = f"{place}: {path} is no estimator (it needs fit, predict and get_params)"
        raise ConfigError(msg)
    return found


def check_params(path: str, params: Mapping[str, Any], place: str = "sweep.candidates") -> None:
    """See that the estimator takes these parameters.

    Raises:
        ConfigError: an unknown parameter, with a suggestion.
    """
    kind = estimator_class(path, place)
    try:
        known = kind().get_params(deep=True)
    except TypeError as error:
        msg = f"{place}: {path} cannot be made without arguments ({error}); name a class of your own that can"
        raise ConfigError(msg) from None
    for name in params:
        if name not in known:
            msg = f"{place}.params.{name}: {path.rpartition('.')[2]} has no such parameter." + did_you_mean(name, known)
            raise ConfigError(msg)


def build_model(path: str, params: Mapping[str, Any], seed: int) -> Pipeline:
    """The unfitted pipeline; every ``random_state`` in it is the seed, and it uses one core (shards run in parallel).

    Raises:
        ConfigError: the estimator or a parameter is unknown.
    """
    from skrub import tabular_pipeline

    check_params(path, params)
    estimator = estimator_class(path)()
    estimator.set_params(**params)
    model = tabular_pipeline(estimator)
    settings = model.get_params(deep=True)
    fixed = {name: seed for name in settings if name.rpartition("__")[2] == "random_state" and settings[name] is None}
    jobs = f"{model.steps[-1][0]}__n_jobs"  # None is one core to scikit-learn, every core to XGBoost and LightGBM
    if not path.startswith("sklearn.") and settings.get(jobs, 1) is None:
        fixed[jobs] = 1
    return model.set_params(**fixed)
