"""Maps -> people, as a whole."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest

from poseseg_jax.decode.decode import activate, decode
from poseseg_jax.skeleton import CENTER, FLIP, NUM_KEYPOINTS
from poseseg_jax.structs import Maps
from tests import decode_oracle as oracle
from tests.hand_made import SETTINGS, iou, perfect_maps, picture, represent, silhouette
from tests.targets_oracle import mirror

SIDE = 97
LEFT, RIGHT, BELOW = (6, 8, 40, 60), (52, 20, 88, 88), (10, 66, 34, 92)
REPRESENTATION = represent()
CROWDED = dataclasses.replace(SETTINGS, max_people=64, peaks_per_anchor=64)
PERSONLAB = dataclasses.replace(SETTINGS, exclusive_masks=False, mask_threshold=0.25)
MEAN_SCORE = dataclasses.replace(SETTINGS, soft_nms=False)
read = jax.jit(partial(decode), static_argnames=("representation", "settings"))


def find(batch, settings=SETTINGS, representation=REPRESENTATION):
    maps = perfect_maps(batch, representation)
    return as_numpy(read(maps, representation=representation, settings=settings))


def as_numpy(tree):
    return jax.tree.map(np.asarray, tree)


def blank_maps(value=0.0, cells=25) -> Maps:
    edges = REPRESENTATION.skeleton.num_edges
    fine = 2 * (cells - 1) + 1
    shapes = Maps(
        heatmap=(cells, cells, CENTER + 1),
        short=(cells, cells, CENTER + 1, 2),
        mid=(cells, cells, edges, 2),
        long=(cells, cells, CENTER + 1, 2),
        person=(fine, fine),
        body=(cells, cells),
    )
    return jax.tree.map(
        lambda shape: np.full(shape, value, np.float32),
        shapes,
        is_leaf=lambda leaf: isinstance(leaf, tuple),
    )


def assert_sound(found):
    for leaf in jax.tree.leaves(found):
        assert np.all(np.isfinite(leaf))
    assert np.all(np.diff(found.poses.score) <= 0)
    assert np.all((found.masks >= 0) & (found.masks <= 1 + 1e-6))


THREE = (LEFT, (24, 10, 60, 66), BELOW)
NEAR, NEARER = (10, 10, 50, 80), (13, 10, 58, 70)  # with joints on one spot
# Two whose centres are 9 px apart, beside a large one.
SMALL_AND_LARGE = ((50, 30, 58, 46), (8, 8, 48, 84), (59, 30, 67, 46))
BY_SIZE = dataclasses.replace(SETTINGS, center_radius_min=2.0, center_radius=10.0)
ORACLE_CASES = {
    "center": ("center", SETTINGS, THREE),
    "tree": ("tree", SETTINGS, THREE),
    "radii by size": ("center", BY_SIZE, SMALL_AND_LARGE),
    "snapping": ("both", dataclasses.replace(SETTINGS, snap_radius=6.0), THREE),
    "PersonLab's masks": ("center", PERSONLAB, THREE),
    "without soft NMS": ("center", MEAN_SCORE, THREE),
}


@pytest.mark.parametrize("case", ORACLE_CASES)
def test_the_whole_equals_the_loops_in_a_row(case):
    skeleton, settings, boxes = ORACLE_CASES[case]
    labelled = np.ones((3, NUM_KEYPOINTS), bool)
    labelled[1, 5:12] = False
    batch = picture(boxes, labelled=labelled)
    represented = represent(skeleton)
    maps = as_numpy(perfect_maps(batch, represented))
    rng = np.random.default_rng(0)
    noisy = {
        name: getattr(maps, name)
        + rng.normal(0, 0.3, getattr(maps, name).shape).astype(np.float32)
        for name in ("short", "mid", "long")
    }
    maps = dataclasses.replace(maps, **noisy)
    assert_equals_the_loops(maps, represented, settings)


def assert_equals_the_loops(maps, represented, settings):
    got = as_numpy(read(maps, representation=represented, settings=settings))
    poses, masks = got.poses, got.masks
    keypoints, confidence, score, expected = oracle.decode(
        maps, representation=represented, settings=settings
    )
    count = len(score)
    assert count == np.sum(poses.score > 0)
    np.testing.assert_allclose(poses.score[:count], score, atol=1e-3)
    np.testing.assert_allclose(poses.keypoints[:count], keypoints, atol=0.05)
    np.testing.assert_allclose(poses.confidence[:count], confidence, atol=5e-3)
    np.testing.assert_allclose(masks[:count], expected, atol=0.02)


def test_people_so_small_that_their_centres_are_near_are_two():
    silent = np.zeros((3, NUM_KEYPOINTS), bool)
    batch = picture(SMALL_AND_LARGE, labelled=silent)
    one_radius = dataclasses.replace(BY_SIZE, center_radius_min=10.0)
    assert np.sum(find(batch, BY_SIZE).poses.score > 0) == 3
    assert np.sum(find(batch, one_radius).poses.score > 0) == 2


def test_a_picture_need_not_be_square():
    square = picture([LEFT, (50, 10, 90, 60)])
    batch = dataclasses.replace(square, people=square.people[:65])
    found = find(batch)
    assert found.masks.shape[1:] == (33, 49)
    assert np.sum(found.poses.score > 0) == 2
    maps = as_numpy(perfect_maps(batch, REPRESENTATION))
    assert_equals_the_loops(maps, REPRESENTATION, SETTINGS)


def test_a_gpu_gives_the_answers_of_the_cpu():
    try:
        devices = [jax.devices(kind)[0] for kind in ("cpu", "gpu")]
    except RuntimeError:
        pytest.skip("needs a GPU beside the CPU: JAX_PLATFORMS=cuda,cpu")
    maps = as_numpy(perfect_maps(picture(THREE), REPRESENTATION))
    one, other = (
        as_numpy(
            read(
                jax.device_put(maps, device),
                representation=REPRESENTATION,
                settings=SETTINGS,
            )
        )
        for device in devices
    )
    assert_same_people(one, other, 3)


def test_an_empty_picture_has_empty_slots():
    found = find(picture([]))
    assert_sound(found)
    assert found.poses.keypoints.shape == (SETTINGS.max_people, NUM_KEYPOINTS, 2)
    assert not np.any(found.poses.score)
    assert not np.any(found.poses.confidence)
    assert not np.any(found.masks)


@pytest.mark.parametrize("seed", range(3))
def test_no_map_makes_what_is_not_a_number(seed):
    rng = np.random.default_rng(seed)
    wild = jax.tree.map(
        lambda leaf: rng.normal(0, 30, leaf.shape).astype(np.float32), blank_maps()
    )
    assert_sound(
        as_numpy(read(activate(wild), representation=REPRESENTATION, settings=SETTINGS))
    )


@pytest.mark.parametrize("value", [-100.0, 0.0, 100.0])
def test_constant_logits_are_no_reason_to_fail(value):
    flat = activate(blank_maps(value))
    assert_sound(as_numpy(read(flat, representation=REPRESENTATION, settings=SETTINGS)))


def test_only_classes_are_activated():
    maps = activate(blank_maps(2.0))
    sure = 1 / (1 + np.exp(-2.0))
    for name in ("heatmap", "person", "body"):
        np.testing.assert_allclose(getattr(maps, name), sure, rtol=1e-5)
    for name in ("short", "mid", "long"):
        np.testing.assert_array_equal(getattr(maps, name), 2.0)


def test_everybody_is_found_once():
    found = find(picture([LEFT, RIGHT, BELOW]))
    assert_sound(found)
    assert np.sum(found.poses.score > 0) == 3


# In the second, the overlap is so deep that no owner is within two cells.
@pytest.mark.parametrize(
    "boxes", [(LEFT, RIGHT, BELOW), (RIGHT, LEFT, (8, 12, 44, 64))]
)
def test_the_order_of_people_does_not_matter(boxes):
    one = find(picture(boxes))
    other = find(picture(boxes[::-1]))
    assert np.sum(one.poses.score > 0) == 3
    np.testing.assert_allclose(
        np.sort(one.poses.score), np.sort(other.poses.score), atol=1e-5
    )
    for slot in range(3):
        same = np.abs(other.poses.keypoints - one.poses.keypoints[slot])
        twin = same.max(axis=(1, 2)).argmin()
        assert same[twin].max() < 1e-3
        np.testing.assert_allclose(other.masks[twin], one.masks[slot], atol=1e-4)


def assert_same_people(one, other, count):
    """Whatever their order: poses, scores and masks."""
    assert np.sum(other.poses.score > 0) == count
    for slot in range(count):
        same = np.abs(other.poses.keypoints - one.poses.keypoints[slot])
        twin = same[:count].max(axis=(1, 2)).argmin()
        assert same[twin].max() < 0.01
        assert other.poses.score[twin] == pytest.approx(one.poses.score[slot], abs=1e-3)
        np.testing.assert_allclose(other.masks[twin], one.masks[slot], atol=0.02)


def test_a_mirrored_picture_has_mirrored_people():
    batch = picture([LEFT, RIGHT, BELOW])
    one, other = find(batch), find(mirror(batch))
    turned = other.poses.keypoints[:, FLIP[:NUM_KEYPOINTS]] * (-1, 1) + (SIDE - 1, 0)
    poses = dataclasses.replace(other.poses, keypoints=turned)
    back = dataclasses.replace(other, poses=poses, masks=other.masks[:, :, ::-1])
    assert_same_people(one, back, 3)


@pytest.mark.parametrize("shift", [(4, 0), (0, 8), (4, 4)])
def test_people_who_move_are_found_where_they_went(shift):
    boxes = [(12, 10, 40, 54), (44, 22, 74, 80)]
    dx, dy = shift
    moved = [(x0 + dx, y0 + dy, x1 + dx, y1 + dy) for x0, y0, x1, y1 in boxes]
    one, other = find(picture(boxes)), find(picture(moved))
    poses = dataclasses.replace(other.poses, keypoints=other.poses.keypoints - shift)
    masks = np.roll(other.masks, (-dy // 2, -dx // 2), axis=(1, 2))
    assert_same_people(one, dataclasses.replace(other, poses=poses, masks=masks), 2)


def test_small_people_closer_than_cells_are_told_apart():
    """Nobody has keypoints; their centres are 5 px apart, and cells are 4 px wide."""
    boxes = [(40, 40, 44.5, 52), (45, 40, 49.5, 52)]
    found = find(picture(boxes, labelled=[np.zeros(NUM_KEYPOINTS, bool)] * 2))
    assert np.sum(found.poses.score > 0) == 2
    for box in boxes:
        pixels = silhouette(box, SIDE)
        ious = [iou(m >= 0.5, pixels[::2, ::2]) for m in found.masks[:2]]
        assert max(ious) > 0.6


def test_a_border_between_two_people_is_found_within_a_cell():
    """The right one begins 1, 2 or 3 px behind a cell's middle."""
    for border in (49, 50, 51):
        boxes = [(20, 20, border - 0.5, 80), (border - 0.5, 20, 80, 80)]
        batch = picture(boxes)
        batch.people[20:81, 20:81] = 2
        batch.people[20:81, 20:border] = 1
        found = find(batch)
        for mask in found.masks[:2]:
            columns = 2 * np.flatnonzero(mask[25] >= 0.5)
            ends = columns.min(), columns.max()
            gap = min(abs(ends[1] - (border - 0.5)), abs(ends[0] - (border - 0.5)))
            assert gap <= 1.5


