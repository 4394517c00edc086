"""``contender adopt``: a model that somebody else made becomes the champion, and from then on defends its title.

Everything is asked of it before anything is written: that it loads, that it predicts today's rows, how its answers are
read, what it can have seen. Then, as in a promotion: release, version, verification in a fresh process, ledger, alias.

Loading a model runs its code. That happens here only because a user named this very model on the command line; what was
loaded, byte for byte, is what is released.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from contender import release as releases
from contender.adopted import AdoptedModel, as_text, ask, input_type, native, positive_answer
from contender.canonical import content_key, sha256
from contender.data.checks.quarantine import examine, judge_quarantine
from contender.data.columns import Column
from contender.data.rows import Rows, as_features, as_frame, kept_rows
from contender.data.snapshot import read_window, unread_among
from contender.data.split import trained_on, was_held_out
from contender.documents import Adopted, Release, Run, TrainedOn
from contender.errors import ConfigError, DataRejected, did_you_mean
from contender.judge.contest import scores_on
from contender.judge.metrics import Predictions
from contender.libraries import check_libraries
from contender.run import code
from contender.store.ledger import Evidence, Ledger, LedgerEntry
from contender.title import project_alias, refuse_foreign_alias
from contender.tracking import foreign

if TYPE_CHECKING:
    from contender.backends import Backends
    from contender.spec import PipelineSpec


@dataclass(frozen=True)
class Request:
    """What a user asks for.

    Attributes:
        version: of the pipeline's registered model; or else
        model: any MLflow address of a model.
        through: rows before this moment may have been trained on; default: when the model was saved. For a pipeline
            with a time column.
        unseen: the user's word that the gate rows were not trained on. For a pipeline without a time column.
        positive: which of the model's classes is the positive one, where it cannot be told.
        reason: must be given when a champion is replaced.
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
    """The champion's ledger entry, whether it was there before, and what to tell the user about it."""

    entry: LedgerEntry
    already: bool
    notes: tuple[str, ...] = ()


def adopt(backends: Backends, spec: PipelineSpec, request: Request) -> Adoption:
    """Make a model the champion: verified, released, entered in the ledger; the alias last. Done twice it is done once.

    Raises:
        ConfigError: the request, or the model, does not fit the pipeline; nothing was written.
        DataUnavailable, DataRejected: there is no data to see that with, or the model cannot predict it.
        BackendError: the model does not load, or the release does not verify; nobody's title changes.
        Conflict: the champion changed meanwhile, or the alias was set by somebody else to another version.
    """
    _check_request(spec, request)
    ledger = Ledger(backends.store, spec.name)
    champion = ledger.champion()
    origin = foreign.find(backends.tracking, spec.name, version=request.version, model=request.model)
    with tempfile.TemporaryDirectory(prefix="contender-") as scratch:
        folder = foreign.fetch(backends.tracking, origin.uri, Path(scratch))
        files = releases.model_files(folder)
        hashes = {name: sha256(content) for name, content in sorted(files.items())}
        digest = content_key(hashes)
        version = origin.version or foreign.copied_version(backends.tracking, spec.name, digest)
        already = _already(backends, spec, request, champion, ledger.entries(), version)
        if already is not None:
            project_alias(backends, spec.name)
            return Adoption(already, already=True)
        refuse_foreign_alias(backends, spec.name, adopting=version)
        check_libraries(spec)
        rows, offered = _rows(backends, spec, request)
        loaded = releases.exactly(lambda: releases.load_foreign(folder))
        columns, inputs = _contract(loaded, rows, offered)
        recipe = _recipe(loaded, rows, _gate_features(rows, columns), inputs, request, origin.uri)
        predicted = _predictions(AdoptedModel(loaded, recipe), rows, columns)
        evidence, notes = _evidence(rows, predicted, recipe.trained_on, stated=request.through is not None)
        release, golden = _release(rows, columns, recipe, predicted, hashes)
        releases.keep_release(backends, release, files, golden)
        version = version or foreign.register_copy(
            backends.tracking,
            spec.name,
            folder,
            digest=digest,
            origin=origin.uri,
            flavor=_flavor(loaded),
        )
    releases.verify_version(backends, spec.name, release.run_id, version)
    entry = ledger.append(
        kind="adoption",
        version=version,
        release=releases.manifest_hash(backends, spec.name, release.run_id),
        run_id=release.run_id,
        as_of=request.as_of,
        at=datetime.now(UTC),
        by=request.by,
        reason=_reason(request, origin.uri, recipe.trained_on, champion),
        evidence=evidence,
        expected=champion,
    )
    project_alias(backends, spec.name)
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
            f"({spec.gate_share:g} of all, by hash of {spec.data.id or 'the row'}) were not trained on, say --unseen"
        )
        raise ConfigError(msg)


def _already(
    backends: Backends,
    spec: PipelineSpec,
    request: Request,
    champion: LedgerEntry | None,
    entries: list[LedgerEntry],
    version: str | None,
) -> LedgerEntry | None:
    """The champion's entry if it is this model, and nothing else is said of it now.

    Raises:
        ConfigError: it served before, or another one serves and no reason is given.
    """
    if champion is None:
        return None
    reasoned = bool(request.reason.strip())
    if version is not None and champion.version == version and champion.run_id is not None:
        known = releases.read_release(backends, spec.name, champion.run_id).recipe
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
    if version is not None and any(entry.version == version for entry in entries if entry.kind != "keep"):
        msg = (
            f"{spec.name}: version {version} served before; give it the title back with "
            f"contender rollback {spec.name} --to {version} --reason TEXT"
        )
        raise ConfigError(msg)
    if not reasoned:
        msg = (
            f"{spec.name}: version {champion.version} is the champion ({champion.kind} of {champion.at:%Y-%m-%d}); "
            "to replace it, say why: --reason TEXT"
        )
        raise ConfigError(msg)
    return None


