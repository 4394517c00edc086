"""A spec against the libraries: do the metrics, estimators, parameters and expectations it names exist?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contender.errors import ConfigError

if TYPE_CHECKING:
    from contender.spec import PipelineSpec


def check_libraries(spec: PipelineSpec) -> None:
    """See that everything a spec names is there, before anything is read or trained.

    Raises:
        ConfigError: the first thing that is not, located, with a suggestion.
    """
    from contender.data.expectations import build_suite
    from contender.judge.metrics import check_metric
    from contender.sweep.model import build_model, check_params

    classification = spec.data.classification
    check_metric(spec.sweep.metric, "sweep.metric", classification=classification)
    for number, gate in enumerate(spec.gates):
        if gate.metric is not None:
            check_metric(gate.metric, f"gates.{number}.metric", classification=classification)
    for number, candidate in enumerate(spec.sweep.candidates):
        place = f"sweep.candidates.{number}"
        check_params(candidate.estimator, candidate.params, place)
    proposed = spec.sweep.strategy.propose(spec.sweep.candidates, spec.seed)
    for number, candidate in enumerate(spec.sweep.candidates):
        models = (build_model(c.estimator, params, spec.seed) for c, params in proposed if c == candidate)
        if classification and not any(hasattr(model, "predict_proba") for model in models):
            msg = (
                f"sweep.candidates.{number}: {candidate.label} gives no probabilities (predict_proba), which judging "
                "needs; choose another estimator or other parameters"
            )
            raise ConfigError(msg)
    if spec.expectations:
        build_suite(spec.expectations)
