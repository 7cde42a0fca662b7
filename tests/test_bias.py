import pytest
from hypothesis import given
from hypothesis import strategies as st

from poseseg_jax.coco.picture import parse_picture
from poseseg_jax.data.bias import (
    HEAD_COUNTS,
    count_heads,
    pictures_left,
    random_positions,
    training_order,
)
from tests.coco_files import image, person

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
    lengths = [pictures_left(num_multi, num_single, reduction=r) for r in range(101)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == num_multi + num_single
    assert lengths[100] == num_multi


@pytest.mark.parametrize("num_single", [0, 1, 7, 100, 27_046])
def test_the_number_removed_is_the_nearest_one(num_single):
    for reduction in range(101):
        removed = num_single - pictures_left(0, num_single, reduction=reduction)
        assert abs(removed - num_single * reduction / 100) <= 0.5


def test_random_removal_shuffles_all_by_the_seed():
    orders = [random_positions(50, seed=seed).tolist() for seed in (0, 0, 1)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != list(range(50))


@pytest.mark.parametrize("reduction", [-1, 101, 1000])
def test_there_is_no_other_reduction(reduction):
    with pytest.raises(ValueError, match=f"reduction is {reduction}; .* 0 ... 100"):
        pictures_left(1, 1, reduction=reduction)


def test_heads_are_counted_as_in_the_annotations():
    people = [person(i, 1, labelled=min(i, 1)) for i in range(3)]
    people.append(person(3, 1, iscrowd=1))
    pictures = [parse_picture(image(1), people), parse_picture(image(2), [])]
    heads = {count: count_heads(pictures, count=count) for count in HEAD_COUNTS}
    assert heads == {"labelled": {1: 2, 2: 0}, "annotated": {1: 3, 2: 0}}
    assert pictures[0].head_count == 2
    with pytest.raises(ValueError, match=r"head_count is 'all'; there are .*annot"):
        count_heads(pictures, count="all")
