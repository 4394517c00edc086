"""``contender adopt``: make a model that Contender did not train the champion; later candidates must beat it.

All checks come before the first write: the model loads, it predicts today's rows, its positive class is known, and so
are the rows it may have been trained on. Then, as in a promotion: release, version, verification in a fresh process,
ledger, alias.

Loading a model runs its code. It is loaded only because a user named exactly this model on the command line, and the
files that were loaded are the files that are released.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contender.canonical import content_key, sha256
from contender.check import check_libraries
from contender.data.checks.quarantine import examine, judge_quarantine
from contender.data.rows import Rows, as_features, as_frame, kept_rows
from contender.data.snapshot import read_window, unread_among
from contender.data.split import was_held_out
from contender.documents.columns import Column
from contender.documents.release import Adopted, Recipe, Release, TrainedOn
from contender.documents.run import Run
from contender.errors import ConfigError, DataRejected, did_you_mean
from contender.judge.comparing import measured
from contender.metrics.predictions import Predictions
from contender.release import bundle as releases
from contender.release import registry, title, witness
from contender.release.foreign_model import (
    AdoptedModel,
    as_text,
    input_type,
    native_model,
    positive_index,
    predict_foreign,
)
from contender.run.code import installed_code
from contender.store.ledger import Evidence, LedgerEntry, shown_version
from contender.telling import raised
from contender.tracking import foreign
from contender.words import metric_score

if TYPE_CHECKING:
    from contender.backends import Backends
    from contender.spec.pipeline import PipelineSpec
    from contender.store.ledger import Ledger


@dataclass(frozen=True)
class Request:
    """The options of ``contender adopt``.

    Attributes:
        version: a version of the pipeline's registered model; exclusive with ``model``.
        model: the MLflow address of any model.
        through: the model may have been trained on rows before this moment; default: when it was saved. Only for a
            pipeline with a time column.
        unseen: the user states that the gate rows were not trained on. Only for a pipeline without a time column.
        positive: the model's positive class, where its classes do not tell.
        reason: required when a champion is replaced.
    """

    as_of: datetime
    by: str
    version: str | None = None
    model: str | None = None
    through: datetime | None = None
    unseen: bool = False
    positive: str | None = None
    reason: str = ""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Adoption:
    """The champion's ledger entry, whether it existed before, and notes for the user."""

    entry: LedgerEntry
    already: bool
    notes: tuple[str, ...] = ()


def adopt_model(backends: Backends, spec: PipelineSpec, request: Request) -> Adoption:
    """Make a model the champion: release it, verify it, append to the ledger, set the alias. Idempotent.

    Raises:
        ConfigError: the request or the model does not fit the pipeline; nothing was written.
        DataUnavailable, DataRejected: there is no data to check it on, or the model cannot predict it.
        BackendError: the model does not load, or the release does not verify; the champion does not change.
        Conflict: the champion changed meanwhile, or the alias was set outside Contender to another version.
    """
    _check_request(spec, request)
    ledger = witness.open_ledger(backends, spec.name)
    champion = ledger.champion()
    origin = foreign.find(backends.tracking, spec.name, version=request.version, model=request.model)
    with tempfile.TemporaryDirectory(prefix="contender-") as scratch:
        folder = foreign.fetch(backends.tracking, origin.uri, Path(scratch))
        files = releases.model_files(folder)
        hashes = {name: sha256(content) for name, content in sorted(files.items())}
        digest = content_key(hashes)
        version = origin.version or foreign.copied_version(backends.tracking, spec.name, digest)
        already = _existing_entry(backends, spec, request, ledger, version)
        if already is not None:
            title.project_alias(backends, ledger)  # an earlier adoption may have been killed between ledger and alias
            return Adoption(already, already=True)
        title.refuse_foreign_alias(backends, ledger, adopting=version)
        check_libraries(spec)
        rows, offered = _rows(backends, spec, request)
        loaded = releases.with_same_sklearn(lambda: releases.load_foreign(folder))
        columns, inputs = _model_columns(loaded, rows, offered)
        recipe = _recipe(loaded, rows, _gate_features(rows, columns), inputs, request, origin.uri)
        predicted = _predictions(AdoptedModel(loaded, recipe), rows, columns)
        evidence, notes = _evidence(rows, predicted, recipe.trained_on, stated=request.through is not None)
        release, golden = _release(rows, columns, recipe, predicted, hashes)
        releases.keep_release(backends, release, files, golden)
        entry = title.take(
            backends,
            ledger,
            kind="adoption",
            run_id=release.run_id,
            as_of=request.as_of,
            by=request.by,
            reason=_reason(request, origin.uri, recipe.trained_on, champion),
            evidence=evidence,
            expected=champion,
            number=version,
        )
    return Adoption(entry, already=False, notes=notes)