def test_rows_of_a_batch_do_not_see_each_other():
    pictures = [picture([LEFT]), picture([]), picture([RIGHT, BELOW])]
    maps = [perfect_maps(one, REPRESENTATION) for one in pictures]
    together = as_numpy(
        jax.jit(
            jax.vmap(partial(decode, representation=REPRESENTATION, settings=SETTINGS))
        )(jax.tree.map(lambda *leaves: np.stack(leaves), *maps))
    )
    for row, one in enumerate(pictures):
        alone = find(one)
        jax.tree.map(
            lambda batch, single, row=row: np.testing.assert_allclose(
                batch[row], single, atol=1e-4
            ),
            together,
            alone,
        )


def test_doubt_lowers_the_score():
    """In PosePlusSeg's code, all scores were 1.0 and AP meant nothing."""
    maps = as_numpy(perfect_maps(picture([LEFT, RIGHT]), REPRESENTATION))
    doubt = np.ones_like(maps.heatmap)
    doubt[:, 12:] = 0.4  # the right half of the picture
    doubted = dataclasses.replace(maps, heatmap=maps.heatmap * doubt)
    poses = as_numpy(
        read(doubted, representation=REPRESENTATION, settings=SETTINGS)
    ).poses
    on_the_right = poses.keypoints[:2].mean(axis=(1, 2)) > 40
    np.testing.assert_array_equal(on_the_right, [False, True])
    assert poses.score[1] < 0.7 * poses.score[0]
    assert poses.confidence[1].max() < poses.confidence[0].min()


