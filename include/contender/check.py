"""Checking a spec against the libraries and the user's own code: all that it names must exist and be of its kind.

What can be checked without imports is checked when the spec is loaded (``spec``).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from contender.errors import ConfigError
from contender.spec.receivers import NotifierReceiver
from contender.usercode import check_ships, import_path, own_code
from contender.words import metric_label

if TYPE_CHECKING:
    from contender.spec.pipeline import PipelineSpec


def check_libraries(spec: PipelineSpec) -> None:
    """Check that everything a spec names exists, before anything is read or trained.

    The user's own code is imported and called.

    Raises:
        ConfigError: the first error, located, with a suggestion.
    """
    from contender.data.checks.expectations import build

    _check_metrics(spec)
    for number, gate in enumerate(spec.gates):
        gate.check_code(f"gates.{number}")
    _check_candidates(spec)
    if spec.expectations:
        build(spec.expectations)
    for number, receiver in enumerate(spec.notify):
        if isinstance(receiver, NotifierReceiver):
            import_path(receiver.notifier, f"notify.{number}.notifier", kind="notifier", fits=_notifies)


def _check_metrics(spec: PipelineSpec) -> None:
    from contender.metrics.check import check_metric

    places = {"sweep.metric": (spec.sweep.metric, True)}
    for number, gate in enumerate(spec.gates):
        places |= {f"gates.{number}.metric": (metric, gate.ranks) for metric in gate.metrics}
        if why := gate.never_passes():
            msg = f"gates.{number}: {why}"
            raise ConfigError(msg)
    called: dict[str, set[str]] = defaultdict(set)  # metrics by the label that MLflow and reports show
    for place, (metric, ranks) in places.items():
        check_metric(metric, place, classification=spec.data.classification, ranks=ranks)
        called[metric_label(metric)].add(metric)
        if len(called[metric_label(metric)]) > 1:
            msg = f"{place}: {' and '.join(sorted(called[metric_label(metric)]))} would be shown by one name; rename yours"
            raise ConfigError(msg)


def _check_candidates(spec: PipelineSpec) -> None:
    from contender.documents.sweep import History
    from contender.sweep.model import build_model, check_params

    for number, candidate in enumerate(spec.sweep.candidates):
        place, pipeline = f"sweep.candidates.{number}", candidate.pipeline is not None
        model = check_params(candidate.path, candidate.params, place, pipeline=pipeline)
        check_ships(model, own_code(candidate.path, pipeline=pipeline), place)
    # Whether a model gives probabilities may depend on its parameters, so models of proposed points are checked.
    proposed = spec.sweep.strategy.propose(spec.sweep.candidates, spec.seed, History())
    for number, candidate in enumerate(spec.sweep.candidates):
        models = (
            build_model(candidate.path, point.params, spec.seed, pipeline=candidate.pipeline is not None)
            for point in proposed
            if point.candidate == number
        )
        if spec.data.classification and not any(hasattr(model, "predict_proba") for model in models):
            msg = (
                f"sweep.candidates.{number}: {candidate.label} gives no probabilities (predict_proba), which judging "
                "needs; choose another estimator or other parameters"
            )
            raise ConfigError(msg)


def _notifies(found: object) -> bool:
    return callable(getattr(found, "notify", None))
