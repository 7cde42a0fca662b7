"""Who is pasted is where the labels say, and who is behind is labelled as seen."""

import json

import cv2
import numpy as np
import pytest

from experiments.coco_mini import casting, cutouts, paste, scenes, stage
from experiments.coco_mini.folders import annotations_of, pictures_of
from poseseg_jax.coco.annotations import load
from poseseg_jax.coco.picture import parse_picture, people_map
from poseseg_jax.coco.segmentation import to_mask
from poseseg_jax.skeleton import FLIP, KEYPOINT_NAMES
from poseseg_jax.structs import IGNORE
from tests import coco_files
from tests.coco_files import image, person

SIZE = {"height": 160, "width": 200}
GREY, WHITE = 90, 250
BEHIND = (40, 60, 60, 80)  # x, y, width, height
FRONT = (20, 30, 48, 64)


def picture_of(*entries, image_id=1):
    return parse_picture(image(image_id, **SIZE), list(entries))


def donor(box=FRONT, **changes):
    """A rectangle, and its picture, in which every pixel is another one."""
    picture = picture_of(person(7, 1, box=box, **changes))
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE.values(), 3), np.uint8)
    return cutouts.Donor(picture, picture.people[0]), pixels


def scene(*entries):
    pixels = np.full((*SIZE.values(), 3), GREY, np.uint8)
    return pixels, scenes.people_of(picture_of(*entries, image_id=2), entries)


def filled(box):
    x, y, width, height = box
    mask = np.zeros(tuple(SIZE.values()), bool)
    mask[y : y + height, x : x + width] = True
    return mask


def keypoints_at(entry):
    """Rows and columns of somebody's keypoints."""
    points = np.rint(np.reshape(entry["keypoints"], (17, 3))).astype(int)
    return points[:, 1], points[:, 0]


def annotated(people):
    found = [scenes.annotation(p, annotation_id=5, image_id=6) for p in people]
    return [entry for entry in found if entry is not None]


def mask_of(entry):
    return to_mask(entry["segmentation"], **SIZE).astype(bool)


def test_a_rectangle_is_pasted_exactly():
    """The oracle: 48 x 64 px of noise onto grey, in front of another rectangle."""
    behind = person(3, 2, box=BEHIND)
    somebody, pixels = donor()
    cutout = cutouts.cut(somebody, pixels)
    corner = (68, 88)  # of the margin of 2 px: the rectangle is at (70, 90)
    pasted, people = scenes.paste(*scene(behind), cutout, corner)
    moved = filled((70, 90, 48, 64))
    x, y, width, height = FRONT
    inside = np.s_[y + 4 : y + height - 4, x + 4 : x + width - 4]
    np.testing.assert_array_equal(pasted[94:150, 74:114], pixels[inside])
    assert (pasted[~moved] == GREY).all()
    first, second = annotated(people)
    np.testing.assert_array_equal(mask_of(second), moved)
    assert second["bbox"] == [70, 90, 48, 64]
    assert (second["area"], second["iscrowd"]) == (48 * 64, 0)
    triples = np.reshape(second["keypoints"], (17, 3))
    np.testing.assert_allclose(
        triples[:, :2], somebody.person.keypoints + np.array([50, 60]), atol=0.005
    )
    assert (triples[:, 2] == 2).all()
    np.testing.assert_array_equal(mask_of(first), filled(BEHIND) & ~moved)
    assert first["area"] == 60 * 80 - 30 * 50
    # Its corner at the lower right is covered, its box is not.
    assert first["bbox"] == list(BEHIND)
    points = np.reshape(behind["keypoints"], (17, 3))
    covered = moved[
        np.rint(points[:, 1]).astype(int), np.rint(points[:, 0]).astype(int)
    ]
    seen = np.reshape(first["keypoints"], (17, 3))
    assert covered.any()
    assert not covered.all()
    np.testing.assert_array_equal(seen[:, 2], np.where(covered, 1, 2))
    np.testing.assert_allclose(seen[:, :2], points[:, :2], atol=0.005)


def test_the_edge_is_blended_within_the_outline():
    somebody, pixels = donor()
    pixels[:] = WHITE
    pasted, _ = scenes.paste(*scene(), cutouts.cut(somebody, pixels), (68, 88))
    row = pasted[120, :, 0].astype(int)
    rising = row[70:74]
    assert (row[:70] == GREY).all()
    assert (row[74:114] == WHITE).all()
    assert (np.diff(rising) > 0).all()
    assert GREY < rising[0] < WHITE


