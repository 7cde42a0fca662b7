"""Which pictures an iteration holds, in numbers that can be counted by hand."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseseg_jax.coco.annotations import read_document
from poseseg_jax.data.bias import REDUCTIONS, pictures_left, training_order
from poseseg_jax.data.iterations import MOST_HEADS, plan, sampling_weights, shares
from tests.coco_files import real_data

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


def test_cocos_figures_are_met():
    """The published chart of train2017's head counts, and what is left of it."""
    document = read_document(real_data("coco_train2017_keypoints_only.json.gz"))
    heads = Counter(
        entry["image_id"]
        for entry in document["annotations"]
        if any(entry["keypoints"][2::3])
    )
    parts = plan(heads, seed=0, reductions=REDUCTIONS)
    pictures = [56_599, 48_485, 45_780, 43_075, 40_371, 37_666, 34_961]
    np.testing.assert_allclose([len(p.image_ids) for p in parts], pictures, atol=1)
    assert parts[0].persons == 149_813
    whole = [47.8, 19.3, 10.1, 6.5, 4.2, 3.1, 2.3, 1.8, 1.4, 1.2, 1.0, 0.8, 0.5, 0.0]
    found = [100 * np.array(list(shares(part.heads).values())) for part in parts]
    np.testing.assert_allclose(found[0], whole, atol=0.05)
    singles, pairs = ([share[i] for share in found[1:]] for i in (0, 1))
    np.testing.assert_allclose(singles, [39.0, 35.4, 31.4, 26.8, 21.5, 15.5], atol=0.05)
    np.testing.assert_allclose(pairs, [22.5, 23.9, 25.4, 27.1, 29.0, 31.3], atol=0.05)


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
