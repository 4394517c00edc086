"""From an import path and parameters to an unfitted model: preprocessing for mixed tables, then the estimator.

The preprocessing is skrub's ``tabular_pipeline``, which chooses encoding, imputation and scaling for the kind of
estimator. It is part of the model: fitted inside each fold, shipped with the release. Text reaches it as names, because
it would read digits as numbers, dates as moments, and ``NA`` as missing. A user's own Pipeline is used without it. A classifier without probabilities is calibrated, because metrics and gates need them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contender.errors import ConfigError, did_you_mean
from contender.telling import raised
from contender.usercode import import_path
from contender.words import model_label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sklearn.pipeline import Pipeline


def _unfitted(path: str, place: str = "sweep.candidates", *, pipeline: bool = False) -> Any:
    """An unfitted instance of the candidate's class, or with ``pipeline`` what its function returns.

    Raises:
        ConfigError: it cannot be imported or created, or is no estimator; located.
    """
    if pipeline:
        place = f"{place}.pipeline"
        made = _call_builder(path, place)
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


def _call_builder(path: str, place: str) -> Any:
    """A clone of what the user's function returns: unfitted, and shared with no other model."""
    from sklearn.base import clone

    function = import_path(
        path, place, kind="function", fits=lambda found: callable(found) and not isinstance(found, type)
    )
    try:
        return clone(function())
    except Exception as error:  # noqa: BLE001 - the user's own code may raise anything
        msg = (
            f"{place}: {path}() did not give an unfitted scikit-learn Pipeline or estimator ({raised(error)}); expected a "
            "function without arguments whose result sklearn.base.clone can copy"
        )
        raise ConfigError(msg) from None


def _check_api(found: Any, path: str, place: str) -> None:
    """See that a class or an instance has scikit-learn's estimator API."""
    if not all(hasattr(found, method) for method in ("fit", "predict", "get_params")):
        msg = f"{place}: {path} is no estimator (it needs fit, predict and get_params)"
        raise ConfigError(msg)


def check_params(
    path: str, params: Mapping[str, Any], place: str = "sweep.candidates", *, pipeline: bool = False
) -> Any:
    """The unfitted estimator or pipeline, after a check that it has these parameters; they are not set.

    Raises:
        ConfigError: an unknown parameter, with a suggestion.
    """
    made = _unfitted(path, place, pipeline=pipeline)
    known = {*made.get_params(deep=True), *_unlisted_params(made)}
    for name in params:
        if name not in known:
            label = model_label(path, pipeline=pipeline)
            msg = f"{place}.params.{name}: {label} has no such parameter." + did_you_mean(name, known)
            raise ConfigError(msg)
    return made


def _unlisted_params(estimator: Any) -> list[str]:
    """Parameters that ``get_params`` leaves out: LightGBM also takes every alias that its C library knows."""
    if _library(estimator) != "lightgbm":
        return []
    from lightgbm import basic

    # The list of aliases has no public name; without it only listed parameters are known.
    aliases: dict[str, list[str]] = getattr(getattr(basic, "_ConfigAliases", None), "_get_all_param_aliases", dict)()
    return [name for names in aliases.values() for name in names]


def build_model(path: str, params: Mapping[str, Any], seed: int, *, pipeline: bool = False) -> Pipeline:
    """The unfitted pipeline, on one core, because tasks run in parallel; ``seed`` is every unset ``random_state``.

    Args:
        pipeline: whether ``path`` is a function that builds it; a Pipeline that it returns is used as it is.

    Raises:
        ConfigError: the estimator or a parameter is unknown.
    """
    from sklearn.pipeline import Pipeline

    made = check_params(path, params, pipeline=pipeline)
    made.set_params(**params)
    model = made if isinstance(made, Pipeline) else _with_preprocessing(made)
    settings = model.get_params(deep=True)
    fixed: dict[str, Any] = {}
    for name, value in settings.items():
        owner, _, last = name.rpartition("__")
        if last == "random_state" and value is None:
            fixed[name] = seed
        # ``None`` means one core to scikit-learn and skrub, and every core to XGBoost and LightGBM.
        if last == "n_jobs" and value is None and _library(settings.get(owner)) not in ("sklearn", "skrub"):
            fixed[name] = 1
        if _library(value) == "lightgbm" and not {"verbose", "verbosity"} & value.get_params().keys():
            fixed[f"{name}__verbosity"] = -1  # else it prints a line for every leaf that it does not split
    return model.set_params(**fixed)


def _with_preprocessing(estimator: Any) -> Pipeline:
    """The preprocessing for this kind of estimator, then the estimator, with probabilities if it classifies."""
    import numpy as np
    from sklearn.preprocessing import FunctionTransformer
    from skrub import ApplyToCols, ToCategorical, selectors, tabular_pipeline

    model = tabular_pipeline(estimator)
    model.steps.insert(0, ("names", ApplyToCols(ToCategorical(), cols=selectors.string())))
    model.steps[-1] = (model.steps[-1][0], _with_probabilities(estimator))
    model.steps[:0] = _steps_for_pandas_2()
    if _library(estimator) in ("lightgbm", "xgboost"):  # they refuse names like "age [years]"
        model.steps.insert(-1, ("unnamed", FunctionTransformer(np.asarray)))
    return model


def _steps_for_pandas_2() -> list[tuple[str, Any]]:
    """What a table needs under pandas 2 before skrub sees it; nothing under pandas 3.

    There skrub does not take ``StringDtype(nan)`` for text, and its seconds since 1970 pass through nanoseconds, which end
    in 2262 and overflow without a word. So a moment outside of them counts as the first or the last inside. MLflow passes
    such columns as objects; the second step makes timestamps of them again.
    """
    import pandas as pd
    from sklearn.preprocessing import FunctionTransformer
    from skrub import ApplyToCols, selectors

    if isinstance(pd.Series(["text"]).dtype, pd.StringDtype):
        return []
    ends = {"lower": pd.Timestamp.min.ceil("D").as_unit("us"), "upper": pd.Timestamp.max.floor("D").as_unit("us")}
    kept = dict.fromkeys(("convert_integer", "convert_boolean", "convert_floating"), False)
    return [
        ("moments", ApplyToCols(FunctionTransformer(pd.DataFrame.clip, kw_args=ends), cols=selectors.any_date())),
        ("texts", FunctionTransformer(pd.DataFrame.convert_dtypes, kw_args=kept)),
    ]


def _with_probabilities(estimator: Any) -> Any:
    """The estimator, or a classifier without probabilities calibrated by a sigmoid over its scores.

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
