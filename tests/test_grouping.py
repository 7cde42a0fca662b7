"""Candidates grow poses, and the best of each person stay."""

from functools import cache, partial

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poseseg_jax.decode import grouping
from poseseg_jax.decode.peaks import Candidates
from poseseg_jax.skeleton import CENTER, KEYPOINT_NAMES, NUM_ANCHORS, SKELETONS
from tests import decode_oracle as oracle

STRIDE, COUNT = 4, 60
SEEDS = st.integers(0, 2**32 - 1)
NAMES = ("tree", "center", "both")
suppress = jax.jit(grouping.suppress, static_argnames="radius")


@cache
def jitted(function, name, **options):
    skeleton = SKELETONS[name]
    return jax.jit(partial(function, skeleton=skeleton, stride=STRIDE, **options))


def walk(name, steps):
    return jitted(grouping.grow, name, refine_steps=steps)


def calm_fields(rng, skeleton, height=13, width=11):
    """Offsets that differ between edges and little between cells, input px."""

    def field(count):
        mean = rng.normal(0, 6, (count, 2))
        noise = rng.uniform(-0.5, 0.5, (height, width, count, 2))
        return (mean + noise).astype(np.float32)

    return {"mid": field(skeleton.num_edges), "short": field(NUM_ANCHORS) / 6}


def starts(rng, skeleton, count=5):
    return Candidates(
        anchor=rng.choice(skeleton.roots, count).astype(np.int32),
        position=rng.uniform(-4, 48, (count, 2)).astype(np.float32),
        score=np.sort(rng.random(count)).astype(np.float32)[::-1],
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [0, 2])
@settings(max_examples=10)
@given(seed=SEEDS)
def test_growing_equals_the_walk(name, steps, seed):
    rng, skeleton = np.random.default_rng(seed), SKELETONS[name]
    begin, fields = starts(rng, skeleton), calm_fields(rng, skeleton)
    got = walk(name, steps)(begin, **fields)
    for root, place, pose in zip(begin.anchor, begin.position, got, strict=True):
        expected = oracle.grow(
            root,
            place,
            **fields,
            skeleton=skeleton,
            stride=STRIDE,
            refine_steps=steps,
        )
        np.testing.assert_allclose(pose, expected, atol=0.02)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=10)
@given(seed=SEEDS)
def test_agreement_equals_the_walk_back(name, seed):
    rng, skeleton = np.random.default_rng(seed), SKELETONS[name]
    root = rng.choice(skeleton.roots, 5).astype(np.int32)
    pose = rng.uniform(-4, 48, (5, NUM_ANCHORS, 2)).astype(np.float32)
    mid = calm_fields(rng, skeleton)["mid"]
    got = jitted(grouping.agreement, name, radius=10.0)(pose, root, mid=mid)
    for anchor, one, surely in zip(root, pose, got, strict=True):
        expected = oracle.agreement(
            one, anchor, mid=mid, skeleton=skeleton, stride=STRIDE, radius=10.0
        )
        np.testing.assert_allclose(surely, expected, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=10)
@given(seed=SEEDS)
def test_snapping_equals_the_walk(name, seed):
    rng, skeleton = np.random.default_rng(seed), SKELETONS[name]
    begin, fields = starts(rng, skeleton, count=24), calm_fields(rng, skeleton)
    everybody = list(zip(begin.score, begin.anchor, begin.position, strict=True))
    options = {"refine_steps": 1, "snap_radius": 12.0}
    got = jitted(grouping.grow, name, **options, peaks_per_anchor=24)(begin, **fields)
    for _, root, place in everybody[:5]:
        expected = oracle.grow(
            root,
            place,
            **fields,
            skeleton=skeleton,
            stride=STRIDE,
            to=everybody,
            **options,
        )
        slot = next(i for i, one in enumerate(everybody) if one[2] is place)
        np.testing.assert_allclose(got[slot], expected, atol=0.02)


def test_a_snapped_joint_is_a_candidate_of_its_type():
    rng, skeleton = np.random.default_rng(0), SKELETONS["center"]
    begin, fields = starts(rng, skeleton, count=24), calm_fields(rng, skeleton)
    options = {"refine_steps": 0, "snap_radius": 1e3, "peaks_per_anchor": 24}
    pose = jitted(grouping.grow, "center", **options)(begin, **fields)
    for anchor in set(begin.anchor.tolist()):
        of_type = begin.position[begin.anchor == anchor]
        gap = np.linalg.norm(pose[:, anchor, None] - of_type, axis=-1).min(axis=1)
        np.testing.assert_allclose(gap, 0, atol=1e-4)


def two_people(apart):
    """Mid offsets of two people with the same pose, cut in the middle between them."""
    rng, skeleton = np.random.default_rng(0), SKELETONS["center"]
    pose = rng.uniform(8, 36, (NUM_ANCHORS, 2)).astype(np.float32)
    poses = np.stack([pose, pose + np.array([apart, 0])])
    y, x = np.mgrid[:13, :25].astype(np.float32) * STRIDE
    cells = np.stack([x, y], -1)
    mid = np.zeros((13, 25, skeleton.num_edges, 2), np.float32)
    for edge, (source, target) in enumerate(skeleton.edges):
        second = (x > pose[source, 0] + apart / 2).astype(int)
        mid[:, :, edge] = poses[second, target] - cells
    return poses, mid


def test_a_pose_with_its_own_joints_agrees_and_a_stolen_joint_does_not():
    poses, mid = two_people(apart=30)
    wrist = KEYPOINT_NAMES.index("left_wrist")
    stolen = poses[0].copy()
    stolen[wrist] = poses[1, wrist]
    agree = jitted(grouping.agreement, "center", radius=10.0)
    root = np.array([CENTER, CENTER, CENTER], np.int32)
    surely = np.asarray(agree(np.stack([*poses, stolen]), root, mid=mid))
    assert surely[:2].min() > 0.99
    assert surely[2, wrist] < 0.1
    assert np.delete(surely[2], wrist).min() > 0.99


