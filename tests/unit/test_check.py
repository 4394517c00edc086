"""A spec against the libraries: what it names must be there, before anything is read or trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from builders import LOGISTIC, TREE, make_spec
from contender.check import check_libraries
from contender.errors import ConfigError
from ownpkg import FILES, importable, write_package

if TYPE_CHECKING:
    from pathlib import Path


def sweep(metric: str = "roc_auc", *candidates: dict[str, Any]) -> dict[str, Any]:
    return {"metric": metric, "candidates": list(candidates) or [{"estimator": LOGISTIC}]}


def test_a_spec_whose_names_are_all_there_is_fine() -> None:
    check_libraries(make_spec(expectations=[{"expect_column_values_to_not_be_null": {"column": "x"}}]))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"sweep": sweep("roc_acu")}, r"^sweep\.metric: scikit-learn has no scorer 'roc_acu'. Did you mean 'roc_auc'"),
        (
            {"gates": [{"kind": "threshold", "metric": "accurracy", "min": 0.5}]},
            r"^gates\.0\.metric: scikit-learn has no scorer 'accurracy'. Did you mean 'accuracy'",
        ),
        ({"sweep": sweep("roc_auc", {"estimator": "sklearn.tree.Tre"})}, r"^sweep\.candidates\.0: .* has no class 'Tre'"),
        (
            {"sweep": sweep("roc_auc", {"estimator": LOGISTIC}, {"estimator": TREE, "params": {"depth": 2}})},
            r"^sweep\.candidates\.1\.params\.depth: DecisionTreeClassifier has no such parameter",
        ),
        ({"expectations": [{"expect_nothing": {}}]}, r"^expectations\.0: unknown expectation 'expect_nothing'"),
        (
            {"notify": [{"kind": "slack", "conn_id": "x"}, {"kind": "notifier", "notifier": "airflow.providers.pager.N"}]},
            r"^notify\.1\.notifier: cannot import 'airflow\.providers\.pager\.N': No module named",
        ),
        ({"notify": [{"kind": "notifier", "notifier": "json.JSONDecoder"}]}, r"^notify\.0\.notifier: json has no notifier 'JSONDecoder'"),
    ],
    ids=["metric", "gate", "estimator", "parameter", "expectation", "provider", "notifier"],
)  # fmt: skip
def test_what_is_not_there_is_named_where_it_stands(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_libraries(make_spec(**parts))


@pytest.mark.parametrize(
    ("metric", "positive"),
    [
        ("roc_auc", None),
        ("accuracy", None),
        ("neg_mean_gamma_deviance", "yes"),
        ("f1_samples", "yes"),
        ("neg_max_error", None),
        ("adjusted_rand_score", "yes"),
        ("positive_likelihood_ratio", "yes"),
    ],
)
def test_a_metric_that_cannot_judge_this_kind_of_target_is_refused_at_once(metric: str, positive: str | None) -> None:
    """Not after the sweep, when the contest asks for it with row weights."""
    kind = "classification" if positive else "regression"
    candidate = {"estimator": LOGISTIC if positive else "sklearn.linear_model.Ridge"}
    spec = make_spec(data={"positive": positive}, sweep=sweep(metric, candidate))
    with pytest.raises(ConfigError, match=rf"^sweep\.metric: {metric} cannot judge a {kind} with weighted rows: \w+"):
        check_libraries(spec)


@pytest.mark.parametrize(
    ("metric", "positive"),
    [
        ("neg_log_loss", "yes"),
        ("average_precision", "yes"),
        ("neg_brier_score", "yes"),
        ("balanced_accuracy", "yes"),
        ("f1", "yes"),
        ("r2", None),
        ("neg_root_mean_squared_error", None),
        ("neg_mean_gamma_deviance", None),
        ("neg_mean_absolute_percentage_error", None),
    ],
)
def test_a_metric_that_can_judge_is_let_through(metric: str, positive: str | None) -> None:
    candidate = {"estimator": LOGISTIC if positive else "sklearn.linear_model.Ridge"}
    gates = [{"kind": "threshold", "metric": metric, "min": -1.0}]
    check_libraries(make_spec(data={"positive": positive}, sweep=sweep(metric, candidate), gates=gates))


def test_what_gives_no_probabilities_is_refused_before_it_is_trained() -> None:
    spec = make_spec(sweep=sweep("roc_auc", {"estimator": LOGISTIC}, {"estimator": "sklearn.linear_model.Ridge"}))
    with pytest.raises(ConfigError, match=r"^sweep\.candidates\.1: Ridge gives no probabilities \(predict_proba\)"):
        check_libraries(spec)


@pytest.mark.parametrize("params", [{"loss": "log_loss"}, {"loss": "hinge"}])
def test_a_classifier_gives_probabilities_of_its_own_or_calibrated_ones(params: dict[str, Any]) -> None:
    path = "sklearn.linear_model.SGDClassifier"
    check_libraries(make_spec(sweep=sweep("roc_auc", {"estimator": path, "params": params})))


OWN = {"pipeline": "mypkg.models.build"}


def custom(function: str, **arguments: Any) -> dict[str, Any]:
    return {"gates": [{"kind": "custom", "function": f"mypkg.gates.{function}", "arguments": arguments}]}


@pytest.mark.parametrize(
    "parts",
    [
        {"sweep": sweep("roc_auc", {**OWN, "params": {"model__C": {"choice": [1.0]}, "features__power": 2.0}})},
        {"sweep": sweep("roc_auc", {"pipeline": "mypkg.models.bare", "params": {"C": 1.0}})},
        {"sweep": sweep("mypkg.metrics.profit")},
        {
            "gates": [
                {"kind": "beats", "opponent": "trivial", "metric": "mypkg.metrics.plain"},
                *custom("sane")["gates"],
            ]
        },
        custom("enough_rows", least=5),
    ],
    ids=["pipeline", "bare", "metric", "gates", "arguments"],
)
def test_own_code_that_is_what_it_should_be_is_fine(tmp_path: Path, parts: dict[str, Any]) -> None:
    with importable(write_package(tmp_path)):
        check_libraries(make_spec(**parts))


MODELS = FILES["models.py"]
NO_PROBABILITIES = MODELS.replace("LogisticRegression()", "Perceptron()").replace("LogisticRegression", "Perceptron")


@pytest.mark.parametrize(
    ("models", "candidate", "message"),
    [
        ("raise OSError('no licence')", OWN, r"\.pipeline: cannot import 'mypkg\.models\.build': OSError: no licence \(mypkg/models\.py:1\)$"),
        (MODELS, {"pipeline": "mypkg.models.biuld"}, r"\.pipeline: mypkg\.models has no function 'biuld'\. Did you mean 'build'"),
        ("from sklearn.pipeline import Pipeline as build", OWN, r"\.pipeline: mypkg\.models has no function 'build'\."),
        ("def build(size):\n    pass", OWN, r"\.pipeline: mypkg\.models\.build\(\) did not give .* \(TypeError: .*'size' "),
        ("def build():\n    1 / 0", OWN, r"\.pipeline: mypkg\.models\.build\(\) did not give .* \(ZeroDivisionError: division by zero "),
        ("def build():\n    return None", OWN, r"\.pipeline: mypkg\.models\.build\(\) did not give .* \(TypeError: Cannot clone object"),
        (
            "from sklearn.preprocessing import StandardScaler\ndef build():\n    return StandardScaler()",
            OWN,
            r"\.pipeline: mypkg\.models\.build is no estimator \(it needs fit, predict and get_params\)",
        ),
        (MODELS, {**OWN, "params": {"model__c": 1.0}}, r"\.params\.model__c: models\.build has no such parameter\. Did you mean 'model__C'"),
        (NO_PROBABILITIES, OWN, r": models\.build gives no probabilities \(predict_proba\)"),
    ],
)  # fmt: skip
def test_an_own_pipeline_that_is_none_is_named_where_it_stands(
    tmp_path: Path, models: str, candidate: dict[str, Any], message: str
) -> None:
    with (
        importable(write_package(tmp_path, models=models)),
        pytest.raises(ConfigError, match=rf"^sweep\.candidates\.0{message}"),
    ):
        check_libraries(make_spec(sweep=sweep("roc_auc", candidate)))


def test_a_pipeline_that_cannot_be_shipped_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    constants = "import threading\nSCALE = 1.0\nLOCK = threading.Lock()\n"
    spec = make_spec(sweep=sweep("roc_auc", {"estimator": LOGISTIC}, OWN))
    with (
        importable(write_package(tmp_path, constants=constants)),
        pytest.raises(ConfigError, match=r"^sweep\.candidates\.1: the code of mypkg .* cannot be pickled"),
    ):
        check_libraries(spec)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (custom("enough_row"), r"^gates\.0\.function: mypkg\.gates has no function 'enough_row'\. Did you mean 'enough_rows'"),
        (custom("enough_rows"), r"^gates\.0\.arguments: mypkg\.gates\.enough_rows cannot be called .* missing .* 'least'"),
        (custom("sane", least=3), r"^gates\.0\.arguments: mypkg\.gates\.sane cannot be called .* 'least'"),
        ({"sweep": sweep("mypkg.metrics.nothing")}, r"^sweep\.metric: mypkg\.metrics has no scorer 'nothing'\."),
        ({"sweep": sweep("mypkg.nothing.profit")}, r"^sweep\.metric: cannot import 'mypkg\.nothing\.profit'"),
    ],
)  # fmt: skip
def test_an_own_gate_or_metric_that_is_not_there_is_named_where_it_stands(
    tmp_path: Path, parts: dict[str, Any], message: str
) -> None:
    with importable(write_package(tmp_path)), pytest.raises(ConfigError, match=message):
        check_libraries(make_spec(**parts))


def test_two_metrics_of_one_name_are_refused(tmp_path: Path) -> None:
    """They would be one column of the report, and one metric in MLflow."""
    metrics = "from sklearn.metrics import get_scorer\nroc_auc = get_scorer('average_precision')\n"
    spec = make_spec(
        gates=[{"kind": "beats", "opponent": "trivial", "metric": "mypkg.metrics.roc_auc"}, *custom("sane")["gates"]]
    )
    with (
        importable(write_package(tmp_path, metrics=metrics)),
        pytest.raises(
            ConfigError, match=r"^gates\.0\.metric: mypkg\.metrics\.roc_auc and roc_auc would be shown by one name"
        ),
    ):
        check_libraries(spec)


def test_a_bound_may_be_on_a_metric_of_which_less_is_better(tmp_path: Path) -> None:
    metrics = "from sklearn.metrics import make_scorer, zero_one_loss\nerrors = make_scorer(zero_one_loss)\n"
    bound = {"kind": "threshold", "metric": "mypkg.metrics.errors", "max": 0.3}
    with importable(write_package(tmp_path, metrics=metrics)):
        check_libraries(make_spec(gates=[bound]))
        with pytest.raises(
            ConfigError, match=r"^sweep\.metric: mypkg\.metrics\.errors gives 0 for right answers and 1 for"
        ):
            check_libraries(make_spec(sweep=sweep("mypkg.metrics.errors")))


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ({"metric": "roc_auc", "min": 1.2}, r"^gates\.0: min 1\.2 can never be met, roc_auc is at most 1$"),
        ({"metric": "roc_auc", "max": -0.1}, r"^gates\.0: max -0\.1 can never be met, roc_auc is at least 0$"),
        (
            {"metric": "neg_log_loss", "min": 0.3},
            r"^gates\.0: min 0\.3 can never be met, neg_log_loss is at most 0; errors count below zero, as in min: -0\.3$",
        ),
        ({"metric": "r2", "min": 1.5}, r"^gates\.0: min 1\.5 can never be met, r2 is at most 1"),
        ({"metric": "matthews_corrcoef", "min": 2}, "at most 1"),
    ],
)
def test_a_threshold_that_no_model_can_meet_is_refused(gate: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_libraries(make_spec(gates=[{"kind": "threshold", **gate}]))


@pytest.mark.parametrize("name", ["log_loss", "mean_squared_error", "root_mean_squared_error", "brier_score"])
def test_a_metric_in_the_wrong_direction_is_named_with_the_right_one(name: str) -> None:
    message = rf"^sweep\.metric: {name} is less for a better model; give scikit-learn's neg_{name}, which is greater$"
    with pytest.raises(ConfigError, match=message):
        check_libraries(make_spec(sweep=sweep(name)))
