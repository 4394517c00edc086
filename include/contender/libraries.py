"""A spec against the libraries and the user's own code: is everything that it names there, and is it what it should be?"""

from __future__ import annotations

import inspect
from collections import defaultdict
from typing import TYPE_CHECKING

from contender.errors import ConfigError
from contender.judge.gates import BeatsGate, CustomGate, ThresholdGate
from contender.judge.ranges import never_met
from contender.judge.scorecard import metric_label
from contender.notices import NotifierReceiver
from contender.owncode import check_ships, import_path, own_code

if TYPE_CHECKING:
    from contender.spec import PipelineSpec


def check_libraries(spec: PipelineSpec) -> None:
    """See that everything a spec names is there, before anything is read or trained. Own code is imported and called.

    Raises:
        ConfigError: the first thing that is not, located, with a suggestion.
    """
    from contender.data.checks.expectations import build

    _check_metrics(spec)
    _check_gate_functions(spec)
    _check_candidates(spec)
    if spec.expectations:
        build(spec.expectations)
    for number, receiver in enumerate(spec.notify):
        if isinstance(receiver, NotifierReceiver):
            import_path(receiver.notifier, f"notify.{number}.notifier", kind="notifier", fits=_notifies)


def _check_metrics(spec: PipelineSpec) -> None:
    from contender.judge.metrics import check_metric

    places = {"sweep.metric": (spec.sweep.metric, True)}
    for number, gate in enumerate(spec.gates):
        if not isinstance(gate, CustomGate) and gate.metric is not None:
            places[f"gates.{number}.metric"] = (gate.metric, isinstance(gate, BeatsGate))
        if isinstance(gate, ThresholdGate) and (why := never_met(gate)):
            msg = f"gates.{number}: {why}"
            raise ConfigError(msg)
    called: dict[str, set[str]] = defaultdict(set)
    for place, (metric, ranks) in places.items():
        check_metric(metric, place, classification=spec.data.classification, ranks=ranks)
        called[metric_label(metric)].add(metric)
        if len(called[metric_label(metric)]) > 1:
            msg = f"{place}: {' and '.join(sorted(called[metric_label(metric)]))} would be shown by one name; rename yours"
            raise ConfigError(msg)


def _check_gate_functions(spec: PipelineSpec) -> None:
    for number, gate in enumerate(spec.gates):
        if not isinstance(gate, CustomGate):
            continue
        function = import_path(gate.function, f"gates.{number}.function", kind="function")
        try:
            inspect.signature(function).bind(None, **gate.arguments)
        except TypeError as error:
            msg = f"gates.{number}.arguments: {gate.function} cannot be called with the evidence and these arguments: {error}"
            raise ConfigError(msg) from None


def _check_candidates(spec: PipelineSpec) -> None:
    from contender.sweep.model import build_model, check_params
    from contender.sweep.strategies import History

    for number, candidate in enumerate(spec.sweep.candidates):
        place, pipeline = f"sweep.candidates.{number}", candidate.pipeline is not None
        model = check_params(candidate.path, candidate.params, place, pipeline=pipeline)
        check_ships(model, own_code(candidate.path, pipeline=pipeline), place)
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
