"""The former champion looks on: when it is shown better than the one that replaced it, a rollback is advised.

Each run scores it beside the champion on rows that are new to both. How long that goes on nobody knows, so what all looks
say together is read by a bound that holds at any time (``stats.eprocess``).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from contender.data.split import was_held_out
from contender.documents.challenger import Former
from contender.judge.contest import champion_predictions
from contender.judge.looking import look_at
from contender.telling import raised
from contender.words import counted, metric_name, score

if TYPE_CHECKING:
    from contender.data.rows import Rows
    from contender.documents.scoreboard import Scoreboard
    from contender.judge.contest import Contest
    from contender.judge.title import Title

_logger = logging.getLogger(__name__)


def with_former(contest: Contest, rows: Rows, title: Title, before: Former | None) -> Contest:
    """The contest, its board completed with what was seen of the former champion, this run's look included."""
    spec = rows.run.spec
    if title.former_number is None or title.number is None:
        return contest
    going = before
    asked = (title.number, title.former_number, spec.sweep.metric)
    if before is None or (before.champion, before.number, before.metric) != asked:
        if title.former is None:
            return contest
        going = Former(
            champion=title.number, number=title.former_number, version=title.former.version, metric=spec.sweep.metric
        )
    if going is not None and title.former is not None and "champion" in contest.predictions:
        try:
            said = champion_predictions(title.former, rows)
        except MemoryError:  # the machine's: a retry may help
            raise
        except Exception as error:  # noqa: BLE001 - an old model may raise anything on new data; it is not looked at then
            _logger.warning("the former champion, version %s, cannot predict: %s", title.former.version, raised(error))
        else:
            new = contest.fresh & was_held_out(rows.frame.iloc[rows.split.gate], title.former.release.recipe.trained_on)
            look = look_at(
                contest,
                rows,
                said,
                contest.predictions["champion"],
                opponent="champion",
                new=new,
                metrics=[spec.sweep.metric],
                looks=going.looks,
            )
            if not isinstance(look, str):
                going = going.model_copy(update={"looks": (*going.looks, look)})
    return replace(contest, board=contest.board.model_copy(update={"former": going}))


def advice(board: Scoreboard, champion: str | None) -> str | None:
    """That a rollback is advised, with what was seen; None while the former champion is not shown better.

    Args:
        champion: the version that serves.
    """
    from contender.stats.budget import ALPHA
    from contender.stats.eprocess import anytime
    from contender.stats.spending import looks_of

    former = board.former
    if former is None or not former.looks:
        return None
    looks = looks_of(former.looks, former.metric)
    found = anytime(looks, alpha=ALPHA)
    if not found.proved:
        return None
    return (
        f"a rollback to version {former.version} is advised: it is {score(found.difference, digits=3)} better than version "
        f"{champion} in {metric_name(former.metric)} over {counted(len(looks), 'look')}, {sum(one.rows for one in looks):,} rows "
        f"since {former.looks[0].begin:%Y-%m-%d}"
    )
