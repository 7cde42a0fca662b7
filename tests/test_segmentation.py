import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from poseseg_jax.coco.segmentation import check_segmentation, to_mask

SQUARE = [1, 1, 3, 1, 3, 3, 1, 3]


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ("text", "expected a list of polygons"),
        (None, "expected a list of polygons"),
        ([[1, 1, 3, 3]], "polygon 0 has 4 numbers"),
        ([SQUARE, [1, 1, 3, 1, 3, 3, 1]], "polygon 1 has 7 numbers"),
        ([1, 1, 3, 1, 3, 3], "polygon 0 has 1"),
        ([[1, 1, 3, 1, 3, float("nan")]], "holds nan; expected finite"),
        ([[1, 1, 3, 1, 3, "3"]], "holds '3'; expected numbers"),
        ([[1, 1, 3, 1, 3, 1e6]], "far outside"),
        ({"counts": [20]}, "size None"),
        ({"size": [5, 4], "counts": [20]}, r"size \[5, 4\]"),
        ({"size": [4, 5], "counts": [7, 12]}, "sum to 19"),
        ({"size": [4, 5], "counts": [21]}, "sum to 21"),
        ({"size": [4, 5], "counts": [-1, 21]}, "none negative"),
        ({"size": [4, 5], "counts": [10.0, 10]}, "integers"),
        ({"size": [4, 5], "counts": None}, "counts None"),
        ({"size": [4, 5], "counts": ""}, "sum to 0"),
        ({"size": [4, 5], "counts": "zzz"}, "expected 48"),
        ({"size": [4, 5], "counts": "P"}, "in the middle"),
    ],
)
def test_what_pycocotools_would_misread_is_refused(segmentation, message):
    with pytest.raises(ValueError, match=message):
        check_segmentation(segmentation, height=4, width=5)


def test_corners_slightly_outside_are_accepted():
    check_segmentation([[-1, -1, 6, -1, 6, 5, -1, 5]], height=4, width=5)


@given(st.lists(st.booleans(), min_size=20, max_size=20))
def test_all_three_ways_of_writing_a_mask_mean_the_same_pixels(bits):
    mask = np.array(bits, np.uint8).reshape(4, 5)
    changes = np.flatnonzero(np.diff(mask.flatten("F"), prepend=0, append=2))
    counts = np.diff(changes, prepend=0).tolist()
    text = coco_mask.encode(np.asfortranarray(mask))["counts"]
    for written in (counts, text, text.decode()):
        rle = {"size": [4, 5], "counts": written}
        check_segmentation(rle, height=4, width=5)
        np.testing.assert_array_equal(to_mask(rle, height=4, width=5), mask)


def test_a_polygon_in_cocos_coordinates_covers_its_pixels():
    expected = np.zeros((4, 5), np.uint8)
    expected[1:3, 1:3] = 1
    np.testing.assert_array_equal(to_mask([SQUARE], height=4, width=5), expected)


def test_run_lengths_of_a_large_mask_are_decompressed():
    rng = np.random.default_rng(0)
    mask = (rng.random((300, 400)) < 0.01).astype(np.uint8)
    mask[50:200, 30:380] = 1
    text = coco_mask.encode(np.asfortranarray(mask))["counts"]
    check_segmentation({"size": [300, 400], "counts": text}, height=300, width=400)
    rle = {"size": [300, 401], "counts": text}
    with pytest.raises(ValueError, match="sum to 120000"):
        check_segmentation(rle, height=300, width=401)
