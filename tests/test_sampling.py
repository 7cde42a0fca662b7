"""What an epoch is: parts of a source, and some of it less often."""

import json
import pickle
from collections import Counter

import numpy as np
import pytest

from poseseg_jax.data.sampling import Mixture, Subset, endless
from tests.test_pipeline import RECORDS, assert_same, first, ids, take, train

SOURCE = list(range(20))  # the first 8 always, of the other 12 some


def draw(source, number, seed=3):
    places = endless(source, seed=seed)
    return [source[places[index]] for index in range(number)]


def test_a_subset_is_a_source():
    subset = Subset(SOURCE, np.array([7, 3, 3]))
    assert [subset[index] for index in range(len(subset))] == [7, 3, 3]
    assert sorted(draw(subset, 3)) == [3, 3, 7]


@pytest.mark.parametrize("num_always", [0, 1, 5])
@pytest.mark.parametrize("num_by_turns", [1, 5, 12])
def test_shares_of_an_epoch_are_exact(num_always, num_by_turns):
    epoch = num_always + num_by_turns
    source = SOURCE[: num_always + 12]
    drawn = draw(Mixture(source, num_always, num_by_turns), 12 * epoch)
    for start in range(0, len(drawn), epoch):
        always = [i for i in drawn[start : start + epoch] if i < num_always]
        assert sorted(always) == list(range(num_always))
    # Twelve epochs go over the other twelve `num_by_turns` times.
    counts = Counter(drawn)
    assert all(counts[i] == num_by_turns for i in source[num_always:])


def test_nothing_but_the_first_is_drawn_where_no_turns_are_left():
    assert set(draw(Mixture(SOURCE, 8, 0), 16)) == set(range(8))


def test_at_any_time_the_others_came_equally_often_but_for_one():
    drawn = draw(Mixture(SOURCE, 8, 5), 13 * 7 + 4)
    others = Counter(i for i in drawn if i >= 8)
    assert set(others) == set(range(8, 20))
    # An epoch is shuffled: up to its length comes earlier or later.
    assert max(others.values()) - min(others.values()) <= 2


def test_the_others_come_in_another_order_every_time():
    mixture = Mixture(SOURCE[:12], 0, 12)
    epochs = [tuple(draw(mixture, 36)[start : start + 12]) for start in (0, 12, 24)]
    assert len(set(epochs)) == 3
    assert all(sorted(epoch) == list(range(12)) for epoch in map(list, epochs))
    assert draw(mixture, 12) != draw(mixture, 12, seed=4)


def test_the_first_ones_come_where_they_come_without_the_others():
    """So a run with removal and one with re-weighting differ in the others alone."""
    removed = draw(SOURCE[:13], 39)
    mixed = draw(Mixture(SOURCE, 8, 5), 39)
    assert [i for i in removed if i < 8] == [i for i in mixed if i < 8]
    assert [i < 8 for i in removed] == [i < 8 for i in mixed]


@pytest.mark.parametrize(
    ("always", "by_turns", "message"),
    [
        (8, 13, "8 records and 13 of the others: there are 20"),
        (21, 0, "21 records and 0"),
        (-1, 3, "-1 records"),
        (8, -1, "-1 of the others"),
        (0, 0, "an epoch is empty"),
    ],
)
def test_an_epoch_of_more_than_there_is_is_refused(always, by_turns, message):
    with pytest.raises(ValueError, match=message):
        Mixture(SOURCE, always, by_turns)


SOURCES = {
    "subset": Subset(RECORDS, np.array([9, 2, 5, 0, 7])),
    "mixture": Mixture(RECORDS, 4, 3),
}
EVERY_SOURCE = pytest.mark.parametrize("name", SOURCES)


@EVERY_SOURCE
def test_sources_are_small_to_send(name):
    source = SOURCES[name]
    copy = pickle.loads(pickle.dumps(source))
    assert len(copy) == len(source)
    assert copy[1]["image_id"] == source[1]["image_id"]


@EVERY_SOURCE
def test_restored_state_continues_exactly(name):
    source = SOURCES[name]
    expected = first(7, source=source)
    batches = train(source)
    take(batches, 3)
    state = json.dumps(batches.get_state())
    assert_same(take(batches, 2), expected[3:5])
    batches.set_state(json.loads(state))
    assert_same(take(batches, 4), expected[3:])
    batches.close()


@EVERY_SOURCE
def test_workers_change_nothing_and_may_change_on_resume(name):
    source = SOURCES[name]
    expected = first(5, source=source)
    batches = train(source, num_workers=2)
    assert_same(take(batches, 3), expected[:3])
    state = batches.get_state()
    batches.close()
    resumed = train(source)
    resumed.set_state(state)
    assert_same(take(resumed, 2), expected[3:])
    resumed.close()


@EVERY_SOURCE
def test_shards_together_give_the_global_batch(name):
    source = SOURCES[name]
    whole = first(4, source=source)
    halves = [
        first(4, source=source, batch_size=2, shard_index=i, shard_count=2)
        for i in range(2)
    ]
    merged = np.stack([ids(half) for half in halves], axis=1).ravel()
    assert merged.tolist() == ids(whole)


def test_batches_hold_what_the_mixture_says():
    seen = ids(first(49, source=SOURCES["mixture"], batch_size=4))
    counts = Counter(seen)  # 28 epochs
    assert all(counts[i] == 28 for i in range(100, 104))
    assert all(counts[i] == 12 for i in range(104, 111))
