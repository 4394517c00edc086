"""Rows that judge what they, in other clothes, have taught: copies, and entities that are on both sides of the split."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from contender.data.leaks.ids import whole
from contender.data.leaks.telling import Leak

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contender.data.leaks.kept import KeptRows
    from contender.data.split import Split

_ROWS = 50_000
_SHARE = 0.01
_MET = 20
# How often targets must agree beyond chance: two classes often do so by themselves, two numbers seldom.
_AGREE = {True: 0.8, False: 0.3}
_PER_ENTITY = (1.5, 50.0)
_SEVERAL = 50


class _Meeting(NamedTuple):
    """Gate rows that meet sweep rows with an equal key: how many, and how often their targets agree."""

    gate: int
    met: int
    agree: float
    chance: float

    @property
    def share(self) -> float:
        return self.met / self.gate

    @property
    def beyond_chance(self) -> float:
        """Cohen's kappa: 0 when they agree as any two rows do, 1 when always."""
        return 0.0 if self.chance >= 1 else (self.agree - self.chance) / (1 - self.chance)

    def tells(self, *, classification: bool) -> bool:
        return self.met >= _MET and self.share >= _SHARE and self.beyond_chance >= _AGREE[classification]


def copied_rows(kept: KeptRows, names: list[str]) -> Iterator[Leak]:
    """Rows that judge and have the features and the target of rows that train (of another id, where there is one).

    Args:
        names: the features that a model sees.
    """
    run = kept.run
    if not names:
        return
    levels = kept.few.frame[names].nunique().sort_values(ascending=False, kind="stable")
    text = {column.name for column in kept.features if column.type == "text"}
    most_varied = sorted(levels.index, key=lambda name: name in text)[:3]  # numbers first: they are hashed faster
    few = kept.alike(most_varied, _ROWS)
    sides = few.sides(run)
    if sides is None:
        return
    keys = pd.util.hash_pandas_object(few.frame[names], index=False).to_numpy()
    own = None if run.spec.data.id is None else few.frame[run.spec.data.id]
    meeting = _meet(keys, few.target, sides, own)
    same = (
        kept.few.frame[names].apply(lambda column: (column.value_counts(normalize=True, dropna=False) ** 2).sum())
    ).prod()
    by_chance = min(1.0, float(same) * len(kept.positions))
    if meeting.tells(classification=run.spec.data.classification) and by_chance < meeting.share / 10:
        yield Leak(
            "duplicates",
            (),
            f"{meeting.share:.1%} of the rows that judge have the features of rows that train; {meeting.agree:.1%} of "
            f"those have their target, too (by chance: {meeting.chance:.1%})",
        )


def divided_entities(kept: KeptRows) -> Iterator[Leak]:
    """Columns that say what a row is about, in a random split that does not know of them."""
    data = kept.run.spec.data
    if data.id is not None or data.time is not None:
        return
    here = kept.few.sides(kept.run)
    for column in kept.features:
        values = kept.few.frame[column.name]
        if values.nunique() < _SEVERAL or not (column.type == "text" or whole(values.dropna())):
            continue
        if here is not None:  # among a few of many rows they seldom meet, but agree as often as among all
            seen = _meet(pd.factorize(values)[0], kept.few.target, here)
            if seen.met >= _MET and seen.beyond_chance < _AGREE[data.classification]:
                continue
        few = kept.alike([column.name], _ROWS)
        codes = pd.factorize(few.frame[column.name], sort=True)[0]
        several = _PER_ENTITY[0] <= len(codes) / max(codes.max(initial=0), 1) <= _PER_ENTITY[1]
        sides = few.sides(kept.run) if several else None
        if sides is None:
            continue
        meeting = _meet(codes, few.target, sides)
        if not meeting.tells(classification=data.classification):
            continue
        if column.type != "text":  # of a quantity the neighbours say nearly what it says itself; a name has none
            beside = codes.copy()
            beside[sides.gate] += 1
            if _meet(beside, few.target, sides).beyond_chance > 0.5 * meeting.beyond_chance:
                continue
        yield Leak(
            "entity",
            (column.name,),
            f"{meeting.share:.1%} of the rows that judge share it with rows that train; {meeting.agree:.1%} of those have "
            f"their target, too (by chance: {meeting.chance:.1%})",
        )


def _meet(keys: np.ndarray, target: np.ndarray, sides: Split, own: pd.Series | None = None) -> _Meeting:
    """What gate rows find on the other side under their key, rows of their own id (``own``) left out."""
    rows = pd.DataFrame({"key": keys, "target": target, "own": 0 if own is None else pd.factorize(own)[0]})
    sweep, gate = rows.iloc[sides.sweep], rows.iloc[sides.gate]

    def there(*by: str) -> np.ndarray:
        sizes = sweep.groupby(list(by)).size().rename("size").reset_index()
        return np.asarray(gate[list(by)].merge(sizes, how="left", on=list(by))["size"].fillna(0))

    others, agreeing = there("key"), there("key", "target")
    if own is not None:
        others, agreeing = others - there("key", "own"), agreeing - there("key", "target", "own")
    met = others > 0
    if not met.any():
        return _Meeting(len(gate), 0, 0.0, 0.0)
    usual = sweep["target"][sweep["key"].isin(gate["key"][met])].value_counts(normalize=True)
    chance = usual.reindex(gate["target"][met]).fillna(0).mean()
    return _Meeting(len(gate), int(met.sum()), float((agreeing[met] / others[met]).mean()), float(chance))
