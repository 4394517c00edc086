"""Packing: every trial in exactly one shard, in at most so many tasks, each with a like share of the slow kinds."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from contender.documents import Trial
from contender.sweep.shards import pack


def trials(*kinds: str) -> list[Trial]:
    return [Trial(key=f"k{n}", estimator=f"pkg.{kind}", params={}, seed=0) for n, kind in enumerate(kinds)]


@given(st.lists(st.sampled_from("ABC"), max_size=30), st.integers(1, 12))
def test_every_trial_is_in_exactly_one_shard(kinds: list[str], tasks: int) -> None:
    made = trials(*kinds)
    shards = pack(made, tasks)
    assert Counter(key for shard in shards for key in shard.trials) == Counter(trial.key for trial in made)
    assert len(shards) == max(1, min(tasks, len(made)))
    assert [shard.index for shard in shards] == [*range(len(shards))]


@given(st.lists(st.sampled_from("ABC"), min_size=1, max_size=30), st.integers(1, 12))
def test_no_shard_has_more_than_one_trial_of_a_kind_above_another(kinds: list[str], tasks: int) -> None:
    made = {trial.key: trial for trial in trials(*kinds)}
    shards = pack([*made.values()], tasks)
    for kind in set(kinds):
        shares = [sum(made[key].label == kind for key in shard.trials) for shard in shards]
        assert max(shares) - min(shares) <= 1
    lengths = [len(shard.trials) for shard in shards]
    assert max(lengths) - min(lengths) <= 1


def test_a_shard_says_what_is_in_it() -> None:
    shards = pack(trials("A", "B", "A", "A"), 2)
    assert [shard.label for shard in shards] == ["1/2: A x2", "2/2: A x1, B x1"]
    assert [shard.trials for shard in shards] == [("k0", "k3"), ("k2", "k1")]


def test_nothing_to_train_is_one_shard_so_that_the_mapped_task_still_runs() -> None:
    [shard] = pack([], 4)
    assert (shard.trials, shard.label) == ((), "1/1: nothing left to train")