def test_the_body_map_lowers_confidence_where_it_sees_no_body():
    maps = as_numpy(perfect_maps(picture([LEFT]), REPRESENTATION))
    maps = dataclasses.replace(maps, body=np.full_like(maps.body, 0.25))
    plain, lowered = (
        read(
            maps,
            representation=REPRESENTATION,
            settings=dataclasses.replace(SETTINGS, body_weight=weight),
        ).poses.confidence[0]
        for weight in (0.0, 0.5)
    )
    np.testing.assert_allclose(lowered, plain / 2, rtol=1e-4)


def test_a_joint_in_the_corner_is_a_joint():
    """In PosePlusSeg's code, joints near (0, 0) were taken for absent."""
    corner = picture([(0, 0, 40, 60)])
    corner.keypoints[0, 0] = (0.5, 0.25)
    poses = find(corner).poses
    np.testing.assert_allclose(poses.keypoints[0, 0], (0.5, 0.25), atol=0.5)
    assert poses.confidence[0, 0] > 0.5


def test_joints_that_are_not_labelled_are_not_found():
    labelled = np.ones(NUM_KEYPOINTS, bool)
    labelled[[3, 9, 15]] = False
    poses = find(picture([RIGHT], labelled=[labelled])).poses
    np.testing.assert_array_equal(poses.confidence[0] > 0, labelled)