def test_agreement_is_lost_for_all_that_lies_beyond_a_stolen_joint():
    skeleton = SKELETONS["tree"]
    nose, shoulder, elbow = (
        KEYPOINT_NAMES.index(name) for name in ("nose", "left_shoulder", "left_elbow")
    )
    pose = np.full((1, NUM_ANCHORS, 2), 20, np.float32)
    mid = np.zeros((13, 11, skeleton.num_edges, 2), np.float32)
    mid[:, :, skeleton.edges.index((shoulder, nose))] = (30, 0)
    surely = jitted(grouping.agreement, "tree", radius=10.0)(
        pose, np.array([nose], np.int32), mid=mid
    )[0]
    assert surely[nose] == 1
    assert surely[shoulder] < 1e-3
    assert surely[elbow] < 1e-3
    assert surely[KEYPOINT_NAMES.index("right_elbow")] == 1
    assert surely[CENTER] == 0  # no way leads there


@given(SEEDS)
def test_claims_equal_the_loop(seed):
    rng = np.random.default_rng(seed)
    pose = rng.integers(0, 12, (6, NUM_ANCHORS, 2)).astype(np.float32)
    # Few values: two are often equally sure.
    weight = rng.integers(0, 4, (6, NUM_ANCHORS)).astype(np.float32)
    got = grouping.settle_claims(pose, weight, radius=4.0)
    np.testing.assert_array_equal(got, oracle.settle_claims(pose, weight, radius=4.0))


def test_a_joint_is_the_surer_poses_and_everybody_has_a_centre():
    pose = np.zeros((2, NUM_ANCHORS, 2), np.float32)
    weight = np.array([[0.9], [0.3]], np.float32) * np.ones(NUM_ANCHORS, np.float32)
    got = np.asarray(grouping.settle_claims(pose, weight, radius=1.0))
    np.testing.assert_array_equal(got[0], weight[0])
    np.testing.assert_array_equal(got[1, :CENTER], 0)
    assert got[1, CENTER] == weight[1, CENTER]


def crowd(rng, *, spread, types):
    """Candidates and poses on whole pixels, so that near ones and ties are common."""
    count = int(rng.integers(0, COUNT + 1))
    score = np.zeros(COUNT, np.float32)
    score[:count] = np.sort(rng.integers(1, 8, count))[::-1]
    anchor = rng.choice(types, COUNT).astype(np.int32)
    pose = rng.integers(0, spread, (COUNT, NUM_ANCHORS, 2)).astype(np.float32)
    position = pose[np.arange(COUNT), anchor]
    return Candidates(anchor=anchor, position=position, score=score), pose


def assert_greedy(candidates, pose, radius, center_radius):
    """The fixed point is what the loop keeps. Radii of centres differ by pose."""
    if center_radius is not None:
        sizes = np.random.default_rng(0).random(COUNT).astype(np.float32)
        center_radius = np.float32(center_radius) * (0.5 + sizes)
    got = suppress(candidates, pose, radius=radius, center_radius=center_radius)
    expected = oracle.suppress(
        candidates.anchor,
        candidates.position,
        candidates.score,
        pose,
        radius=radius,
        center_radius=center_radius,
    )
    assert np.flatnonzero(got).tolist() == expected


@settings(max_examples=300)
@given(
    seed=SEEDS,
    spread=st.sampled_from([8, 20, 40, 100]),
    types=st.sampled_from([(0,), (0, CENTER), tuple(range(NUM_ANCHORS))]),
    center_radius=st.sampled_from([None, 0.0, 5.0]),
)
def test_suppression_equals_the_sequential_loop(seed, spread, types, center_radius):
    rng = np.random.default_rng(seed)
    assert_greedy(*crowd(rng, spread=spread, types=types), 5.0, center_radius)


@pytest.mark.parametrize("gap", [3, 5, 6])
def test_a_chain_of_candidates_falls_one_by_one(gap):
    """Each explains the next, so that every second or none of them stays."""
    anchor = np.zeros(COUNT, np.int32)
    pose = np.zeros((COUNT, NUM_ANCHORS, 2), np.float32)
    pose[..., 0] = gap * np.arange(COUNT)[:, None]
    chain = Candidates(
        anchor=anchor, position=pose[:, 0], score=np.ones(COUNT, np.float32)
    )
    assert_greedy(chain, pose, 5.0, None)
    kept = int(suppress(chain, pose, radius=5.0, center_radius=None).sum())
    assert kept == {3: COUNT // 2, 5: COUNT // 2, 6: COUNT}[gap]


def test_candidates_on_one_spot_are_one_person():
    anchor = np.arange(COUNT, dtype=np.int32) % NUM_ANCHORS
    pose = np.full((COUNT, NUM_ANCHORS, 2), 7, np.float32)
    same = Candidates(
        anchor=anchor, position=pose[:, 0], score=np.ones(COUNT, np.float32)
    )
    near = np.full(COUNT, 5, np.float32)
    kept = suppress(same, pose, radius=5.0, center_radius=near)
    assert np.flatnonzero(kept).tolist() == [0]


def test_no_candidate_stays_where_there_is_none():
    nobody, pose = crowd(np.random.default_rng(0), spread=20, types=(0,))
    nobody = Candidates(nobody.anchor, nobody.position, np.zeros(COUNT, np.float32))
    near = np.full(COUNT, 5, np.float32)
    assert not suppress(nobody, pose, radius=5.0, center_radius=near).any()