def _rows(backends: Backends, spec: PipelineSpec, request: Request) -> tuple[Rows, tuple[Column, ...]]:
    """Today's rows, validated as a run would, and all the columns they have; nothing is kept."""
    run = Run(id="adoption", spec=spec, as_of=request.as_of, by=request.by, started=request.now, code=code())
    table, snapshot = read_window(run, backends.store, backends.connections)
    unread = unread_among(table, snapshot)
    table = table.select([column.name for column in snapshot.columns])
    quarantine = examine(spec, snapshot, as_frame(table), unread)
    judge_quarantine(snapshot, quarantine, spec.quarantine.max_share)
    return kept_rows(run, snapshot, quarantine, table), snapshot.columns


def _recipe(loaded: Any, rows: Rows, features: Any, inputs: dict[str, str], request: Request, source: str) -> Adopted:
    """What the model takes, how its answers are read, and what it can have seen.

    Args:
        features: the gate rows, with the columns that the model needs.
    """
    classification = rows.run.spec.data.classification
    try:
        values, classes = ask(loaded, features, inputs, classification=classification)
    except DataRejected:
        text = {str(name): "category" for name, dtype in features.dtypes.items() if str(dtype) == "str"}
        if _flavor(loaded) != "lightgbm" or not text:
            raise
        inputs = inputs | text  # LightGBM keeps the categories itself and wants the type
        values, classes = ask(loaded, features, inputs, classification=classification)
    positive = None
    if rows.labels is not None:
        positive = positive_answer(classes, rows.labels, request.positive)
        if request.positive is None and (classes is None or set(as_text(classes)) != set(rows.labels)):
            _check_convention(values[:, positive], rows.target[rows.split.gate], rows.labels)
    raw = native(loaded)
    last = raw[-1] if raw is not None and hasattr(raw, "steps") else raw
    seen = trained_on(rows.run, rows.frame)
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
    """See that what is the positive class by convention only is so by the data, too.

    Raises:
        ConfigError: it is less probable where the target is positive.
    """
    both = 0 < target.mean() < 1
    if both and probability[target == 1].mean() < probability[target == 0].mean():
        msg = (
            f"the model's class 1 was taken for {labels[1]!r}, but is less probable where the target is {labels[1]!r}; "
            "say which of its classes is meant: --positive 0 or --positive 1"
        )
        raise ConfigError(msg)


def _flavor(loaded: Any) -> str:
    return next((name for name in loaded.metadata.flavors if name != "python_function"), "python_function")


def _predictions(model: AdoptedModel, rows: Rows, columns: tuple[Column, ...]) -> Predictions:
    try:
        features = _gate_features(rows, columns)
        return Predictions.of(model, features, classification=rows.run.spec.data.classification)
    except ConfigError:
        raise
    except ValueError as error:
        msg = f"the model cannot be a champion: {error}"
        raise DataRejected(msg) from None


def _contract(loaded: Any, rows: Rows, all_columns: tuple[Column, ...]) -> tuple[tuple[Column, ...], dict[str, str]]:
    """The columns that the model needs, and the type it needs each as.

    Raises:
        ConfigError: the data lacks one, has it as something else, or nobody can tell which column is which.
    """
    spec = rows.run.spec
    offered = {column.name: column for column in all_columns if column.name != spec.data.target}
    asked = foreign.columns(loaded)
    if asked is None:
        raw = native(loaded)
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
    """The manifest, under a name made of its content so that it never takes another's place, and the golden rows."""
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
    """The metric on the gate rows that the model cannot have seen, and what the user should know of all of them."""
    metric, gate = rows.run.spec.sweep.metric, rows.split.gate
    target = rows.target[gate]
    fresh = was_held_out(rows.frame.iloc[gate], seen)
    value = scores_on(predicted, [metric], target, fresh).get(metric)
    everywhere = scores_on(predicted, [metric], target, np.ones(len(gate), dtype=bool)).get(metric)
    notes = [f"predicts all {len(gate)} gate rows of today"]
    if everywhere is not None and not fresh.all():
        notes.append(f"{metric} {everywhere:.4f} on all of them, some of which it may have been trained on")
    if value is not None:
        notes.append(f"{metric} {value:.4f} on the {int(fresh.sum())} that it was not trained on")
    else:
        end = "" if seen.through is None else f", those from {seen.through:%Y-%m-%d %H:%M} UTC on"
        end += "" if stated or seen.through is None else "; if you know that it saw less, say --trained-through DATE"
        notes.append(f"{int(fresh.sum())} of them are new to it, too few for {metric}: later ones will judge it{end}")
    return Evidence(metric=metric, value=value), tuple(notes)


def _reason(request: Request, source: str, seen: TrainedOn, champion: LedgerEntry | None) -> str:
    """The user's words, and what was said of the model's past: it decides which rows may judge it."""
    parts = [request.reason.strip()] if request.reason.strip() else []
    parts.append(f"adopted {source}" + ("" if champion is None else f" in place of version {champion.version}"))
    if seen.through is None:
        parts.append(f"{request.by} says that it was not trained on the gate rows")
    else:
        who = f"{request.by} says" if request.through is not None else "when it was saved"
        parts.append(f"trained on nothing from {seen.through:%Y-%m-%d %H:%M} UTC on ({who})")
    return "; ".join(parts)