def test_who_is_not_covered_keeps_the_annotation_as_it_was():
    behind = person(3, 2, box=(150, 10, 30, 40), extra="kept")
    _, people = scenes.paste(*scene(behind), cutouts.cut(*donor()), (0, 60))
    first, _ = annotated(people)
    assert first == {**behind, "id": 5, "image_id": 6}


@pytest.mark.parametrize(
    ("box", "becomes"),
    [
        ((70, 90, 48, 64), None),  # nothing is left
        ((70, 86, 48, 68), "crowd"),  # 4 of 68 rows are left
        ((70, 80, 48, 74), "person"),  # 10 of 74
    ],
)
def test_of_whom_little_is_left_is_no_person_and_no_background(box, becomes):
    behind = person(3, 2, box=box)
    _, people = scenes.paste(*scene(behind), cutouts.cut(*donor()), (68, 88))
    entries = annotated(people)
    assert len(entries) == (1 if becomes is None else 2)
    if becomes is None:
        return
    rest = entries[0]
    assert rest["iscrowd"] == (becomes == "crowd")
    np.testing.assert_array_equal(
        mask_of(rest), filled(box) & ~filled((70, 90, 48, 64))
    )
    codes = people_map(picture_of(*({**e, "id": i} for i, e in enumerate(entries))))
    assert (codes[mask_of(rest)] == IGNORE).all() == (becomes == "crowd")
    assert (rest["num_keypoints"] > 0) == (becomes == "person")


def visibility_of(entry):
    return np.reshape(entry["keypoints"], (17, 3))[:, 2].astype(int)


@pytest.mark.parametrize(
    ("fronts", "below"),
    [
        ([(68, 98)], 1),  # 20 of 60 rows are left
        ([(68, 88)], 0),  # 10 rows
        # Half of them twice, and each alone would leave 20 rows.
        ([(68, 98), (68, 88)], 0),
        ([(68, 88), (68, 98)], 0),
    ],
)
def test_of_whom_little_is_seen_nobody_tells_where_covered_keypoints_are(fronts, below):
    """All in front count together; what is seen stays, and so does the person."""
    behind = person(3, 2, box=(70, 80, 48, 60))
    seen = scene(behind)
    for corner in fronts:
        seen = scenes.paste(*seen, cutouts.cut(*donor()), corner)
    first, *_ = annotated(seen[1])
    covered = np.zeros(17, bool)
    for x, y in fronts:
        covered |= filled((x + 2, y + 2, 48, 64))[keypoints_at(behind)]
    assert covered.any()
    assert not covered.all()
    np.testing.assert_array_equal(visibility_of(first), np.where(covered, below, 2))
    assert first["num_keypoints"] == np.count_nonzero(visibility_of(first))
    assert first["iscrowd"] == 0
    codes = people_map(picture_of({**first, "id": 1}))
    assert (codes[mask_of(first)] == 1).all()


def test_who_was_hidden_before_is_covered_like_all_others():
    """A keypoint that COCO calls hidden, and one that nobody covers."""
    behind = person(3, 2, box=(70, 80, 48, 60))
    behind["keypoints"][2::3] = [1] * 17
    _, people = scenes.paste(*scene(behind), cutouts.cut(*donor()), (68, 88))
    covered = filled((70, 90, 48, 64))[keypoints_at(behind)]
    seen = visibility_of(annotated(people)[0])
    np.testing.assert_array_equal(seen, np.where(covered, 0, 1))


def test_beyond_the_edge_nothing_is_labelled():
    cutout = cutouts.cut(*donor())
    _, people = scenes.paste(*scene(), cutout, (SIZE["width"] - 26, 40))
    (entry,) = annotated(people)
    assert entry["bbox"] == [176, 42, 24, 64]
    triples = np.reshape(entry["keypoints"], (17, 3))
    outside = cutout.keypoints[:, 0] + SIZE["width"] - 26 > SIZE["width"] - 1
    assert outside.any()
    assert (triples[outside] == 0).all()
    assert (triples[~outside, 2] == 2).all()


def test_a_mirrored_person_is_right_handed_on_the_left():
    cutout = cutouts.cut(*donor(labelled=7))
    other = cutouts.mirrored(cutout)
    left, right = (
        KEYPOINT_NAMES.index(f"{side}_shoulder") for side in ("left", "right")
    )
    assert other.keypoints[right, 0] == 51 - cutout.keypoints[left, 0]
    np.testing.assert_array_equal(other.visibility, cutout.visibility[FLIP[:17]])
    np.testing.assert_array_equal(other.image, cutout.image[:, ::-1])
    again = cutouts.mirrored(other)
    np.testing.assert_array_equal(again.keypoints, cutout.keypoints)


