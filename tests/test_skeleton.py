"""What is known of the body: mirroring, edges, walks, tolerances."""

import numpy as np
import pytest

from poseseg_jax.skeleton import (
    ANCHOR_NAMES,
    CENTER,
    FLIP,
    KEYPOINT_NAMES,
    LIMBS,
    NUM_ANCHORS,
    NUM_KEYPOINTS,
    OKS_SIGMAS,
    SKELETONS,
)

NAMES = pytest.mark.parametrize("name", sorted(SKELETONS))


def test_mirroring_twice_changes_nothing():
    np.testing.assert_array_equal(FLIP[FLIP], np.arange(NUM_ANCHORS))


def test_mirroring_swaps_left_and_right_and_keeps_what_is_in_the_middle():
    for name, mirrored in zip(ANCHOR_NAMES, FLIP, strict=True):
        other = ANCHOR_NAMES[mirrored]
        if name in ("nose", "center"):
            assert other == name
        else:
            assert {name.split("_")[0], other.split("_")[0]} == {"left", "right"}
            assert other.split("_")[1] == name.split("_")[1]


@NAMES
def test_a_mirrored_skeleton_is_the_same_skeleton(name):
    edges = SKELETONS[name].edges
    assert {(FLIP[source], FLIP[target]) for source, target in edges} == set(edges)


@NAMES
def test_every_edge_is_there_once_and_also_backwards(name):
    edges = SKELETONS[name].edges
    assert len(set(edges)) == len(edges)
    assert {(target, source) for source, target in edges} == set(edges)


def test_the_tree_has_16_edges_both_ways_and_no_center():
    tree = SKELETONS["tree"]
    assert tree.num_edges == 32
    assert {anchor for edge in tree.edges for anchor in edge} == set(range(17))
    assert tree.roots == tuple(range(NUM_KEYPOINTS))


def test_the_center_reaches_every_keypoint_and_back():
    center = SKELETONS["center"]
    assert center.num_edges == 34
    assert all(CENTER in edge for edge in center.edges)
    assert SKELETONS["both"].edges == SKELETONS["tree"].edges + center.edges


@NAMES
def test_sources_and_targets_are_the_ends_of_the_edges(name):
    skeleton = SKELETONS[name]
    ends = zip(skeleton.sources, skeleton.targets, strict=True)
    assert tuple(ends) == skeleton.edges


@NAMES
def test_walks_reach_everything_from_every_root_by_consecutive_edges(name):
    skeleton = SKELETONS[name]
    edge, depth = skeleton.walks()
    everything = range(NUM_KEYPOINTS if name == "tree" else NUM_ANCHORS)
    for root in skeleton.roots:
        assert (edge[root, root], depth[root, root]) == (-1, 0)
        for anchor in everything:
            here, steps = anchor, 0
            while here != root:
                here, target = skeleton.edges[edge[root, here]][0], here
                assert (here, target) in skeleton.edges
                assert depth[root, target] == depth[root, here] + 1
                steps += 1
            assert steps == depth[root, anchor]


def test_a_tree_cannot_start_from_the_center_or_reach_it():
    edge, depth = SKELETONS["tree"].walks()
    for walk in (edge[CENTER], edge[:, CENTER], depth[CENTER], depth[:, CENTER]):
        assert (walk == -1).all()


@pytest.mark.parametrize(
    ("name", "root", "anchor", "steps"),
    [
        ("tree", "left_wrist", "left_elbow", 1),
        ("tree", "left_wrist", "right_ankle", 7),  # over elbow, shoulder, nose ...
        ("center", "left_wrist", "right_ankle", 2),
        ("center", "center", "right_ankle", 1),
        ("both", "left_wrist", "left_elbow", 1),
        ("both", "left_wrist", "right_ankle", 2),
    ],
)
def test_walks_are_the_shortest(name, root, anchor, steps):
    _, depth = SKELETONS[name].walks()
    assert depth[ANCHOR_NAMES.index(root), ANCHOR_NAMES.index(anchor)] == steps


def test_tolerances_are_cocos():
    from pycocotools.cocoeval import Params

    np.testing.assert_allclose(OKS_SIGMAS, Params("keypoints").kpt_oks_sigmas)


def test_limbs_join_every_keypoint_and_are_symmetric():
    limbs = {frozenset(limb) for limb in LIMBS.tolist()}
    assert len(limbs) == len(LIMBS) == 19
    assert {frozenset(FLIP[list(limb)].tolist()) for limb in limbs} == limbs
    assert set(LIMBS.ravel()) == set(range(len(KEYPOINT_NAMES)))
