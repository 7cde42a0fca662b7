"""Drawn people: the same seed, the same bytes; labels say what is drawn."""

import hashlib
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from poseseg_jax.coco.segmentation import check_segmentation, to_mask
from poseseg_jax.data.drawing.canvas import Canvas, Part
from poseseg_jax.data.drawing.cast import draw_cast
from poseseg_jax.data.drawing.labels import annotate, run_lengths, segment
from poseseg_jax.data.drawing.scenes import draw_scene
from poseseg_jax.data.synthetic import HEAD_COUNTS, draw, draw_head_count
from poseseg_jax.skeleton import KEYPOINT_NAMES

_HEADS = (0, 1, 1, 1, 1, 2, 2, 3, 4, 5, 8, 11)


@pytest.fixture(scope="module")
def scenes():
    """Pictures with few and with many people."""
    return [
        draw_scene(np.random.default_rng([3, number]), heads)
        for number, heads in enumerate(_HEADS * 3)
    ]


@pytest.fixture(scope="module")
def people(scenes):
    """Everybody in them who is no crowd, with the picture's size."""
    return [p for scene in scenes for p in scene.people if not p.is_crowd]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small drawn data set."""
    root = tmp_path_factory.mktemp("drawn") / "people"
    draw(root, num_train=6, num_val=3, seed=5)
    return root


def _digests(root):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def _decode(segmentation, height, width):
    check_segmentation(segmentation, height=height, width=width)
    return to_mask(segmentation, height=height, width=width).astype(bool)


def test_same_seed_same_bytes(folder, tmp_path):
    draw(tmp_path / "again", num_train=6, num_val=3, seed=5)
    assert _digests(tmp_path / "again") == _digests(folder)


def test_a_picture_depends_on_seed_split_and_number_alone(folder, tmp_path):
    draw(tmp_path / "fewer", num_train=2, num_val=1, seed=5)
    draw(tmp_path / "other", num_train=1, num_val=1, seed=6)
    whole, fewer, other = (
        _digests(root) for root in (folder, tmp_path / "fewer", tmp_path / "other")
    )
    pictures = [name for name in fewer if name.endswith(".jpg")]
    assert len(pictures) == 3
    assert all(fewer[name] == whole[name] for name in pictures)
    assert not {whole[n] for n in whole if n.endswith("jpg")} & set(other.values())
    assert len(set(whole.values())) == len(whole)


@pytest.mark.parametrize("split", ["train", "val"])
def test_coco_reads_the_folder(folder, split):
    coco = COCO(folder / "annotations" / f"person_keypoints_{split}2017.json")
    assert coco.getCatIds(catNms=["person"]) == [1]
    assert coco.cats[1]["keypoints"] == list(KEYPOINT_NAMES)
    assert len(coco.anns) == len(coco.dataset["annotations"])  # no id twice
    for image in coco.dataset["images"]:
        picture = cv2.imread(str(folder / f"{split}2017" / image["file_name"]))
        assert picture.shape == (image["height"], image["width"], 3)
        for label in coco.imgToAnns[image["id"]]:
            mask = _decode(label["segmentation"], image["height"], image["width"])
            assert mask.sum() == pytest.approx(label["area"], rel=0.1)
            assert coco.annToRLE(label)["size"] == list(mask.shape)


def test_nothing_is_left_of_a_drawing_that_broke_off(tmp_path, monkeypatch):
    def break_off(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("poseseg_jax.data.synthetic.draw_scene", break_off)
    with pytest.raises(KeyboardInterrupt):
        draw(tmp_path / "people", num_train=1, num_val=1, seed=0)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("dear")
    with pytest.raises(ValueError, match="not empty"):
        draw(tmp_path, num_train=1, num_val=1, seed=0)
    with pytest.raises(ValueError, match="num_val=0"):
        draw(tmp_path / "new", num_train=1, num_val=0, seed=0)


def test_the_command_draws(tmp_path):
    command = [sys.executable, "-m", "poseseg_jax.data.synthetic"]
    sizes = ["--num_train=1", "--num_val=1", "--seed=2"]
    output = tmp_path / "people"
    subprocess.run([*command, f"--output={output}", *sizes], check=True)
    labels = output / "annotations" / "person_keypoints_val2017.json"
    assert len(json.loads(labels.read_text())["images"]) == 1


def test_head_counts_follow_coco():
    rng = np.random.default_rng(0)
    counts = np.bincount([draw_head_count(rng) for _ in range(20_000)], minlength=14)
    shares = counts[1:] / counts[1:].sum()
    expected = np.array(HEAD_COUNTS) / sum(HEAD_COUNTS)
    assert 0.01 < counts[0] / counts.sum() < 0.03
    np.testing.assert_allclose(shares, expected, atol=0.012)


def test_head_counts_are_of_people_with_keypoints(scenes):
    drawn = [sum(bool(p.visibility.any()) for p in s.people) for s in scenes]
    wanted = list(_HEADS) * 3
    few = [number for number, heads in enumerate(wanted) if heads < 4]
    assert [drawn[n] for n in few] == [wanted[n] for n in few]
    # In a throng, hardly ever, somebody finds no place to be seen and leaves.
    assert sum(wanted) - 3 <= sum(drawn) <= sum(wanted)


def test_visible_keypoints_lie_on_their_own_mask(people):
    kernel = np.ones((5, 5), np.uint8)  # within 2 px
    for person in people:
        near = cv2.dilate(person.mask.astype(np.uint8), kernel)
        for x, y in np.rint(person.keypoints[person.visibility == 2]).astype(int):
            assert near[y, x]


def test_keypoints_lie_in_the_picture_or_are_zero(people):
    for person in people:
        height, width = person.mask.shape
        labelled = person.visibility > 0
        x, y = person.keypoints[labelled].T
        assert ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)).all()
        assert not person.keypoints[~labelled].any()


def test_all_visibilities_and_people_without_keypoints_occur(people):
    visibility = np.stack([person.visibility for person in people])
    shares = np.bincount(visibility.ravel(), minlength=3) / visibility.size
    assert (shares > 0.05).all(), shares
    assert 0 < (visibility == 0).all(1).mean() < 0.15


def test_people_do_not_share_pixels(scenes):
    for scene in scenes:
        masks = [person.mask for person in scene.people]
        assert sum([m.astype(int) for m in masks], np.zeros(1, int)).max() <= 1
        assert all(mask.sum() >= 25 for mask in masks)


def test_boxes_and_areas_are_those_of_the_masks(people):
    for person in people:
        label = annotate(person, image_id=1, annotation_id=1)
        x, y, width, height = label["bbox"]
        box = np.zeros_like(person.mask)
        box[y : y + height, x : x + width] = True
        assert not (person.mask & ~box).any()
        inside = person.mask[y : y + height, x : x + width]
        edges = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
        assert all(edge.any() for edge in edges)
        assert label["area"] == person.mask.sum()
        assert label["num_keypoints"] == (person.visibility > 0).sum()


def test_segmentations_give_back_the_masks(people):
    kinds = set()
    for person in people:
        segmentation = segment(person.mask)
        kinds.add(type(segmentation))
        decoded = _decode(segmentation, *person.mask.shape)
        both, either = decoded & person.mask, decoded | person.mask
        assert both.sum() / either.sum() > 0.95
    assert kinds == {list, dict}


@pytest.mark.parametrize(
    "pixels",
    [
        pytest.param([(0, 0)], id="the first pixel: no run of nothing"),
        pytest.param([(4, 6)], id="the last pixel: no run after it"),
        pytest.param([(1, 2), (2, 2), (4, 2), (0, 3)], id="pieces"),
        pytest.param([(i, j) for i in range(5) for j in range(7)], id="everything"),
    ],
)
def test_run_lengths_give_back_the_mask(pixels):
    mask = np.zeros((5, 7), bool)
    mask[tuple(np.transpose(pixels))] = True
    runs = run_lengths(mask)
    assert sum(runs["counts"]) == mask.size
    np.testing.assert_array_equal(_decode(runs, 5, 7), mask)


def test_a_polygon_surrounds_pixels_not_their_centres():
    mask = np.zeros((40, 50), bool)
    mask[10:30, 20:40] = True
    (polygon,) = segment(mask)
    x, y = np.reshape(polygon, (-1, 2)).T
    edges = (x.min(), x.max(), y.min(), y.max())
    np.testing.assert_allclose(edges, (20, 40, 10, 30), atol=0.15)


def test_crowds_are_run_lengths_without_keypoints():
    for seed in range(200):
        scene = draw_scene(np.random.default_rng(seed), 0)
        crowds = [person for person in scene.people if person.is_crowd]
        if crowds:
            break
    (crowd,) = crowds
    label = annotate(crowd, image_id=1, annotation_id=1)
    assert (label["iscrowd"], label["num_keypoints"]) == (1, 0)
    assert not any(label["keypoints"])
    decoded = _decode(label["segmentation"], *crowd.mask.shape)
    np.testing.assert_array_equal(decoded, crowd.mask)


def test_left_is_on_the_right_of_those_who_face_us():
    left, right = (KEYPOINT_NAMES.index(f"{s}_shoulder") for s in ("left", "right"))
    agree = []
    for seed in range(40):
        for actor in draw_cast(np.random.default_rng(seed), 2, 240, 320):
            figure = actor.figure
            nose = figure.facing[KEYPOINT_NAMES.index("nose")]
            apart = (figure.keypoints[left] - figure.keypoints[right])[0]
            upright = figure.keypoints[0, 1] < figure.keypoints[11:13, 1].min()
            if upright and abs(apart) > 0.15 * figure.height:
                agree.append((apart > 0) == nose)
    assert len(agree) > 30
    assert np.mean(agree) > 0.9  # heads turn a little further than shoulders


def test_light_a_disc():
    canvas = Canvas(12, 16)
    disc = Part("ball", np.array([[9.0, 4.0, 2.5]]), (200.0, 0.0, 0.0), round=False)
    canvas.draw([disc], owner=3)
    row, column = np.nonzero(canvas.owner_map == 3)
    assert abs(row.mean() - 4) < 0.3
    assert abs(column.mean() - 9) < 0.3
    picture = canvas.over(np.zeros((12, 16, 3), np.uint8))
    weight = picture[..., 0] / picture[..., 0].sum()
    y, x = np.mgrid[:12, :16]
    np.testing.assert_allclose(
        ((weight * x).sum(), (weight * y).sum()), (9, 4), atol=0.2
    )
    codes = canvas.codes_at(np.array([[9.0, 4.0], [2.0, 9.0], [-5.0, 4.0]]))
    assert codes[0].all()
    assert not codes[1:].any()


def test_what_is_in_front_hides_what_is_behind():
    canvas = Canvas(12, 16)
    discs = np.array([[8.0, 6.0, 3.0]])
    canvas.draw([Part("far", discs, (9.0, 9.0, 9.0))], owner=0)
    near = [
        Part("over", discs, (99.0, 9.0, 9.0), depth=1.0),
        Part("under", discs, (9.0, 99.0, 9.0), depth=0.5),
    ]
    canvas.draw(near, owner=1)
    assert not (canvas.owner_map == 0).any()
    assert canvas.kinds[canvas.codes_at(np.array([[8.0, 6.0]]))[0, 0]] == "over"
