"""Which pictures an iteration holds, in numbers that can be counted by hand."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseseg_jax.data.bias import REDUCTIONS, pictures_left, training_order
from poseseg_jax.data.iterations import MOST_HEADS, plan, sampling_weights, shares

# Ten pictures with one person, three with several, one with nobody.
HEADS = {**dict.fromkeys(range(1, 11), 1), 11: 2, 12: 2, 13: 15, 14: 0}
COUNTS = st.dictionaries(st.integers(1, 10**6), st.integers(0, 5), min_size=2)


@given(COUNTS, st.integers(0, 3), st.sampled_from(["removal", "random"]))
def test_each_iteration_removes_from_what_the_one_before_left(heads, seed, reduced_by):
    heads = {**heads, 2_000_000: 2}
    parts = plan(heads, seed=seed, reductions=REDUCTIONS, reduced_by=reduced_by)
    assert [part.reduction for part in parts] == list(REDUCTIONS)
    assert not parts[0].removed
    for before, after in itertools.pairwise(parts):
        assert set(after.image_ids) | set(after.removed) == set(before.image_ids)
        assert not set(after.image_ids) & set(after.removed)
        if reduced_by == "removal":
            assert all(heads[image_id] == 1 for image_id in after.removed)
    single = sum(number == 1 for number in heads.values())
    multi = sum(number > 1 for number in heads.values())
    for part in parts:
        left = pictures_left(multi, single, reduction=part.reduction)
        assert len(part.image_ids) == left
        assert part.persons == sum(heads[image_id] for image_id in part.image_ids)
        assert list(part.image_ids) == sorted(part.image_ids)


def test_an_iteration_is_the_prefix_of_the_training_order():
    order = training_order(HEADS, seed=7)
    for part in plan(HEADS, seed=7, reductions=range(101)):
        assert part.image_ids == tuple(sorted(order[: len(part.image_ids)]))


def test_the_order_in_which_reductions_are_given_does_not_matter():
    assert plan(HEADS, seed=0, reductions=[80, 30, 80]) == plan(
        HEADS, seed=0, reductions=[30, 80]
    )


def test_names_are_those_of_the_configs():
    names = [part.name for part in plan(HEADS, seed=0, reductions=[30])]
    controls = plan(HEADS, seed=0, reductions=[30], reduced_by="random")
    assert names == ["bias0", "bias30"]
    assert controls[1].name == "random30"


def test_weights_draw_as_many_as_removal_leaves():
    for part in plan(HEADS, seed=0, reductions=[30, 45, 100]):
        weights = sampling_weights(HEADS, part)
        assert list(weights) == list(range(1, 14))
        assert sum(weights.values()) == pytest.approx(len(part.image_ids))
        assert {weights[i] for i in (11, 12, 13)} == {1.0}


def test_shares_go_by_heads_and_sum_to_one():
    (whole, _) = plan(HEADS, seed=0, reductions=[30])
    found = shares(whole.heads)
    assert list(found) == [*map(str, range(1, MOST_HEADS + 1)), "14+"]
    assert found["1"] == pytest.approx(10 / 13)
    assert found["2"] == pytest.approx(2 / 13)
    assert found["14+"] == pytest.approx(1 / 13)
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("heads", "reductions", "message"),
    [
        (HEADS, [], r"no reduction above 0 % in \[\]"),
        (HEADS, [0], r"no reduction above 0 % in \[0\]"),
        (HEADS, [30, 101], "reduction is 101"),
        ({1: 0}, [30], "shows anybody who counts"),
        ({1: 1, 2: 1}, [30, 100], "Nothing is left with 100 % of 2 single-person"),
    ],
)
def test_what_leaves_nothing_is_refused(heads, reductions, message):
    with pytest.raises(ValueError, match=message):
        plan(heads, seed=0, reductions=reductions)
