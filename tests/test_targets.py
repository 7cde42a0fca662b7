"""Targets against plain loops, on hand-drawn pictures, and under what changes nothing.

Pictures are 33 x 33, maps 9 x 9 cells of 4 px.
"""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np
import pytest

from poseseg_jax import targets
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import CENTER, FLIP, SKELETONS
from poseseg_jax.structs import IGNORE, SEVERAL, UNKNOWN_MASK, Maps, Targets
from tests import targets_oracle
from tests.targets_oracle import mirror, picture, scene

NOSE, LEFT_WRIST, RIGHT_WRIST = 0, 9, 10
PERSON = 1  # the code of row 0
KEYPOINTS = slice(0, 17)


def representation(skeleton="center", person_stride=2):
    return Representation(SKELETONS[skeleton], 8.0, 4, person_stride, 0.1)


@functools.cache
def compiled(represented, hard):
    return jax.jit(
        functools.partial(
            targets.make, representation=represented, hard_keypoint_weight=hard
        )
    )


def make(batch, represented=None, hard=1.0) -> Targets:
    """Targets of one picture."""
    one = jax.tree.map(lambda leaf: np.asarray(leaf)[None], batch)
    made = compiled(represented or representation(), hard)(one)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[0], made)


def weighted(made: Targets) -> dict[str, Any]:
    """Everything that a loss can see: weights, and values where they count."""
    weights = {
        "heatmap": made.asked,
        "short": made.near[..., None],
        "mid": made.edge[..., None],
        "long": made.owned[..., None],
        "person": made.asked_person,
        "body": made.asked_body,
    }
    values = {
        name: np.where(weight > 0, getattr(made.maps, name), 0)
        for name, weight in weights.items()
    }
    return values | {f"weight of {name}": w for name, w in weights.items()}


def assert_same(made: Targets, expected: Targets, atol=0.0):
    for name, value in weighted(expected).items():
        got = weighted(made)[name]
        np.testing.assert_allclose(got, value, atol=atol, err_msg=name)


def add(batch, row, box, *, code=None, **places):
    """Somebody in `box` with keypoints n7=(x, y[, visibility]); 2 is visible."""
    batch.box[row], batch.area[row] = box, (box[2] - box[0]) * (box[3] - box[1])
    for name, (x, y, *visibility) in places.items():
        batch.keypoints[row, int(name[1:])] = x, y
        batch.visibility[row, int(name[1:])] = visibility[0] if visibility else 2
    if code is not None:
        x0, y0, x1, y1 = box
        batch.people[y0 : y1 + 1, x0 : x1 + 1] = code
    return batch


