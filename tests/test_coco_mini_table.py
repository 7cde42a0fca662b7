"""A row says what is scored on the pictures of each head count, and what is drawn."""

import cv2
import numpy as np
import pytest

from experiments.coco_mini import table
from poseseg_jax import judging
from poseseg_jax.coco import results, scoring
from tests import coco_files
from tests.coco_files import image, person

SIZE = {"height": 120, "width": 160}
# Pictures 1, 2, ...: their persons with a labelled keypoint.
HEADS = [1, 1, 2, 3, 4, 5, 6, 9, 0]


def box_of(row):
    return (4 + 16 * row, 20 + 4 * row, 12, 60)


def block_of(y, x, width, height):
    mask = np.zeros(tuple(SIZE.values()), bool)
    mask[y : y + max(height, 10), x : x + width] = True
    return mask


@pytest.fixture
def split(tmp_path, monkeypatch):
    """Everybody stands apart; in the last picture nobody's keypoints are known."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "prepared"))
    images = [image(number, **SIZE) for number in range(1, len(HEADS) + 1)]
    people = [
        person(100 * number + row, number, box=box_of(row), labelled=17 if heads else 0)
        for number, heads in enumerate(HEADS, start=1)
        for row in range(max(heads, 1))
    ]
    content = coco_files.document(images, people)
    root = coco_files.write_folder(tmp_path / "split", {"val": content})
    annotations = root / "annotations" / "person_keypoints_val2017.json"
    return annotations, root / "val2017", people


@pytest.fixture
def evaluation(split, tmp_path):
    """Everybody is found, but for those of pictures 2 and 8: their places are empty."""
    _, _, people = split
    found = {"keypoints": [], "segm": []}
    for entry in people:
        x, y, width, height = entry["bbox"]
        shift = 60 if entry["image_id"] in (2, 8) else 0
        mask = block_of(y + shift, x, width, height - shift)
        points = list(entry["keypoints"])
        points[1::3] = [value + shift for value in points[1::3]]
        points[2::3] = [1.0] * 17
        common = {"image_id": entry["image_id"], "category_id": 1, "score": 0.9}
        found["keypoints"].append({**common, "keypoints": points})
        found["segm"].append({**common, "segmentation": results.encode_mask(mask)})
    folder = tmp_path / "mine"
    judging.write_results(folder, results.Results(**found))
    return folder


def test_a_row_has_the_scores_of_each_head_count(split, evaluation):
    annotations, _, _ = split
    of_bucket = {"1": [1, 2], "2": [3], "3-4": [4, 5], "5+": [6, 7, 8]}
    for matches in judging.read_matches(evaluation, annotations):
        scores = table.by_bucket(matches, resamples=20)
        for bucket, ids in of_bucket.items():
            wanted = scoring.summarize(matches, ids)[f"{matches.task}/AP"]
            assert scores[bucket][0] == wanted
        assert scores["2"] == (pytest.approx(1), None)  # one picture: no interval
        assert scores["3-4"][0] == pytest.approx(1)
        assert 0 < scores["1"][0] < 1
        value, interval = scores[table.ALL]
        assert value == scoring.summarize(matches)[f"{matches.task}/AP"]
        assert interval.value == value
        assert interval.low < value < interval.high


def test_the_table_and_the_sheets_are_made_of_files_alone(split, evaluation, tmp_path):
    annotations, images, _ = split
    how = {"annotations": annotations, "images": images, "resamples": 20}
    text = table.make([evaluation], tmp_path / "o", **how, count=2)
    assert (tmp_path / "o" / "table.md").read_text() == text
    first = next(line for line in text.splitlines() if line.startswith("| mine |"))
    assert first.count(" / 100 / 100 / ") == 2
    for part in ("best", "median", "worst"):
        sheet = cv2.imread(str(tmp_path / "o" / f"mine_{part}.png"))
        assert sheet is not None
        assert min(sheet.shape[:2]) > SIZE["height"]
    with pytest.raises(ValueError, match="two folders have one name"):
        table.make([evaluation, evaluation], tmp_path / "o", **how)