def _check_request(spec: PipelineSpec, request: Request) -> None:
    if (request.version is None) == (request.model is None):
        msg = "adopt: name one model, with --version N (of the pipeline's registered model) or --model URI"
        raise ConfigError(msg)
    if spec.data.time is not None and request.unseen:
        msg = (
            "--unseen is for a pipeline without data.time; with one, say until when the model was trained: "
            "--trained-through DATE"
        )
        raise ConfigError(msg)
    if request.positive is not None and not spec.data.classification:
        msg = f"--positive is for a classification; {spec.name} has no data.positive"
        raise ConfigError(msg)
    if request.through is not None and request.through > request.now:
        msg = f"--trained-through: {request.through:%Y-%m-%d %H:%M} UTC is in the future"
        raise ConfigError(msg)
    if spec.data.time is None and request.through is not None:
        msg = (
            "--trained-through needs a time column: set data.time, or say --unseen if the gate rows were not trained on"
        )
        raise ConfigError(msg)
    if spec.data.time is None and not request.unseen:
        msg = (
            f"{spec.name} has no data.time, so nobody can know which of its rows the model was trained on, and a champion "
            "that may have seen the gate rows is never compared with anything. Set data.time (and data.window) in the "
            "YAML, then newer rows judge; or, if you know that today's gate rows "
            f"({spec.gate_share:g} of all, by a hash of {spec.data.id or 'the features'}) were not trained on, say --unseen"
        )
        raise ConfigError(msg)


def _existing_entry(
    backends: Backends,
    spec: PipelineSpec,
    request: Request,
    ledger: Ledger,
    version: str | None,
) -> LedgerEntry | None:
    """The champion's entry, if the champion is this model and the request states nothing new about it.

    Raises:
        ConfigError: the model served before, or a reason is missing to replace or correct the champion.
    """
    champion = ledger.champion()
    if champion is None:
        return None
    reasoned = bool(request.reason.strip())
    served = None if version is None else registry.entry_of_version(backends, ledger, version)
    known = None if served is None else _readable_recipe(backends, served)
    if served is not None and known is not None and served.release == champion.release:
        through = known.trained_on.through
        if request.through in (None, through) or through is None or not isinstance(known, Adopted):
            return champion
        if not reasoned:
            msg = (
                f"{spec.name}: version {version} is the champion already, as trained through {through:%Y-%m-%d %H:%M} UTC; "
                "to correct that, say why: --reason TEXT"
            )
            raise ConfigError(msg)
        return None
    if known is not None:
        msg = (
            f"{spec.name}: version {version} served before; give it the title back with "
            f"contender rollback {spec.name} --to {version} --reason TEXT"
        )
        raise ConfigError(msg)
    if not reasoned:
        msg = (
            f"{spec.name}: version {shown_version(backends.store, champion)} is the champion ({champion.kind} of {champion.at:%Y-%m-%d}); "
            "to replace it, say why: --reason TEXT"
        )
        raise ConfigError(msg)
    return None


def _readable_recipe(backends: Backends, entry: LedgerEntry) -> Recipe | Adopted | None:
    """The recipe of a release that served. None when it cannot be read: then its model is adopted and signed anew."""
    if entry.run_id is None:
        return None
    try:
        return releases.read_release(backends, entry.pipeline, entry.run_id, expected=entry.release).recipe
    except releases.UnreadableRelease:
        return None


