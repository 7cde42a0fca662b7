import json

import cv2
import numpy as np
import pytest

from poseseg_jax.coco.results import (
    encode_mask,
    from_instances,
    read_json,
    resample_mask,
    write_json,
)
from poseseg_jax.coco.segmentation import check_segmentation, to_mask
from poseseg_jax.geometry import (
    apply_affine,
    cell_centers,
    compose_affine,
    flip_affine,
    invert_affine,
    letterbox_affine,
)
from poseseg_jax.structs import Instances, Poses

SIDE, STRIDE = 65, 2
CELLS = 33


def instances(people=3, score=(0.9, 0.5, 0.0)):
    rng = np.random.default_rng(0)
    poses = Poses(
        keypoints=rng.uniform(0, SIDE, (people, 17, 2)).astype(np.float32),
        confidence=rng.uniform(0, 1, (people, 17)).astype(np.float32),
        score=np.array(score, np.float32),
    )
    masks = np.zeros((people, CELLS, CELLS), np.float32)
    masks[:, 5:20, 8:17] = 1
    return Instances(poses=poses, masks=masks)


def convert(found, to_input, size):
    return from_instances(
        found, to_input=to_input, size=size, image_id=42, person_stride=STRIDE
    )


def test_empty_slots_are_left_out_and_the_others_keep_their_order():
    results = convert(instances(), letterbox_affine(40, 30, SIDE), (40, 30))
    for entries in (results.keypoints, results.segm):
        assert [entry["score"] for entry in entries] == [0.9, 0.5]
        assert {(entry["image_id"], entry["category_id"]) for entry in entries} == {
            (42, 1)
        }


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_not_taken_for_an_empty_slot(score):
    found = instances(score=(0.9, score, 0.0))
    with pytest.raises(ValueError, match=f"picture 42: .* score {score}"):
        convert(found, letterbox_affine(40, 30, SIDE), (40, 30))


def test_keypoints_leave_in_original_pixels_with_their_confidence():
    to_input = letterbox_affine(40, 30, SIDE)
    found = instances()
    (entry, _) = convert(found, to_input, (40, 30)).keypoints
    rows = np.array(entry["keypoints"]).reshape(17, 3)
    back = apply_affine(to_input, rows[:, :2])
    np.testing.assert_allclose(back, found.poses.keypoints[0], atol=2e-3)
    np.testing.assert_allclose(rows[:, 2], found.poses.confidence[0], atol=1e-3)


def test_a_keypoint_that_was_not_found_has_a_place_all_the_same():
    found = instances()
    found.poses.confidence[:] = 0
    (entry, _) = convert(found, letterbox_affine(40, 30, SIDE), (40, 30)).keypoints
    assert np.array(entry["keypoints"]).reshape(17, 3)[:, :2].any(1).all()


def test_masks_have_the_size_of_the_original_and_no_box():
    entry = convert(instances(), letterbox_affine(40, 30, SIDE), (40, 30)).segm[0]
    check_segmentation(entry["segmentation"], height=40, width=30)
    assert set(entry) == {"image_id", "category_id", "segmentation", "score"}
    assert to_mask(entry["segmentation"], height=40, width=30).any()


TO_INPUT = {
    "shrunk": letterbox_affine(150, 200, SIDE),
    "enlarged": letterbox_affine(30, 21, SIDE),
    "as it is": letterbox_affine(65, 65, SIDE),
    "mirrored": compose_affine(flip_affine(SIDE), letterbox_affine(90, 70, SIDE)),
    "rotated": np.array([[0.5, -0.3, 20.0], [0.3, 0.5, -5.0]]),
}


