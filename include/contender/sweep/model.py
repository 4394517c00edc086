"""From an import path and parameters to an unfitted model: preprocessing for mixed tables, then the estimator.

The preprocessing is skrub's ``tabular_pipeline``, which knows what each kind of estimator needs (encoding, imputation,
scaling). It is part of the model: fitted inside each fold, shipped with the release. A user's own Pipeline brings its own.
A classifier that only gives scores is calibrated, for judging needs probabilities; its parameters stay its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contender.errors import ConfigError, did_you_mean
from contender.owncode import import_path, in_words
from contender.sweep.space import model_label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sklearn.pipeline import Pipeline


def _unfitted(path: str, place: str = "sweep.candidates", *, pipeline: bool = False) -> Any:
    """What a candidate's import path makes: an instance of the class, or with ``pipeline`` what the function returns.

    Raises:
        ConfigError: it cannot be imported or made, or is no estimator; located.
    """
    if pipeline:
        place = f"{place}.pipeline"
        made = _built(path, place)
    else:
        kind = import_path(path, place, kind="class", fits=lambda found: isinstance(found, type))
        _check_api(kind, path, place)
        try:
            made = kind()
        except TypeError as error:
            msg = f"{place}: {path} cannot be made without arguments ({error}); name a class of your own that can"
            raise ConfigError(msg) from None
    _check_api(made, path, place)
    return made


def _built(path: str, place: str) -> Any:
    """What the function returns, as a copy that nothing else holds and nobody fitted."""
    from sklearn.base import clone

    function = import_path(
        path, place, kind="function", fits=lambda found: callable(found) and not isinstance(found, type)
    )
    try:
        return clone(function())
    except Exception as error:  # the user's own code may raise anything
        msg = (
            f"{place}: {path}() did not give an unfitted scikit-learn Pipeline or estimator ({in_words(error)}); expected a "
            "function without arguments whose result sklearn.base.clone can copy"
        )
        raise ConfigError(msg) from error


def _check_api(found: Any, path: str, place: str) -> None:
    if not all(hasattr(found, method) for method in ("fit", "predict", "get_params")):
        msg = f"{place}: {path} is no estimator (it needs fit, predict and get_params)"
        raise ConfigError(msg)


def check_params(
    path: str, params: Mapping[str, Any], place: str = "sweep.candidates", *, pipeline: bool = False
) -> Any:
    """The unfitted estimator or pipeline, which takes these parameters.

    Raises:
        ConfigError: an unknown parameter, with a suggestion.
    """
    made = _unfitted(path, place, pipeline=pipeline)
    known = {*made.get_params(deep=True), *_unlisted(made)}
    for name in params:
        if name not in known:
            label = model_label(path, pipeline=pipeline)
            msg = f"{place}.params.{name}: {label} has no such parameter." + did_you_mean(name, known)
            raise ConfigError(msg)
    return made


def _unlisted(estimator: Any) -> list[str]:
    """Parameters that an estimator takes and does not list: LightGBM takes every name that its C library knows."""
    if _library(estimator) != "lightgbm":
        return []
    from lightgbm import basic

    # It has no public name.
    aliases: dict[str, list[str]] = getattr(getattr(basic, "_ConfigAliases", None), "_get_all_param_aliases", dict)()
    return [name for names in aliases.values() for name in names]


def build_model(path: str, params: Mapping[str, Any], seed: int, *, pipeline: bool = False) -> Pipeline:
    """The unfitted pipeline; every ``random_state`` in it is the seed, and it uses one core (shards run in parallel).

    Args:
        pipeline: whether the path names a function that builds it. A Pipeline that it returns is used as it is.

    Raises:
        ConfigError: the estimator or a parameter is unknown.
    """
    from sklearn.pipeline import Pipeline

    made = check_params(path, params, pipeline=pipeline)
    made.set_params(**params)
    model = made if isinstance(made, Pipeline) else _prepared(made)
    settings = model.get_params(deep=True)
    fixed: dict[str, Any] = {}
    for name, value in settings.items():
        owner, _, last = name.rpartition("__")
        if last == "random_state" and value is None:
            fixed[name] = seed
        # None is one core to scikit-learn and skrub, every core to XGBoost and LightGBM.
        if last == "n_jobs" and value is None and _library(settings.get(owner)) not in ("sklearn", "skrub"):
            fixed[name] = 1
        if _library(value) == "lightgbm" and not {"verbose", "verbosity"} & value.get_params().keys():
            fixed[f"{name}__verbosity"] = -1  # else it prints a line for every leaf that it does not split
    return model.set_params(**fixed)


def _prepared(estimator: Any) -> Pipeline:
    """The estimator behind the preprocessing that its kind needs."""
    import numpy as np
    from sklearn.preprocessing import FunctionTransformer
    from skrub import tabular_pipeline

    model = tabular_pipeline(estimator)
    model.steps[-1] = (model.steps[-1][0], _with_probabilities(estimator))
    if _library(estimator) in ("lightgbm", "xgboost"):  # they refuse names like "age [years]"
        model.steps.insert(-1, ("unnamed", FunctionTransformer(np.asarray)))
    return model


def _with_probabilities(estimator: Any) -> Any:
    """The estimator; a classifier that only gives scores with a sigmoid over them.

    The sigmoid is fitted on scores from five-fold cross-validation, the estimator on all rows (Platt 1999,
    Probabilistic outputs for support vector machines).
    """
    from sklearn.base import is_classifier
    from sklearn.calibration import CalibratedClassifierCV

    if hasattr(estimator, "predict_proba") or not hasattr(estimator, "decision_function"):
        return estimator
    return CalibratedClassifierCV(estimator, ensemble=False) if is_classifier(estimator) else estimator


def _library(made: Any) -> str:
    """The top-level package of an object's class."""
    return type(made).__module__.partition(".")[0]