def _rows(backends: Backends, spec: PipelineSpec, request: Request) -> tuple[Rows, tuple[Column, ...]]:
    """Today's rows, validated as in a run, and all their columns. Nothing is written to the store."""
    run = Run(id="adoption", spec=spec, as_of=request.as_of, by=request.by, started=request.now, code=installed_code())
    table, snapshot = read_window(run, backends.store, backends.connections)
    unread = unread_among(table, snapshot)
    table = table.select([column.name for column in snapshot.columns])
    quarantine = examine(spec, snapshot, as_frame(table, spec.data.id), unread)
    judge_quarantine(snapshot, quarantine, spec.quarantine.max_share)
    return kept_rows(run, snapshot, quarantine, table), snapshot.columns


def _recipe(loaded: Any, rows: Rows, features: Any, inputs: dict[str, str], request: Request, source: str) -> Adopted:
    """The model's inputs, its positive class, and the rows it may have been trained on.

    Args:
        features: the gate rows, with the columns that the model needs.
    """
    classification = rows.run.spec.data.classification
    try:
        values, classes = predict_foreign(loaded, features, inputs, classification=classification)
    except DataRejected:
        text = {str(name): "category" for name, dtype in features.dtypes.items() if str(dtype) == "str"}
        if _flavor(loaded) != "lightgbm" or not text:
            raise
        inputs = inputs | text  # LightGBM stores the categories itself, but requires columns of dtype category
        values, classes = predict_foreign(loaded, features, inputs, classification=classification)
    positive = None
    if rows.labels is not None:
        positive = positive_index(classes, rows.labels, request.positive)
        if request.positive is None and (classes is None or set(as_text(classes)) != set(rows.labels)):
            _check_convention(values[:, positive], rows.target[rows.split.gate], rows.labels)
    raw = native_model(loaded)
    last = raw[-1] if raw is not None and hasattr(raw, "steps") else raw
    seen = rows.trained_on
    if rows.run.spec.data.time is not None:
        saved = foreign.saved_at(loaded) or request.now
        seen = seen.model_copy(update={"through": request.through or min(saved, request.now)})
    return Adopted(
        source=source,
        estimator=_flavor(loaded) if last is None else f"{type(last).__module__}.{type(last).__qualname__}",
        inputs=inputs,
        positive=positive,
        trained_on=seen,
    )


def _check_convention(probability: Any, target: Any, labels: tuple[str, str]) -> None:
    """Check on the data a positive class that was assumed by convention only.

    Raises:
        ConfigError: its mean probability is lower where the target is positive.
    """
    both = 0 < target.mean() < 1
    if both and probability[target == 1].mean() < probability[target == 0].mean():
        msg = (
            f"the model's class 1 was taken for {labels[1]!r}, but is less probable where the target is {labels[1]!r}; "
            "say which of its classes is meant: --positive 0 or --positive 1"
        )
        raise ConfigError(msg)


def _flavor(loaded: Any) -> str:
    """MLflow's name of the library that saved the model, such as ``sklearn``."""
    return next((name for name in loaded.metadata.flavors if name != "python_function"), "python_function")


def _predictions(model: AdoptedModel, rows: Rows, columns: tuple[Column, ...]) -> Predictions:
    try:
        features = _gate_features(rows, columns)
        return Predictions.of(model, features, classification=rows.run.spec.data.classification)
    except ConfigError:
        raise
    except ValueError as error:
        msg = f"the model cannot be a champion: {raised(error)}"
        raise DataRejected(msg) from None