def test_a_light_pixel_and_the_keypoint_on_it_stay_together():
    """Through scale and mirror."""
    somebody, pixels = donor(box=(20, 30, 80, 100))
    pixels[:] = 0
    pixels[75:85, 53:63] = 255  # their middle is pixel edge (58, 80)
    somebody.person.keypoints[0] = (57.5, 79.5)
    for scale in (0.5, 0.31, 1.0, 1.2):
        for turn in (cutouts.mirrored, lambda cutout: cutout):
            cutout = cutouts.resized(turn(cutouts.cut(somebody, pixels)), scale)
            rows, columns = np.nonzero(cutout.image[..., 0] > 127)
            middle = np.array([columns.mean(), rows.mean()])
            np.testing.assert_allclose(cutout.keypoints[0], middle, atol=0.51)


@pytest.mark.parametrize("gap", [0, 3])  # outlines end a little before the edge
def test_whom_an_edge_cuts_an_edge_cuts_again(gap):
    background = picture_of(image_id=2)
    somebody, pixels = donor(box=(gap, 30, 48, 64))
    assert cutouts.cut(somebody, pixels).cut_at == {"left"}
    for seed in range(10):
        placed = casting.cast(
            np.random.default_rng(seed),
            background,
            [somebody],
            lambda _: pixels,
            number=1,
        )
        for one in placed:
            (edge,) = one.cutout.cut_at
            ends = {"left": one.cutout.mask[:, 0], "right": one.cutout.mask[:, -1]}
            assert ends[edge].any()
            x, width = one.corner[0], one.cutout.mask.shape[1]
            assert {"left": x, "right": x + width - SIZE["width"]}[edge] == 0


@pytest.mark.parametrize(
    ("boxes", "is_placed"),
    [([(0, 0, 200, 160)], True), ([(2, 148, 8, 10), (190, 148, 8, 10)], False)],
)
def test_who_is_small_may_stand_before_who_is_large_and_not_hide_anybody(
    boxes, is_placed
):
    """Of whom two edges cut, there are two places, in the lower corners."""
    somebody, pixels = donor(box=(0, 96, 48, 64))
    people = [person(row, 2, box=box) for row, box in enumerate(boxes)]
    background = picture_of(*people, image_id=2)
    placed = casting.cast(
        np.random.default_rng(0), background, [somebody], lambda _: pixels, number=1
    )
    assert bool(placed) == is_placed


@pytest.mark.parametrize(
    ("boxes", "number"),
    [
        ([(20, 30, 60, 70)], 1),
        ([(20, 30, 40, 50)], 0),  # small
        ([(20, 30, 60, 70), (70, 30, 60, 70)], 0),  # a sixth is shared
        ([(20, 30, 60, 70), (75, 30, 60, 70)], 2),  # a twelfth
        ([(0, 30, 200, 70)], 0),  # cut on both sides
    ],
)
def test_who_is_worth_cutting_out(boxes, number):
    people = [person(row, 1, box=box) for row, box in enumerate(boxes, start=1)]
    assert len(cutouts.donors([picture_of(*people)])) == number
    unknown = [{**entry, "segmentation": []} for entry in people]
    assert not cutouts.donors([picture_of(*unknown)])
    headless = [person(e["id"], 1, box=e["bbox"], labelled=7) for e in people]
    assert not cutouts.donors([picture_of(*headless)])


@pytest.fixture
def root(tmp_path):
    """Train: four people of noise, one picture without a mask, one with a crowd."""
    images = [image(number, **SIZE) for number in range(1, 7)]
    people = [person(10 + n, n, box=(10 * n, 20, 50, 70)) for n in (1, 2, 3, 4, 5)]
    people[4]["segmentation"] = []
    region = {"size": list(SIZE.values()), "counts": [100, 1000, 160 * 200 - 1100]}
    crowd = {"iscrowd": 1, "segmentation": region, "area": 1000}
    people.append(person(99, 6, box=(0, 0, 10, 100), labelled=0, **crowd))
    documents = {
        "train": coco_files.document(images, people),
        "val": coco_files.document([image(9, **SIZE)], [person(90, 9)]),
    }
    return coco_files.write_folder(tmp_path / "s", documents)


