"""Duplicate rows and entities on both sides of the split: their targets are known from rows that were trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from contender.data.leaks.ids import is_whole
from contender.data.leaks.target import Leak

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contender.data.leaks.sample import KeptRows
    from contender.data.split import Split

_ROWS = 50_000
_SHARE = 0.01  # of the gate rows
_MATCHED = 20  # gate rows; fewer prove nothing
# Cohen's kappa from which targets agree suspiciously, by classification: two classes often agree, two numbers seldom.
_AGREE = {True: 0.8, False: 0.3}
_PER_ENTITY = (1.5, 50.0)  # rows on average: fewer are no entity, more are a category
_ENTITIES = 50


class _Overlap(NamedTuple):
    """Gate rows of which sweep rows have the same key.

    Attributes:
        gate: all gate rows.
        matched: those with such sweep rows.
        agree: the mean share of such sweep rows with the same target.
        chance: the same for sweep rows chosen at random.
    """

    gate: int
    matched: int
    agree: float
    chance: float

    @property
    def share(self) -> float:
        return self.matched / self.gate

    @property
    def kappa(self) -> float:
        """Cohen's kappa: 0 when targets agree as by chance, 1 when always."""
        return 0.0 if self.chance >= 1 else (self.agree - self.chance) / (1 - self.chance)

    def is_leak(self, *, classification: bool) -> bool:
        return self.matched >= _MATCHED and self.share >= _SHARE and self.kappa >= _AGREE[classification]


def duplicate_rows(kept: KeptRows, names: list[str], features: list[str] | None = None) -> Iterator[Leak]:
    """Gate rows with the features and the target of sweep rows; with an id, of sweep rows of another id.

    Args:
        names: the columns by which rows are alike.
        features: those of the model, which decide the roles where there is neither id nor time; None: ``names``.
    """
    run = kept.run
    if not names:
        return
    distinct = kept.sample.frame[names].nunique().sort_values(ascending=False, kind="stable")
    text = {column.name for column in kept.features if column.type == "text"}
    most_varied = sorted(distinct.index, key=lambda name: name in text)[:3]  # numbers first: they are hashed faster
    sample = kept.sample_groups(most_varied, _ROWS)
    sides = sample.sides(run, names if features is None else features)
    if sides is None:
        return
    keys = pd.util.hash_pandas_object(sample.frame[names], index=False).to_numpy()
    own = None if run.spec.data.id is None else sample.frame[run.spec.data.id]
    overlap = _overlap(keys, sample.target, sides, own)
    # The probability that two rows are equal if columns are independent, and from it the matches to expect by chance.
    same = (
        kept.sample.frame[names].apply(lambda column: (column.value_counts(normalize=True, dropna=False) ** 2).sum())
    ).prod()
    by_chance = min(1.0, float(same) * len(kept.positions))
    if overlap.is_leak(classification=run.spec.data.classification) and by_chance < overlap.share / 10:
        yield Leak(
            "duplicates",
            (),
            f"{overlap.share:.1%} of the rows that judge have the features of rows that train; {overlap.agree:.1%} of "
            f"those have their target, too (by chance: {overlap.chance:.1%})",
        )


def shared_entities(kept: KeptRows) -> Iterator[Leak]:
    """Columns that name an entity, such as a household, whose rows a random split puts on both sides."""
    data = kept.run.spec.data
    if data.id is not None or data.time is not None:
        return
    sides = kept.sample.sides(kept.run)
    for column in kept.features:
        values = kept.sample.frame[column.name]
        if values.nunique() < _ENTITIES or not (column.type == "text" or is_whole(values.dropna())):
            continue
        if sides is not None:  # in a random sample rows match seldom, but their targets agree as often as among all
            overlap = _overlap(pd.factorize(values)[0], kept.sample.target, sides)
            if overlap.matched >= _MATCHED and overlap.kappa < _AGREE[data.classification]:
                continue
        if (found := _shared(kept, column.name, number=column.type != "text")) is not None:
            yield Leak(
                "entity",
                (column.name,),
                f"{found.share:.1%} of the rows that judge share it with rows that train; {found.agree:.1%} of those "
                f"have their target, too (by chance: {found.chance:.1%})",
            )


def _shared(kept: KeptRows, name: str, *, number: bool) -> _Overlap | None:
    """The overlap by one column if it is a leak."""
    sample = kept.sample_groups([name], _ROWS)
    codes = pd.factorize(sample.frame[name], sort=True)[0]
    rows = len(codes) / max(codes.max(initial=0), 1)
    sides = sample.sides(kept.run) if _PER_ENTITY[0] <= rows <= _PER_ENTITY[1] else None
    if sides is None:
        return None
    overlap = _overlap(codes, sample.target, sides)
    if not overlap.is_leak(classification=kept.run.spec.data.classification):
        return None
    if number:  # the next value predicts the target about as well if the number is a quantity, but not if it is a name
        neighbours = codes.copy()
        neighbours[sides.gate] += 1
        if _overlap(neighbours, sample.target, sides).kappa > 0.5 * overlap.kappa:
            return None
    return overlap


def _overlap(keys: np.ndarray, target: np.ndarray, sides: Split, own: pd.Series | None = None) -> _Overlap:
    """The gate rows that sweep rows with the same key match, without those of the same id (``own``)."""
    rows = pd.DataFrame({"key": keys, "target": target, "own": 0 if own is None else pd.factorize(own)[0]})
    sweep, gate = rows.iloc[sides.sweep], rows.iloc[sides.gate]

    def count(*by: str) -> np.ndarray:
        sizes = sweep.groupby(list(by)).size().rename("size").reset_index()
        return np.asarray(gate[list(by)].merge(sizes, how="left", on=list(by))["size"].fillna(0))

    others, agreeing = count("key"), count("key", "target")
    if own is not None:
        others, agreeing = others - count("key", "own"), agreeing - count("key", "target", "own")
    matched = others > 0
    if not matched.any():
        return _Overlap(len(gate), 0, 0.0, 0.0)
    shares = sweep["target"][sweep["key"].isin(gate["key"][matched])].value_counts(normalize=True)
    chance = shares.reindex(gate["target"][matched]).fillna(0).mean()
    return _Overlap(len(gate), int(matched.sum()), float((agreeing[matched] / others[matched]).mean()), float(chance))