def test_a_joint_of_a_neighbour_does_not_shape_the_mask():
    """A neighbour's wrist within R draws the walk to a wrist that is not to be seen."""
    boxes = [(20, 20, 42, 70), (46, 22, 68, 72)]
    labelled = np.ones((2, NUM_KEYPOINTS), bool)
    labelled[0, 5:12] = False
    found = find(
        picture(boxes, labelled=labelled), representation=represent(radius=32.0)
    )
    for row, box in enumerate(boxes):
        pixels = silhouette(box, SIDE)[::2, ::2]
        ious = [iou(mask >= 0.5, pixels) for mask in found.masks]
        assert max(ious) > 0.85
        shown = found.poses.confidence[np.argmax(ious)] > 0
        np.testing.assert_array_equal(shown, labelled[row])


def test_without_soft_nms_a_score_is_the_mean_of_the_confidences():
    """It matters where the surer of a joint is who is less sure of the others."""
    maps = as_numpy(perfect_maps(picture([NEAR, NEARER]), REPRESENTATION))
    rng = np.random.default_rng(0)
    noisy = {
        name: getattr(maps, name)
        + rng.normal(0, 2, getattr(maps, name).shape).astype(np.float32)
        for name in ("short", "mid")
    }
    maps = dataclasses.replace(maps, **noisy)
    usual, mean = (
        as_numpy(read(maps, representation=REPRESENTATION, settings=settings)).poses
        for settings in (SETTINGS, MEAN_SCORE)
    )
    np.testing.assert_array_equal(usual.confidence, mean.confidence)
    np.testing.assert_array_equal(usual.score[0], mean.score[0])
    # Half of a score is its keypoints'.
    near = np.linalg.norm(usual.keypoints[0] - usual.keypoints[1], axis=-1)
    claimed = np.where(near <= SETTINGS.suppression_radius, usual.confidence[1], 0)
    lost = mean.score[1] - usual.score[1]
    np.testing.assert_allclose(lost, claimed.mean() / 2, atol=1e-6)
    assert lost > 0.01
    assert_equals_the_loops(maps, REPRESENTATION, MEAN_SCORE)


def test_exclusive_masks_do_not_overlap():
    found = find(picture([LEFT, (24, 10, 60, 66)]))
    assert np.sum(found.poses.score > 0) == 2
    assert np.all(found.masks.sum(0) <= 1 + 1e-5)
    assert np.sum(found.masks > 0.5, axis=0).max() == 1


def test_a_person_of_one_pixel_is_found():
    speck = picture([(48, 48, 48.5, 48.5)], labelled=[np.zeros(NUM_KEYPOINTS, bool)])
    speck.people[48, 48] = 1
    found = find(speck)
    assert_sound(found)
    assert np.sum(found.poses.score > 0) == 1
    np.testing.assert_array_equal(
        np.argwhere(found.masks[0] == found.masks[0].max()), [[24, 24]]
    )


def test_sixty_people_are_sixty():
    boxes = [
        (19 * column + 2, 32 * row + 2, 19 * column + 16, 32 * row + 30)
        for row in range(6)
        for column in range(10)
    ]
    found = find(picture(boxes, side=193, rows=60), settings=CROWDED)
    assert_sound(found)
    assert np.sum(found.poses.score > 0) == 60
    for box in boxes:
        pixels = silhouette(box, 193)[::2, ::2]
        assert max(iou(mask >= 0.5, pixels) for mask in found.masks[:60]) > 0.7


def test_more_people_than_slots_fill_the_slots():
    few = dataclasses.replace(SETTINGS, max_people=2)
    found = find(picture([LEFT, RIGHT, BELOW]), settings=few)
    assert found.poses.score.shape == (2,)
    assert np.all(found.poses.score > 0)


def test_everybody_on_one_spot_is_somebody():
    found = find(picture([LEFT] * 6))
    assert_sound(found)
    assert np.sum(found.poses.score > 0) == 1