def test_pictures_are_added_and_the_rest_is_as_it_was(root, tmp_path):
    summary = paste.enlarge(root, tmp_path / "p", number=8, most=5)
    assert (summary["made"], summary["donors"], summary["backgrounds"]) == (8, 4, 5)
    assert (
        annotations_of(tmp_path / "p", "val").read_bytes()
        == json.dumps(
            json.loads(annotations_of(root, "val").read_text()), separators=(",", ":")
        ).encode()
    )
    found = load(annotations_of(tmp_path / "p", "train")).pictures  # and all is whole
    before = json.loads(annotations_of(root, "train").read_text())
    after = json.loads(annotations_of(tmp_path / "p", "train").read_text())
    for key in ("images", "annotations"):
        assert after[key][: len(before[key])] == before[key]
    new = [picture for picture in found if picture.file_name.startswith("pasted_")]
    assert len(new) == 8
    assert min(picture.image_id for picture in new) == 10**6
    assert max(len(picture.people) for picture in new) > 1
    folder = pictures_of(tmp_path / "p", "train")
    assert (folder / found[0].file_name).is_symlink()
    for picture in new:
        pixels = cv2.imread(str(folder / picture.file_name))
        assert pixels is not None
        assert pixels.shape[:2] == (picture.height, picture.width)
        assert all(person.segmentation is not None for person in picture.people)


def test_crowds_stay_and_it_is_said_whose_pictures_were_used(root, tmp_path):
    paste.enlarge(root, tmp_path / "p", number=20, most=3)
    document = json.loads(annotations_of(tmp_path / "p", "train").read_text())
    new = [entry for entry in document["images"] if entry["id"] >= 10**6]
    on_crowd = {entry["id"] for entry in new if entry["background"] == 6}
    with_crowd = {a["image_id"] for a in document["annotations"] if a["iscrowd"]}
    assert on_crowd
    assert on_crowd <= with_crowd
    for entry in new:
        assert entry["background"] != 5
        assert entry["people_from"]
        assert set(entry["people_from"]) <= {1, 2, 3, 4}
        assert entry["background"] not in entry["people_from"]


def test_processes_and_folders_do_not_matter_and_seeds_do(root, tmp_path):
    def made(name, **how):
        paste.enlarge(root, tmp_path / name, number=3, **how)
        folder = pictures_of(tmp_path / name, "train")
        pictures = [path.read_bytes() for path in sorted(folder.glob("pasted_*"))]
        return annotations_of(tmp_path / name, "train").read_bytes(), pictures

    alone = made("a")
    assert made("b", jobs=2) == alone
    assert made("c", seed=1) != alone


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"fewest": 0}, "--fewest=0 and --most=13; expected 1 or more"),
        ({"fewest": 5, "most": 4}, "--fewest=5 and --most=4"),
    ],
)
def test_impossible_numbers_are_refused(root, tmp_path, how, said):
    with pytest.raises(ValueError, match=said):
        paste.enlarge(root, tmp_path / "p", number=1, **how)


def test_without_anybody_to_paste_it_is_refused(root, tmp_path):
    path = annotations_of(root, "train")
    document = json.loads(path.read_text())
    for entry in document["annotations"]:
        entry["keypoints"], entry["num_keypoints"] = [0] * 51, 0
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match="5 pictures with every mask and 0 people to"):
        paste.enlarge(root, tmp_path / "p", number=1)


def test_a_picture_of_another_size_is_named(root, tmp_path):
    for path in pictures_of(root, "train").iterdir():
        assert cv2.imwrite(str(path), np.zeros((10, 20, 3), np.uint8))
    with pytest.raises(ValueError, match=r"20 x 10 px; its annotations say 200 x 160"):
        paste.enlarge(root, tmp_path / "p", number=1)
    assert not (tmp_path / "p").exists()


def test_real_people_are_pasted_whole():
    root = coco_files.real_data("coco_persons_mini")
    scenery = stage.set_stage(root, fewest=4, most=13, seed=0)
    assert len(scenery.donors) > 500
    made = stage.make(scenery, 0)
    height, width = made.size
    entry = {"id": 0, "file_name": "x.jpg", "height": height, "width": width}
    picture = parse_picture(entry, made.annotations)
    assert len(made.donors) <= len(picture.people) + len(picture.crowds)
    codes = people_map(picture)
    for row, somebody in enumerate(picture.people):
        if somebody.annotation_id >= len(picture.people) - len(made.donors):
            assert somebody.area >= (codes == row + 1).sum() > 0
