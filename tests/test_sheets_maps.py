"""Target maps are drawn where their cells are, and only what counts is drawn."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from poseseg_jax import targets
from poseseg_jax.sheets import compose, maps
from poseseg_jax.sheets.maps import Sample
from poseseg_jax.skeleton import CENTER, KEYPOINT_NAMES, NUM_ANCHORS
from poseseg_jax.structs import IGNORE, UNKNOWN_MASK
from tests import hand_made

SIDE = 97
NOSE, LEFT_WRIST = KEYPOINT_NAMES.index("nose"), KEYPOINT_NAMES.index("left_wrist")
BOXES = ((10, 8, 40, 90), (50, 20, 90, 80))
MANY = [(8 * i, 6 * i, 8 * i + 20, 6 * i + 24) for i in range(9)]
MANY += [(70 - 9 * i, 5 + 12 * i, 88 - 9 * i, 30 + 12 * i) for i in range(4)]


_make = jax.jit(targets.make, static_argnames="representation")


@functools.cache
def make_sample(boxes, *, skeleton="center", labelled=None, ignored=None, radius=8.0):
    picture = hand_made.picture(
        boxes, side=SIDE, rows=13, labelled=None if labelled is None else list(labelled)
    )
    picture.image[:] = 100
    if ignored is not None:
        picture.people[:, ignored:] = IGNORE
    representation = hand_made.represent(skeleton, radius=radius)
    batch = jax.tree.map(lambda leaf: leaf[None], picture)
    made = _make(batch, representation=representation)
    truth = jax.tree.map(lambda leaf: np.asarray(leaf)[0], made)
    return Sample(picture, truth, representation)


@pytest.fixture
def sample():
    return make_sample(BOXES)


def drawn_on(sample, panel, side):
    """Where a panel differs from the bare input."""
    return (panel != sample.backdrop(sample.frame(side))).any(-1)


@pytest.mark.parametrize("side", [97, 216, 388])
def test_a_lit_cell_of_each_map_is_drawn_at_its_input_pixel(sample, side):
    frame, stride = sample.frame(side), sample.representation.map_stride
    heat = sample.targets.maps.heatmap
    panels = {
        anchor: maps.heatmap_panel(sample, anchor, side=side)
        for anchor in (NOSE, LEFT_WRIST, CENTER)
    }
    for anchor, panel in panels.items():
        lit = drawn_on(sample, panel, side)
        for row, column in np.argwhere(heat[..., anchor] > 0):
            x, y = frame.place(np.array([column, row], float) * stride)
            assert lit[round(float(y)), round(float(x))]
        # And the discs are all there is, but for lines that end in their anchor.
        assert lit.sum() <= 1.3 * (frame.spread(heat[..., anchor], stride) > 0).sum()


def test_person_cells_are_drawn_by_their_own_stride(sample):
    side = 388
    frame, stride = sample.frame(side), sample.representation.person_stride
    lit = drawn_on(sample, maps.person_panel(sample, side=side), side)
    covered = frame.spread(sample.targets.maps.person, stride)
    assert lit[covered > 0.1].all()
    assert not lit[covered == 0].any()


def test_body_is_drawn_where_it_is(sample):
    panel = maps.body_panel(sample, side=SIDE)
    plain = sample.backdrop(sample.frame(SIDE))
    body = sample.frame(SIDE).spread(sample.targets.maps.body, 4)
    brighter = panel.astype(int).sum(-1) - plain.astype(int).sum(-1)
    assert brighter[body > 0.8].min() > brighter[body < 0.05].max()


@pytest.mark.parametrize("kind", ["person", "body", "heatmap"])
def test_what_is_not_asked_is_hatched(kind):
    ignored = make_sample(BOXES[:1], ignored=60)
    panel = {
        "person": lambda: maps.person_panel(ignored, side=SIDE),
        "body": lambda: maps.body_panel(ignored, side=SIDE),
        "heatmap": lambda: maps.heatmap_panel(ignored, CENTER, side=SIDE),
    }[kind]()
    lit = drawn_on(ignored, panel, SIDE)
    assert 0.1 < lit[:, 64:].mean() < 0.6
    assert not lit[:, 56:58].any()


def test_long_offsets_are_drawn_on_people_who_have_the_anchor():
    seen = np.ones((2, 17), bool)
    seen[1, NOSE] = False
    sample = make_sample(BOXES, labelled=tuple(map(tuple, seen)))
    side = 388
    lit = drawn_on(sample, maps.long_panel(sample, NOSE, side=side), side)
    owner = sample.frame(side).spread(sample.picture.people[::4, ::4], 4)
    assert lit[owner == 1].all()
    assert not lit[:, 4 * 55 :].any()


def test_cells_whose_middle_is_nobodys_have_the_colour_of_who_has_the_rest(monkeypatch):
    """Ellipses of all sizes: outlines cross cells, and people are smaller than them."""
    sample = make_sample((*BOXES, (42.2, 9.1, 43.9, 10.8)))
    middle, owned = sample.picture.people[::4, ::4], sample.targets.owned
    assert np.any((middle == 0) & (owned[..., CENTER] > 0))
    drawn = []
    monkeypatch.setattr(
        maps, "person_color", lambda row: drawn.append(row) or (0, 255, 0)
    )
    lit = drawn_on(sample, maps.long_panel(sample, CENTER, side=388), 388)
    assert drawn == [0, 1, 2]
    share = sample.frame(388).spread(owned[..., CENTER], 4)
    assert lit[share > 0.1].all()


def test_of_two_owners_who_has_the_anchor_gives_the_colour(monkeypatch):
    seen = np.ones((2, 17), bool)
    seen[0, NOSE] = False
    boxes = ((20, 10, 48.5, 90), (48.5, 10, 80, 90))
    sample = make_sample(boxes, labelled=tuple(map(tuple, seen)))
    drawn = []
    monkeypatch.setattr(
        maps, "person_color", lambda row: drawn.append(row) or (0, 255, 0)
    )
    maps.long_panel(sample, NOSE, side=SIDE)
    assert drawn == [1]


def test_lines_lead_to_the_anchor():
    """Mid offsets of a far edge reach beyond the disc, up to their end."""
    sample = make_sample(BOXES[:1])
    edge = sample.representation.skeleton.edges.index((CENTER, NOSE))
    side = 388
    frame = sample.frame(side)
    lit = drawn_on(sample, maps.mid_panel(sample, edge, side=side), side)
    x, y = frame.place(sample.picture.keypoints[0, NOSE])
    assert lit[round(float(y)), round(float(x))]
    disc = frame.spread(sample.targets.edge[..., edge], 4) > 0
    rows, _ = np.nonzero(lit & ~disc)
    assert rows.min() >= y - 4
    assert rows.max() <= frame.place(np.array([25.0, 49.0]))[1]


def test_an_edge_that_counts_nowhere_leaves_the_input_alone():
    seen = np.zeros((1, 17), bool)
    sample = make_sample(BOXES[:1], labelled=tuple(map(tuple, seen)))
    panel = maps.mid_panel(sample, 0, side=SIDE)
    assert not drawn_on(sample, panel, SIDE).any()


@pytest.mark.parametrize("skeleton", ["tree", "center"])
def test_outward_edges_and_ways_back_share_out_the_skeleton(skeleton):
    sample = make_sample(BOXES, skeleton=skeleton)
    panels = [
        maps.all_edges_panel(sample, outward=outward, side=194)
        for outward in (True, False)
    ]
    for panel in panels:
        assert drawn_on(sample, panel, 194).any()


@pytest.mark.parametrize("boxes", [(), BOXES[:1], tuple(MANY)], ids=len)
def test_a_sheet_is_drawn_for_any_number_of_people(boxes):
    sample = make_sample(boxes)
    sheet = compose.sample_sheet(sample, "a sample")
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] > 1800
    # What counts nowhere is named instead of drawn.
    if not boxes:
        assert len(sheet) < len(compose.sample_sheet(make_sample(BOXES), "another"))


def test_record_sheets_and_thumbnails_are_pages_of_their_picture(sample):
    labelled = compose.of_sample(sample)
    sheet = compose.record_sheet(labelled, "a record")
    assert sheet.shape[0] > sheet.shape[1] > 1000
    small = compose.thumbnail(labelled, "a record")
    together = compose.contact_sheet([small] * 5, "records")
    assert together.shape[0] > 2 * small.shape[0]
    assert together.shape[1] > 4 * small.shape[1]


def test_who_has_no_pixel_but_that_of_an_unknown_mask_has_none(sample):
    assert compose.of_sample(sample).has_mask.all()
    people = np.array(sample.picture.people)
    people[people == 1] = UNKNOWN_MASK
    picture = sample.picture.replace(people=people)
    changed = dataclasses.replace(sample, picture=picture)
    has_mask = compose.of_sample(changed).has_mask
    assert not has_mask[0]
    assert has_mask[1:].all()


def test_all_anchors_are_on_one_panel(sample):
    side = 388
    lit = drawn_on(sample, maps.all_anchors_panel(sample, side=side), side)
    any_disc = sample.frame(side).spread(sample.targets.maps.heatmap.max(-1), 4) > 0
    assert lit[any_disc].all()
    assert sample.targets.maps.heatmap.shape[-1] == NUM_ANCHORS
