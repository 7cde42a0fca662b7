"""What a network says is drawn like what it should say, where the labels ask."""

import dataclasses

import numpy as np

from poseseg_jax.sheets import beside, compose, maps
from poseseg_jax.skeleton import CENTER
from tests.test_sheets_maps import BOXES, SIDE, make_sample


def test_perfect_maps_are_drawn_like_their_targets():
    truth = make_sample(BOXES)
    said = beside.said_of(truth, truth.targets.maps)
    panels, again = (compose.overviews(one, side=SIDE) for one in (truth, said))
    for name, panel in panels.items():
        np.testing.assert_array_equal(again[name], panel, name)


def test_what_is_not_asked_is_drawn_all_the_same():
    truth = make_sample(BOXES[:1], ignored=60)
    everywhere = np.ones_like(truth.targets.maps.person)
    made = dataclasses.replace(truth.targets.maps, person=everywhere)
    said = beside.said_of(truth, made)
    panel = maps.person_panel(said, side=SIDE)
    assert (panel[:, :, 0] > panel[:, :, 2] + 100).all()  # all of it is yellow


def test_an_offset_is_drawn_from_the_same_cells():
    """Another answer changes where lines end, and not which there are."""
    truth = make_sample(BOXES)
    long = truth.targets.maps.long + np.array([6, 0], np.float32)
    made = dataclasses.replace(truth.targets.maps, long=long)
    said = beside.said_of(truth, made)
    panels = [maps.long_panel(one, CENTER, side=388) for one in (truth, said)]
    assert (panels[0] != panels[1]).any()
    plain = truth.backdrop(truth.frame(388))
    lit = [(panel != plain).any(-1) for panel in panels]
    assert (lit[0] == lit[1]).mean() > 0.99  # the tints are the same


def test_the_overview_has_two_rows_of_panels():
    truth = make_sample(BOXES)
    sheet = beside.overview_sheet(truth, truth.targets.maps, "one", side=97)
    assert sheet.shape[1] <= 6 * (97 + 6) + 20
    assert sheet.shape[0] > 2 * 97
