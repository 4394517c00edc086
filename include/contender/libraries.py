"""A spec against the libraries: do the metrics, estimators, parameters and expectations it names exist?"""

from __future__ import annotations

from typing import TYPE_CHECKING

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

    check_metric(spec.sweep.metric, "sweep.metric")
    for number, gate in enumerate(spec.gates):
        if gate.metric is not None:
            check_metric(gate.metric, f"gates.{number}.metric")
    for number, candidate in enumerate(spec.sweep.candidates):
        place = f"sweep.candidates.{number}"
        check_params(candidate.estimator, candidate.params, place)
        build_model(candidate.estimator, {}, spec.seed)
    if spec.expectations:
        build_suite(spec.expectations)