@pytest.mark.parametrize(
    ("seed", "skeleton", "hard"),
    [(0, "center", 1.0), (1, "both", 0.5), (2, "tree", 1.0), (3, "both", 0.5)],
)
def test_targets_equal_plain_loops(seed, skeleton, hard):
    batch, represented = scene(seed), representation(skeleton)
    made = make(batch, represented, hard)
    expected = targets_oracle.make(batch, represented, hard)
    got = {name: getattr(made, name) for name in ("near", "edge", "owned")}
    got |= {"asked": made.asked, "asked_body": made.asked_body}
    got |= {name: getattr(made.maps, name) for name in ("heatmap", "body")}
    got["short"] = made.maps.short * (made.near > 0)[..., None]
    got["mid"] = made.maps.mid * (made.edge > 0)[..., None]
    got["long"] = made.maps.long * (made.owned > 0)[..., None]
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert value.any(), name  # or nothing is tested
        np.testing.assert_allclose(got[name], value, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("shape", [(25, 33), (33, 25)])
def test_a_picture_need_not_be_square(shape):
    whole = scene(0)
    batch = dataclasses.replace(whole, people=whole.people[: shape[0], : shape[1]])
    made, expected = make(batch), targets_oracle.make(batch, representation())
    for name in ("near", "edge", "owned", "asked", "asked_body"):
        got = getattr(made, name)
        np.testing.assert_allclose(got, expected[name], atol=1e-4, err_msg=name)
    long = made.maps.long * (made.owned > 0)[..., None]
    np.testing.assert_allclose(long, expected["long"], atol=1e-4)
    person, asked = targets_oracle.person_fraction(batch.people, 2)
    np.testing.assert_array_equal(made.asked_person, asked)
    np.testing.assert_allclose(made.maps.person, person, atol=1e-6)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_person_fractions_equal_plain_loops(stride):
    for seed in (0, 1):
        batch = scene(seed)
        made = make(batch, representation(person_stride=stride))
        expected, asked = targets_oracle.person_fraction(batch.people, stride)
        np.testing.assert_array_equal(made.asked_person, asked)
        np.testing.assert_allclose(made.maps.person, expected, atol=1e-6)


def test_a_nose_lights_the_cells_within_its_radius():
    made = make(add(picture(), 0, (0, 0, 32, 32), n0=(12, 8)))
    lit = made.maps.heatmap[:5, :7, NOSE]
    np.testing.assert_array_equal(
        lit,
        [
            [0, 0, 0, 1, 0, 0, 0],
            [0, 0, 1, 1, 1, 0, 0],
            [0, 1, 1, 1, 1, 1, 0],
            [0, 0, 1, 1, 1, 0, 0],
            [0, 0, 0, 1, 0, 0, 0],
        ],
    )
    assert made.maps.heatmap[..., NOSE].sum() == lit.sum()
    np.testing.assert_array_equal(made.near, made.maps.heatmap)
    np.testing.assert_array_equal(made.maps.short[2, 1, NOSE], [8, 0])
    np.testing.assert_array_equal(made.maps.short[4, 3, NOSE], [0, -8])


def test_offsets_land_on_their_anchors():
    left, right = np.array([10.25, 9.5]), np.array([23.5, 20.75])
    places = {"n9": tuple(left), "n10": tuple(right)}
    batch = add(picture(), 0, (4, 4, 27, 28), code=PERSON, **places)
    center = np.array([15.5, 16.0])
    made = make(batch, representation("both"))
    edges = representation("both").skeleton.edges
    for i, j in np.ndindex(9, 9):
        cell = np.array([4 * j, 4 * i])
        for anchor, place in ((9, left), (10, right), (CENTER, center)):
            if made.near[i, j, anchor]:
                np.testing.assert_array_equal(
                    cell + made.maps.short[i, j, anchor], place
                )
            if made.owned[i, j, anchor]:
                np.testing.assert_array_equal(
                    cell + made.maps.long[i, j, anchor], place
                )
        outward = edges.index((CENTER, RIGHT_WRIST))
        if made.edge[i, j, outward]:
            np.testing.assert_array_equal(cell + made.maps.mid[i, j, outward], right)
    # Around the source, not along the way.
    assert made.edge[4, 4, outward] == 1
    assert made.edge[5, 6, outward] == 0


def test_the_nearest_person_owns_overlapping_discs():
    batch = add(picture(), 0, (0, 0, 20, 20), n0=(8, 16), n9=(8, 4))
    batch = add(batch, 1, (10, 0, 32, 32), n0=(17, 16), n9=(30, 30))
    made = make(batch)
    to_nose = made.maps.short[4, :, NOSE, 0]  # the row of cells at y = 16
    np.testing.assert_array_equal(to_nose[:7], [8, 4, 0, -4, 1, -3, -7])
    to_center = representation().skeleton.edges.index((NOSE, CENTER))
    landing = 4 * np.arange(9) + made.maps.mid[4, :, to_center, 0]
    np.testing.assert_array_equal(landing[:7], [10] * 4 + [21] * 3)


def test_an_edge_counts_only_if_both_ends_are_labelled():
    batch = add(picture(), 0, (0, 0, 32, 32), n0=(16, 16), n1=(20, 12))
    made = make(batch, representation("tree"))
    edges = representation("tree").skeleton.edges
    counted = {edges[e] for e in np.flatnonzero(made.edge.any((0, 1)))}
    assert counted == {(0, 1), (1, 0)}


def test_everybody_has_a_center():
    batch = add(picture(), 0, (4, 6, 20, 30), code=PERSON)
    made = make(batch)
    assert made.maps.heatmap[..., KEYPOINTS].sum() == 0
    assert made.maps.heatmap[4, 3, CENTER] == 1  # (12, 16); the box's middle: (12, 18)
    np.testing.assert_array_equal(made.maps.short[4, 3, CENTER], [0, 2])
    assert made.owned[..., CENTER].any()
    assert not made.owned[..., KEYPOINTS].any()


@pytest.mark.parametrize(
    ("code", "owned"),
    [(PERSON, 1), (SEVERAL, 0), (UNKNOWN_MASK, 0), (IGNORE, 0), (0, 0)],
)
def test_long_offsets_count_where_one_person_is_alone(code, owned):
    batch = add(picture(), 0, (0, 0, 32, 32), code=PERSON, n0=(30, 30))
    batch.people[6:11, 6:11] = code
    assert make(batch).owned[2, 2, NOSE] == owned


def test_a_person_smaller_than_a_cell_owns_a_part_of_it():
    batch = add(picture(), 0, (9, 9, 10, 10), code=None, n0=(9, 9))
    batch.people[9, 9] = PERSON
    made = make(batch)
    assert made.owned[2, 2, NOSE] == pytest.approx(1 / 16)
    np.testing.assert_array_equal(made.maps.long[2, 2, NOSE], [1, 1])


def test_within_a_crowd_cells_point_to_the_nearest_centre_not_to_the_first_row():
    batch = add(picture(), 0, (0, 0, 4, 4), code=PERSON)
    batch = add(add(batch, 1, (8, 8, 32, 32)), 2, (10, 8, 30, 28))
    batch.people[8:, 8:] = SEVERAL
    made = make(batch)
    assert made.owned[4, 5].max() == 0
    np.testing.assert_array_equal(made.maps.long[4, 5, CENTER], [0, 2])  # to (20, 18)


@pytest.mark.parametrize("pixels", range(5))
def test_a_cell_of_two_people_says_the_mean_of_both(pixels):
    """A column of pixels at a cell's border counts half, as in `person`."""
    batch = add(picture(), 0, (0, 0, 32, 32), n0=(0, 0))
    batch = add(batch, 1, (0, 0, 32, 32), n0=(32, 16))
    batch.people[:], batch.people[:, : 6 + pixels] = 2, 1
    part = max(pixels - 0.5, 0) / 4
    made = make(batch)
    assert made.owned[2, 2, NOSE] == 1
    expected = part * np.array([0, 0]) + (1 - part) * np.array([32, 16]) - 8
    np.testing.assert_allclose(made.maps.long[2, 2, NOSE], expected, atol=1e-4)


def test_of_two_owners_only_who_has_the_joint_says_where_it_is():
    batch = add(picture(), 0, (0, 0, 32, 32), n0=(4, 4))
    batch = add(batch, 1, (0, 0, 32, 32))
    batch.people[:], batch.people[:, :8] = 2, 1
    made = make(batch)
    np.testing.assert_array_equal(made.maps.long[2, 2, NOSE], [-4, -4])
    assert made.owned[2, 2, NOSE] == pytest.approx(1.5 / 4)
    assert made.owned[2, 2, CENTER] == 1


# A cell in the box of row 0, far from any disc. Its code; whether row 0 has a labelled
# keypoint; whether then the nose, the centre, the body and the person map are asked.
ASKED = [
    ("background", 0, True, (1, 1, 1, 1)),
    ("background in a silent box", 0, False, (1, 1, 1, 1)),
    ("somebody", PERSON, True, (1, 1, 1, 1)),
    ("somebody silent", PERSON, False, (0, 1, 0, 1)),
    ("somebody else than the silent one", PERSON + 1, False, (1, 1, 1, 1)),
    ("several", SEVERAL, True, (1, 1, 1, 1)),
    ("several, one of them silent", SEVERAL, False, (0, 1, 0, 1)),
    ("mask unknown", UNKNOWN_MASK, True, (1, 1, 1, 0)),
    ("mask unknown, silent", UNKNOWN_MASK, False, (0, 1, 0, 0)),
    ("crowd", IGNORE, True, (0, 0, 0, 0)),
]


@pytest.mark.parametrize("case", ASKED, ids=lambda case: case[0])
def test_what_is_not_known_is_not_asked(case):
    _, code, has_keypoint, expected = case
    labels = {"n9": (32, 32)} if has_keypoint else {}
    batch = add(picture(), 0, (0, 0, 31, 31), **labels)
    batch = add(batch, 1, (24, 24, 32, 32), n9=(32, 31))
    batch.people[:8, :8] = code
    made = make(batch)
    cell = (1, 1)
    asked = (made.asked[(*cell, NOSE)], made.asked[(*cell, CENTER)])
    asked += (made.asked_body[cell], made.asked_person[2, 2])
    assert asked == expected
    np.testing.assert_array_equal(made.asked[(*cell, slice(1, 17))], expected[0])
    # Elsewhere nothing is in doubt.
    assert made.asked[5:].all()
    assert made.asked_body[5:].all()
    assert made.asked_person[9:].all()


def test_a_labelled_disc_counts_even_where_nothing_else_is_asked():
    batch = add(picture(), 0, (0, 0, 32, 32), code=IGNORE, n9=(16, 16))
    made = make(batch)
    np.testing.assert_array_equal(made.asked, made.maps.heatmap)
    np.testing.assert_array_equal(made.asked_body, made.maps.heatmap[..., LEFT_WRIST])


def test_a_joint_in_the_corner_is_a_joint():
    batch = add(picture(), 0, (0, 0, 16, 16), n9=(0, 0))
    made = make(batch)
    assert made.maps.heatmap[0, 0, LEFT_WRIST] == made.near[0, 0, LEFT_WRIST] == 1


@pytest.mark.parametrize("stride", [2, 4])
def test_one_pixel_lights_the_cells_that_it_lies_in(stride):
    area = stride**2
    on_cell, between = picture(), picture()
    on_cell.people[16, 16] = SEVERAL
    between.people[16, 16 + stride // 2] = PERSON
    represented = representation(person_stride=stride)
    i = 16 // stride
    fraction = make(add(on_cell, 0, (1, 1, 2, 2)), represented).maps.person
    np.testing.assert_allclose(fraction[i, i], 1 / area)
    assert (fraction > 0).sum() == 1
    fraction = make(add(between, 0, (1, 1, 2, 2)), represented).maps.person
    np.testing.assert_allclose(fraction[i, i : i + 2], 1 / (2 * area))
    assert (fraction > 0).sum() == 2


def test_the_fraction_is_of_what_is_known():
    batch = add(picture(), 0, (0, 0, 32, 32))
    batch.people[15:18, 15:18] = [[IGNORE, 0, 1], [IGNORE, 0, 1], [IGNORE, 0, 1]]
    made = make(batch)
    np.testing.assert_allclose(made.maps.person[8, 8], 1 / 3)
    assert made.asked_person[8, 8] == 1


def test_where_little_is_known_the_fraction_is_of_the_whole_cell():
    """Else a person in a crowd would grow by a cell."""
    batch = add(picture(), 0, (0, 0, 32, 32))
    batch.people[15:18, 15:18] = [[IGNORE, IGNORE, 1]] * 3
    made = make(batch)
    np.testing.assert_allclose(made.maps.person[8, 8], 1 / 4)
    assert made.asked_person[8, 8] == 0


def test_body_is_closeness_in_units_of_the_person():
    batch = add(picture(), 0, (0, 0, 32, 32), n0=(8, 8))
    batch = add(batch, 1, (20, 20, 30, 30), n9=(24, 24))
    batch.area[:2] = 1600, 400  # sigma is a tenth of 40 and 20 px
    body = make(batch).maps.body
    assert body[2, 2] == body[6, 6] == 1
    np.testing.assert_allclose(body[2, 3], np.exp(-(4**2) / (2 * 4**2)), rtol=1e-6)
    np.testing.assert_allclose(body[6, 7], np.exp(-(4**2) / (2 * 2**2)), rtol=1e-6)


def test_of_nobody_there_is_nothing_and_all_of_it_is_asked():
    made = make(picture())
    for name, value in weighted(made).items():
        asked = name in ("weight of heatmap", "weight of person", "weight of body")
        assert (value == asked).all(), name


def test_unlabelled_keypoints_cost_nothing():
    batch = scene(0)
    lost = batch.visibility == 0
    keypoints = np.where(lost[..., None], 16.0, batch.keypoints).astype(np.float32)
    assert_same(make(dataclasses.replace(batch, keypoints=keypoints)), make(batch))


def test_padding_rows_change_nothing():
    assert_same(make(scene(1, rows=8)), make(scene(1, rows=5)))


def test_the_order_of_people_does_not_matter():
    batch = scene(2)
    order = np.array([3, 0, 4, 2, 1])
    code = np.arange(256, dtype=np.uint8)
    code[order + 1] = np.arange(1, 6)  # row order[n] becomes row n
    shuffled = dataclasses.replace(
        batch,
        people=code[batch.people],
        **{
            name: getattr(batch, name)[order]
            for name in ("keypoints", "visibility", "box", "area")
        },
    )
    assert_same(make(shuffled), make(batch))


@pytest.mark.parametrize("skeleton", ["center", "tree"])
def test_the_mirrored_picture_has_the_mirrored_targets(skeleton):
    batch, represented = scene(3), representation(skeleton)
    made = make(batch, represented)
    edges = represented.skeleton.edges
    edge_flip = np.array([edges.index((FLIP[s], FLIP[t])) for s, t in edges])

    def turn(values, channels=None, offsets=False):
        values = values[:, ::-1]
        values = values if channels is None else values[:, :, channels]
        return values * np.array([-1, 1]) if offsets else values

    maps = made.maps
    expected = Targets(
        maps=Maps(
            heatmap=turn(maps.heatmap, FLIP),
            short=turn(maps.short, FLIP, offsets=True),
            mid=turn(maps.mid, edge_flip, offsets=True),
            long=turn(maps.long, FLIP, offsets=True),
            person=turn(maps.person),
            body=turn(maps.body),
        ),
        near=turn(made.near, FLIP),
        edge=turn(made.edge, edge_flip),
        owned=turn(made.owned, FLIP),
        asked=turn(made.asked, FLIP),
        asked_person=turn(made.asked_person),
        asked_body=turn(made.asked_body),
    )
    assert_same(make(mirror(batch), represented), expected, atol=1e-4)


def test_pictures_of_a_batch_do_not_meet():
    scenes = [scene(0), scene(1)]
    batch = jax.tree.map(lambda *leaves: np.stack(leaves), *scenes)
    both = compiled(representation(), 1.0)(batch)
    for index, one in enumerate(scenes):
        alone = jax.tree.map(lambda leaf, i=index: np.asarray(leaf[i]), both)
        assert_same(alone, make(one), atol=1e-5)


def test_hard_masks_are_soft_ones_rounded_and_nothing_else_changes():
    soft, hard = (
        make(scene(0), dataclasses.replace(representation(), masks=masks))
        for masks in ("soft", "hard")
    )
    assert ((soft.maps.person > 0) & (soft.maps.person < 1)).any()
    np.testing.assert_array_equal(hard.maps.person, soft.maps.person >= 0.5)
    same = dataclasses.replace(hard.maps, person=soft.maps.person)
    assert_same(dataclasses.replace(hard, maps=same), soft)


@pytest.mark.parametrize("hard", [0.0, 0.25, 1.0])
def test_hidden_keypoints_weigh_what_they_are_told(hard):
    places = {"n0": (16, 16, 1), "n9": (8, 8, 2)}
    batch = add(picture(), 0, (0, 0, 32, 32), code=PERSON, **places)
    made = make(batch, hard=hard)
    assert (made.near[4, 4, NOSE], made.near[2, 2, LEFT_WRIST]) == (hard, 1)
    assert (made.owned[0, 8, NOSE], made.owned[0, 8, LEFT_WRIST]) == (hard, 1)
    assert made.owned[0, 8, CENTER] == 1
    edges = representation().skeleton.edges
    assert made.edge[4, 4, edges.index((NOSE, CENTER))] == hard
    assert made.edge[2, 2, edges.index((LEFT_WRIST, CENTER))] == 1


def test_hidden_keypoints_are_on_the_heatmap_whatever_they_weigh():
    """The weight is that of offsets; a hidden joint is no background."""
    made, expected = (make(scene(0), hard=hard) for hard in (0.0, 1.0))
    for name in ("heatmap", "body"):
        np.testing.assert_array_equal(
            getattr(made.maps, name), getattr(expected.maps, name)
        )
    np.testing.assert_array_equal(made.asked, expected.asked)