def _model_columns(
    loaded: Any, rows: Rows, all_columns: tuple[Column, ...]
) -> tuple[tuple[Column, ...], dict[str, str]]:
    """The columns that the model needs, and the dtypes it needs them with.

    Raises:
        ConfigError: the data lacks a column or has another type for it, or the model does not name its columns.
    """
    spec = rows.run.spec
    offered = {column.name: column for column in all_columns if column.name != spec.data.target}
    asked = foreign.columns(loaded)
    if asked is None:
        raw = native_model(loaded)
        names = getattr(raw, "feature_names_in_", None)
        if names is None and hasattr(raw, "n_features_in_"):
            msg = (
                "the model was fitted on columns without names and has no signature, so nobody can tell which is which; "
                "log it again with signature=infer_signature(X, ...) where X is a DataFrame"
            )
            raise ConfigError(msg)
        given = [one.name for one in rows.columns] if names is None else names
        wanted: dict[str, str | None] = {str(name): None for name in given}
    else:
        wanted = {name: kind for name, (kind, needed) in asked.items() if needed or name in offered}
    for name in wanted:
        if name not in offered:
            kind = f" (as {wanted[name]})" if wanted[name] else ""
            why = " It is under data.exclude." if name in spec.data.exclude else did_you_mean(name, offered)
            why = " It is the target." if name == spec.data.target else why
            msg = f"the model needs the column {name[:60]!r}{kind}, which the data does not offer.{why}"
            raise ConfigError(msg)
    types = {name: input_type(name, offered[name].type, kind) for name, kind in wanted.items()}
    return tuple(offered[name] for name in wanted), {name: dtype for name, dtype in types.items() if dtype is not None}


def _gate_features(rows: Rows, columns: tuple[Column, ...]) -> Any:
    return as_features(rows.frame, columns).iloc[rows.split.gate]


def _release(
    rows: Rows, columns: tuple[Column, ...], recipe: Adopted, predicted: Predictions, hashes: dict[str, str]
) -> tuple[Release, bytes]:
    """The manifest and the golden rows. Its run id contains its hash, so it never overwrites another release."""
    golden = _gate_features(rows, columns).head(releases.GOLDEN_ROWS).reset_index(drop=True)
    bundle = releases.golden_parquet(golden, predicted.values[: len(golden)])
    release = Release(
        pipeline=rows.run.pipeline,
        run_id="",
        as_of=rows.run.as_of,
        recipe=recipe,
        code=rows.run.code,
        model=recipe.source,
        features=columns,
        labels=rows.labels,
        files=hashes,
        golden=sha256(bundle),
    )
    name = f"adoption-{content_key(release.model_dump(mode='json'))[:16]}"
    return release.model_copy(update={"run_id": name}), bundle


def _evidence(rows: Rows, predicted: Predictions, seen: TrainedOn, *, stated: bool) -> tuple[Evidence, tuple[str, ...]]:
    """The metric on the gate rows that the model cannot have been trained on, and notes about all gate rows."""
    metric, gate = rows.run.spec.sweep.metric, rows.split.gate
    target = rows.target[gate]
    fresh = was_held_out(rows.frame.iloc[gate], seen)
    value = measured(predicted, [metric], target, fresh).metrics.get(metric)
    everywhere = measured(predicted, [metric], target, np.ones(len(gate), dtype=bool)).metrics.get(metric)
    notes = [f"predicts all {len(gate)} gate rows of today"]
    if everywhere is not None and not fresh.all():
        notes.append(f"{metric_score(metric, everywhere)} on all of them, some of which it may have been trained on")
    if value is not None:
        notes.append(f"{metric_score(metric, value)} on the {int(fresh.sum())} that it was not trained on")
    else:
        end = "" if seen.through is None else f", those from {seen.through:%Y-%m-%d %H:%M} UTC on"
        end += "" if stated or seen.through is None else "; if you know that it saw less, say --trained-through DATE"
        notes.append(f"{int(fresh.sum())} of them are new to it, too few for {metric}: later ones will judge it{end}")
    return Evidence(metric=metric, value=value), tuple(notes)


def _reason(request: Request, source: str, seen: TrainedOn, champion: LedgerEntry | None) -> str:
    """The ledger's reason: the user's words, and what was stated about the rows the model was trained on."""
    parts = [request.reason.strip()] if request.reason.strip() else []
    parts.append(f"adopted {source}" + ("" if champion is None else f" in place of version {champion.version}"))
    if seen.through is None:
        parts.append(f"{request.by} says that it was not trained on the gate rows")
    else:
        who = f"{request.by} says" if request.through is not None else "when it was saved"
        parts.append(f"trained on nothing from {seen.through:%Y-%m-%d %H:%M} UTC on ({who})")
    return "; ".join(parts)
