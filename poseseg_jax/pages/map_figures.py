"""The pictures of docs/maps.md: each map as it should be, and as a network gives it."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import UInt8

from poseseg_jax.pages.picture import Explained
from poseseg_jax.predictions import draw
from poseseg_jax.sheets import beside, maps, page
from poseseg_jax.sheets.canvas import Canvas, Frame
from poseseg_jax.sheets.compose import of_sample
from poseseg_jax.sheets.labels import draw_labels
from poseseg_jax.sheets.maps import Sample
from poseseg_jax.sheets.page import Panel
from poseseg_jax.skeleton import ANCHOR_NAMES, CENTER, KEYPOINT_NAMES

SIDE = 404  # px, of one of two panels in a row
_THIRD = 267  # of one of three
_ZOOM = 3  # of a close-up, times a panel's
_SHORT = KEYPOINT_NAMES.index("left_shoulder")
_FEW = ("nose", "left_wrist", "right_wrist", "left_ankle", "right_ankle", "center")
_ASKED = KEYPOINT_NAMES.index("left_wrist")


def figures(explained: Explained) -> dict[str, Panel]:
    """All of them, by the name of their file."""
    truth = explained.truth
    said = beside.said_of(truth, explained.maps)
    both = {beside.SHOULD_SAY: truth, beside.SAYS: said}

    def pair(draw_one: Callable[[Sample], Canvas]) -> Panel:
        return in_a_row({title: draw_one(one) for title, one in both.items()})

    def close_up(sample: Sample) -> Canvas:
        large = maps.heatmap_panel(sample, _SHORT, side=SIDE * _ZOOM)
        return _around(large, _place(truth, _SHORT) * SIDE * _ZOOM)

    return {
        "picture": in_a_row(
            {
                "the input and its labels": draw_labels(of_sample(truth), side=SIDE),
                "the people whom the network finds": found_panel(explained),
            }
        ),
        "heatmap": pair(lambda one: maps.all_anchors_panel(only(one), side=SIDE)),
        "short": pair(close_up),
        "mid": pair(lambda one: maps.all_edges_panel(one, outward=True, side=SIDE)),
        "long": pair(lambda one: maps.long_panel(one, CENTER, side=SIDE)),
        "person": pair(lambda one: maps.person_panel(one, side=SIDE)),
        "body": pair(lambda one: maps.body_panel(one, side=SIDE)),
        "asked": in_a_row(_weights(truth)),
    }


def only(sample: Sample) -> Sample:
    """The sample with few of its heatmaps: all of them on one panel hide each other."""
    targets = sample.targets
    chosen = np.isin(ANCHOR_NAMES, _FEW)
    heatmap = np.where(chosen, np.asarray(targets.maps.heatmap), 0.0)
    few = dataclasses.replace(targets.maps, heatmap=heatmap)
    return dataclasses.replace(sample, targets=dataclasses.replace(targets, maps=few))


def in_a_row(panels: dict[str, Canvas]) -> Panel:
    """Panels beside each other, each under its title."""
    return page.row([page.titled(panel, title) for title, panel in panels.items()])


def found_panel(explained: Explained, *, colors: Sequence[int] | None = None) -> Canvas:
    """Poses and masks of the people who were found, on the picture itself.

    Args:
      explained: who they are.
      colors: of each, a place in visualize.PALETTE; None: as `draw` has it.
    """
    drawn = draw("joint", explained.photo, explained.people, colors=colors)
    height, width = drawn.shape[:2]
    return Frame.fitting(height, width, SIDE).paint(drawn)


def _weights(truth: Sample) -> dict[str, Canvas]:
    name = KEYPOINT_NAMES[_ASKED].replace("_", " ")
    return {
        f"{name}: asked, near": maps.heatmap_panel(truth, _ASKED, side=_THIRD),
        "person: asked": maps.person_panel(truth, side=_THIRD),
        f"{name}: owned": maps.long_panel(truth, _ASKED, side=_THIRD),
    }


def _place(sample: Sample, anchor: int) -> np.ndarray:
    """Where the largest person with that keypoint has it, as shares of the input."""
    picture = sample.picture
    has = np.asarray(picture.visibility)[:, anchor] > 0
    row = int(np.argmax(np.where(has, picture.area, 0)))
    side = max(picture.people.shape)
    return np.asarray(picture.keypoints)[row, anchor] / side


def _around(large: Canvas, point: np.ndarray) -> UInt8[np.ndarray, "_ _ 3"]:
    """The part of a large panel with a point in its middle, as far as possible."""
    height, width = large.shape[:2]
    x, y = (
        int(np.clip(value - SIDE / 2, 0, max(extent - SIDE, 0)))
        for value, extent in zip(point, (width, height), strict=True)
    )
    return np.ascontiguousarray(large[y : y + SIDE, x : x + SIDE])