@pytest.mark.parametrize("case", TO_INPUT)
def test_a_mask_comes_back_to_the_pixels_that_lit_its_cells(case):
    """A disc in original pixels, seen by the cells, must return where it was."""
    to_input = TO_INPUT[case]
    middle = apply_affine(invert_affine(to_input), np.array([32.0, 28.0]))
    radius = 11 / np.sqrt(abs(np.linalg.det(to_input[:, :2])))
    cells = cell_centers(CELLS, CELLS, STRIDE).astype(np.float64)
    seen = apply_affine(invert_affine(to_input), cells) - middle
    slope = radius / 5  # a soft edge, so that the level lies between cells
    soft = np.clip(0.5 + (radius - np.hypot(*seen.transpose(2, 0, 1))) / slope, 0, 1)
    shape = (int(middle[1] + radius) + 5, int(middle[0] + radius) + 5)
    mask = resample_mask(
        soft.astype(np.float32), to_cell=to_input / STRIDE, size=shape, level=0.5
    )
    y, x = np.nonzero(mask)
    tolerance = 0.05 * radius
    np.testing.assert_allclose((x.mean(), y.mean()), middle, atol=tolerance)
    assert abs(mask.sum() / (np.pi * radius**2) - 1) < 0.1


@pytest.mark.parametrize(("row", "column"), [(0, 0), (7, 11), (32, 32)])
def test_a_lit_cell_lands_on_its_pixel(row, column):
    soft = np.zeros((CELLS, CELLS), np.float32)
    soft[row, column] = 1
    to_cell = letterbox_affine(SIDE, SIDE, SIDE) / STRIDE
    mask = resample_mask(soft, to_cell=to_cell, size=(SIDE, SIDE), level=0.75)
    np.testing.assert_array_equal(np.argwhere(mask), [(row * STRIDE, column * STRIDE)])


@pytest.mark.parametrize("case", TO_INPUT)
def test_only_the_cut_is_computed_but_all_is_there(case):
    rng = np.random.default_rng(1)
    soft = cv2.GaussianBlur(rng.random((CELLS, CELLS)).astype(np.float32), (0, 0), 2)
    soft[:, :12] = 0
    to_cell = TO_INPUT[case] / STRIDE
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    whole = cv2.warpAffine(
        soft, to_cell, (90, 80), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    level = float(np.median(soft))
    mask = resample_mask(soft, to_cell=to_cell, size=(80, 90), level=level)
    unsure = abs(whole - level) < 1e-2  # OpenCV samples at fractions of 1/32 cell
    np.testing.assert_array_equal(mask[~unsure], (whole >= level)[~unsure])


def test_what_is_a_mask_only_between_its_cells_is_there():
    soft = np.zeros((CELLS, CELLS), np.float32)
    soft[10:12, 20:22] = 0.45
    to_cell = letterbox_affine(2 * SIDE, 2 * SIDE, SIDE) / STRIDE
    mask = resample_mask(soft, to_cell=to_cell, size=(2 * SIDE, 2 * SIDE))
    place = np.argwhere(mask).mean(axis=0)[::-1]
    np.testing.assert_allclose(apply_affine(to_cell, place), (20.5, 10.5), atol=0.1)


def test_a_mask_that_fills_the_cells_fills_the_picture():
    soft = np.ones((CELLS, CELLS), np.float32)
    for height, width in ((64, 48), (200, 333), (20, 9)):
        to_cell = letterbox_affine(height, width, SIDE) / STRIDE
        assert resample_mask(soft, to_cell=to_cell, size=(height, width)).all()


def test_a_mask_below_the_level_is_empty():
    soft = np.full((CELLS, CELLS), 0.4, np.float32)
    to_cell = letterbox_affine(20, 20, SIDE) / STRIDE
    assert not resample_mask(soft, to_cell=to_cell, size=(20, 20)).any()


def test_masks_survive_their_encoding():
    mask = np.random.default_rng(0).random((23, 31)) < 0.3
    encoded = json.loads(json.dumps(encode_mask(mask)))
    np.testing.assert_array_equal(to_mask(encoded, height=23, width=31), mask)


def test_result_files_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "new" / "results.json"
    entries = convert(instances(), letterbox_affine(40, 30, SIDE), (40, 30)).keypoints
    write_json(path, entries)
    assert read_json(path) == entries
    assert [file.name for file in path.parent.iterdir()] == ["results.json"]


def test_a_score_that_is_no_number_is_not_written(tmp_path):
    path = tmp_path / "results.json"
    with pytest.raises(ValueError, match="picture 3 has the score nan"):
        write_json(path, [{"image_id": 3, "score": float("nan")}])
    assert not path.exists()


@pytest.mark.parametrize("content", ["", "{}", "[1]"])
def test_another_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"results\.json"):
        read_json(path)
