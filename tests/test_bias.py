from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseseg_jax.coco.annotations import read_document
from poseseg_jax.coco.picture import parse_picture
from poseseg_jax.data.bias import REDUCTIONS, pictures_left, training_order
from tests.coco_files import image, person, real_data

COUNTS = st.dictionaries(st.integers(1, 10**6), st.integers(0, 5), max_size=30)


@given(COUNTS, st.integers(0, 3))
def test_crowded_pictures_come_first_and_nobodys_never(counts, seed):
    order = training_order(counts, seed=seed)
    single = [counts[image_id] == 1 for image_id in order]
    assert single == sorted(single)
    assert sorted(order) == sorted(i for i, heads in counts.items() if heads)


@given(COUNTS, st.randoms())
def test_the_order_does_not_depend_on_that_of_the_file(counts, random):
    items = list(counts.items())
    random.shuffle(items)
    assert training_order(dict(items), seed=0) == training_order(counts, seed=0)


def test_the_seed_decides_the_order():
    counts = {i: 1 + i % 2 for i in range(100)}
    orders = {tuple(training_order(counts, seed=seed)) for seed in range(5)}
    assert len(orders) == 5


def test_single_pictures_keep_their_order_whatever_the_others_are():
    singles = dict.fromkeys(range(50), 1)
    crowded = dict.fromkeys(range(100, 120), 3)
    alone = training_order(singles, seed=1)
    assert training_order(singles | crowded, seed=1)[20:] == alone


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_reduced_data_sets_are_nested(num_multi, num_single):
    lengths = [pictures_left(num_multi, num_single, reduction=r) for r in REDUCTIONS]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == num_multi + num_single
    assert lengths[-1] >= num_multi


@pytest.mark.parametrize("reduction", [10, -30, 100, 81])
def test_there_is_no_other_reduction(reduction):
    with pytest.raises(ValueError, match=f"reduction is {reduction}"):
        pictures_left(1, 1, reduction=reduction)


def test_cocos_figures_are_met():
    document = read_document(real_data("coco_train2017_keypoints_only.json.gz"))
    counts = Counter(
        entry["image_id"]
        for entry in document["annotations"]
        if any(entry["keypoints"][2::3])
    )
    heads = np.array(list(counts.values()))
    multi, single = int((heads > 1).sum()), int((heads == 1).sum())
    expected = [56_599, 48_485, 45_780, 43_075, 40_371, 37_666, 34_961]
    left = [pictures_left(multi, single, reduction=r) for r in REDUCTIONS]
    np.testing.assert_allclose(left, expected, atol=1)
    assert round(1000 * single / len(heads)) == 478


def test_heads_are_counted_as_in_the_annotations():
    people = [person(i, 1, labelled=min(i, 1)) for i in range(3)]
    assert parse_picture(image(1), people).head_count == 2
