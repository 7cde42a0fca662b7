"""Views come back to the picture's frame exactly, and are averaged there."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from poseseg_jax import averaging, inference, targets
from poseseg_jax import config as config_lib
from poseseg_jax.averaging import View
from poseseg_jax.decode.decode import activate, decode
from poseseg_jax.models import poseseg
from poseseg_jax.skeleton import ANCHOR_NAMES, FLIP, NUM_KEYPOINTS, SKELETONS
from poseseg_jax.structs import Maps
from tests import hand_made, tiny_run
from tests.hand_made import perfect_maps, represent

SIDE = 97
STRIDE = 16
BOXES = [(8, 6, 60, 90), (40, 20, 92, 94)]


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground:
        yield ground


def mirrored(batch):
    """The batch of the mirrored picture, with left and right named anew."""
    last = batch.image.shape[1] - 1
    x0, y0, x1, y1 = np.moveaxis(batch.box, -1, 0)
    points = batch.keypoints * (-1, 1) + (last, 0)
    exists = batch.box.any(-1, keepdims=True)
    order = FLIP[:NUM_KEYPOINTS]
    return dataclasses.replace(
        batch,
        people=batch.people[:, ::-1],
        keypoints=np.float32(points[:, order]),
        visibility=batch.visibility[:, order],
        box=np.float32(exists * np.stack([last - x1, y0, last - x0, y1], -1)),
    )


def resized(batch, side, boxes):
    """The same people in another size: everything but the mask, which is new."""
    ratio = (side - 1) / (batch.image.shape[0] - 1)
    other = hand_made.picture([np.multiply(box, ratio) for box in boxes], side=side)
    return dataclasses.replace(
        other, keypoints=batch.keypoints * np.float32(ratio), box=batch.box * ratio
    )


def batched(maps):
    return jax.tree.map(lambda leaf: leaf[None], maps)


def assert_same(one, other, **tolerance):
    for field in dataclasses.fields(Maps):
        a, b = getattr(one, field.name), getattr(other, field.name)
        np.testing.assert_allclose(a, b, err_msg=field.name, **tolerance)


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_maps_of_a_mirrored_truth_come_back_as_the_truth(skeleton):
    representation = represent(skeleton)
    batch = hand_made.picture(BOXES, side=SIDE)
    batch.visibility[0, 9] = 0  # one wrist, so that left and right differ
    truth = batched(perfect_maps(batch, representation))
    of_mirror = batched(perfect_maps(mirrored(batch), representation))
    back = averaging.bring_back(
        of_mirror, flip=True, sides=(SIDE, SIDE), representation=representation
    )
    assert float(jnp.abs(of_mirror.mid - truth.mid).max()) > 1
    # Of whom the long offsets tell in cells that are nobody's is left to chance.
    made = targets.make(batched(batch), representation=representation)
    is_owned = made.owned[..., None] > 0
    back, truth = (
        dataclasses.replace(maps, long=maps.long * is_owned) for maps in (back, truth)
    )
    assert_same(back, truth, atol=1e-4)


@pytest.mark.parametrize("skeleton", SKELETONS)
def test_a_mirrored_edge_joins_the_mirrored_anchors(skeleton):
    edges = SKELETONS[skeleton].edges
    order = averaging.mirrored_edges(SKELETONS[skeleton])
    np.testing.assert_array_equal(order[order], np.arange(len(edges)))
    for edge, other in enumerate(order):
        for anchor, image in zip(edges[edge], edges[other], strict=True):
            name = ANCHOR_NAMES[anchor]
            side, _, part = name.partition("_")
            other_side = {"left": "right_", "right": "left_"}.get(side, side)
            assert ANCHOR_NAMES[image] == other_side + part


def test_mirroring_twice_changes_nothing():
    representation = represent()
    maps = batched(perfect_maps(hand_made.picture(BOXES), representation))
    twice = averaging.mirror(
        averaging.mirror(maps, representation.skeleton), representation.skeleton
    )
    assert_same(twice, maps, rtol=0, atol=0)


@pytest.mark.parametrize("side", [49, 65, 129, 193])
def test_maps_of_a_resized_truth_come_back_as_the_truth(side):
    """Inside of discs and people, where offsets are linear; edges are interpolated."""
    ratio = (side - 1) / (SIDE - 1)
    batch = hand_made.picture(BOXES, side=SIDE)
    other = resized(batch, side, BOXES)
    truth = batched(perfect_maps(batch, represent(radius=16.0)))
    # Discs that are as large in the picture's frame.
    view = perfect_maps(other, represent(radius=16.0 * ratio))
    representation = represent()
    back = averaging.bring_back(
        batched(view), flip=False, sides=(SIDE, SIDE), representation=representation
    )
    # Cells whose neighbours on the coarser grid are all inside, too.
    inside = (truth.heatmap == 1) & (back.heatmap > 0.999)
    assert int(inside.sum()) > 100
    sources = representation.skeleton.sources
    for name, where in {"short": inside, "mid": inside[..., sources]}.items():
        one, expected = getattr(back, name)[where], getattr(truth, name)[where]
        # Where two discs meet, cells between them see both people.
        near = np.abs(one - expected).max(-1) < 0.1
        assert near.mean() > 0.97, name
    assert float(jnp.abs(back.heatmap - truth.heatmap).mean()) < 0.05
    assert float(jnp.abs(back.person - truth.person).mean()) < 0.05
    gaussian = float(jnp.abs(back.body - truth.body).mean())
    assert gaussian < 0.12  # its width follows the mask's area


@pytest.mark.parametrize(("old", "new"), [(7, 13), (13, 7), (9, 10), (2, 26), (26, 2)])
def test_resampling_keeps_corners_and_linear_fields(old, new):
    y, x = np.mgrid[:old, : old + 3].astype(np.float32)
    field = np.stack([2 * x - y, x + 3 * y], -1)[None]
    found = averaging.resample(field, (new, new + 3))
    y, x = np.mgrid[:new, : new + 3] * 1.0
    y, x = y * (old - 1) / (new - 1), x * (old + 2) / (new + 2)
    np.testing.assert_allclose(
        found[0], np.stack([2 * x - y, x + 3 * y], -1), atol=1e-4
    )


@pytest.mark.parametrize(
    ("side", "scale", "expected"),
    [(401, 1.0, 401), (401, 0.5, 193), (401, 1.25, 497), (97, 0.1, 17), (65, 2, 129)],
)
def test_every_view_fits_the_network(side, scale, expected):
    found = averaging.view_side(side, scale, STRIDE)
    assert found == expected
    assert found % STRIDE == 1


def test_a_resized_picture_has_its_corners_where_they_were():
    """A picture of its own coordinates, so that each pixel says where it comes from."""
    y, x = np.mgrid[:65, :65]
    image = np.stack([2 * x, 2 * y, 0 * x], -1).astype(np.uint8)[None]
    for scale in (0.5, 1.5, 2.0):
        view = averaging.look(image, View(scale), stride=16)
        side = view.shape[1]
        y, x = np.mgrid[:side, :side] * (64 / (side - 1))
        inner = slice(2, -2)  # averaging over a coarse pixel ends at the border
        expected = np.stack([2 * x, 2 * y, 0 * x], -1)
        wrong = np.abs(view[0].astype(float) - expected)
        assert wrong[inner, inner].max() <= 0.51
        assert wrong.max() <= 1.5


def test_a_mirrored_view_is_the_mirrored_picture():
    image = np.random.default_rng(0).integers(0, 256, (2, 33, 49, 3), np.uint8)
    view = averaging.look(image, View(flip=True), stride=16)
    np.testing.assert_array_equal(view, image[:, :, ::-1])


def see_randomly(representation):
    """A network of random weights that sees left and right differently."""

    def see(images):
        keys = iter(jax.random.split(jax.random.key(0), 8))
        pixels = images.astype(jnp.float32) / 255

        def say(stride, *shape):
            weights = jax.random.normal(next(keys), (5, 5, 3, int(np.prod(shape))))
            cells = jax.lax.conv_general_dilated(
                pixels, weights, (stride, stride), ((2, 2), (2, 2)),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
            )  # fmt: skip
            return cells.reshape(*cells.shape[:3], *shape)

        edges = representation.skeleton.num_edges
        return activate(
            Maps(
                heatmap=say(4, 18), short=say(4, 18, 2), mid=say(4, edges, 2),
                long=say(4, 18, 2), person=say(2, 1)[..., 0], body=say(4, 1)[..., 0],
            )
        )  # fmt: skip

    return see


@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0, 1.5)])
@pytest.mark.parametrize("shape", [(65, 97), (49, 49)])
def test_with_flips_left_and_right_are_treated_alike(scales, shape):
    """Whatever the network: the mirrored picture has the mirrored Maps."""
    representation = represent("both")
    images = np.random.default_rng(1).integers(0, 256, (2, *shape, 3), np.uint8)
    see = jax.jit(
        partial(
            averaging.see_from_all,
            see_randomly(representation),
            views=averaging.views_of(scales, flip=True),
            representation=representation,
            stride=STRIDE,
        )
    )
    maps, other = see(images), see(images[:, :, ::-1])
    skeleton = representation.skeleton
    # A resized pixel may be rounded up in the mirror and down outside of it.
    atol = 1e-5 if scales == (1.0,) else 0.05
    assert_same(averaging.mirror(other, skeleton), maps, rtol=1e-4, atol=atol)
    assert maps.heatmap.shape == (2, *(side // 4 + 1 for side in shape), 18)
    assert maps.person.shape == (2, *(side // 2 + 1 for side in shape))


def test_probabilities_are_averaged_and_offsets_by_belief():
    """Two views that disagree: the mean, and the offset of who is sure."""
    skeleton = represent().skeleton
    cells = np.zeros((1, 13, 13), np.float32)

    def say(probability, offset):
        def of(*shape):
            return jnp.full((*cells.shape, *shape), offset, jnp.float32)

        heatmap = jnp.full((*cells.shape, 18), probability, jnp.float32)
        return Maps(
            heatmap=heatmap, short=of(18, 2), mid=of(skeleton.num_edges, 2),
            long=of(18, 2), person=jnp.full((1, 25, 25), probability),
            body=cells + probability,
        )  # fmt: skip

    answers = iter([say(0.9, 10.0), say(0.1, -10.0)])
    mean = averaging.see_from_all(
        lambda images: next(answers),
        np.zeros((1, 49, 49, 3), np.uint8),
        views=[View(), View()],
        representation=represent(),
        stride=STRIDE,
    )
    for name in ("heatmap", "person", "body"):
        np.testing.assert_allclose(getattr(mean, name), 0.5, atol=1e-6)
    for name in ("short", "mid"):  # 10 (0.9 - 0.1) / (0.9 + 0.1)
        np.testing.assert_allclose(getattr(mean, name), 8.0, atol=0.05)
    np.testing.assert_allclose(mean.long, 0.0, atol=1e-6)


def test_where_no_view_believes_offsets_are_plain_means_and_finite():
    skeleton = represent().skeleton
    zero = jax.tree.map(
        lambda leaf: jnp.zeros_like(leaf[None]),
        perfect_maps(hand_made.picture(BOXES), represent()),
    )
    mean = averaging.see_from_all(
        lambda images: dataclasses.replace(zero, short=zero.short + 3.0),
        np.zeros((1, SIDE, SIDE, 3), np.uint8),
        views=averaging.views_of((1.0,), flip=True),
        representation=represent(),
        stride=STRIDE,
    )
    assert skeleton.num_edges == mean.mid.shape[3]
    np.testing.assert_allclose(mean.short[..., 0], 0.0, atol=1e-6)  # mirrored: +3 - 3
    np.testing.assert_allclose(mean.short[..., 1], 3.0, atol=1e-5)


def test_turned_off_it_adds_nothing_to_the_program(ground):
    settings = config_lib.parse(ground.config())
    network = poseseg.build(settings.model, settings.representation)
    read = partial(
        decode, representation=settings.representation, settings=settings.decode
    )

    @jax.jit
    def detect(variables, images):
        stages = network.apply(variables, images, train=False)
        return jax.vmap(read)(activate(stages[-1]))

    images = jax.ShapeDtypeStruct((2, 65, 65, 3), "uint8")
    variables = inference.abstract_variables(settings)
    texts = [
        program.lower(variables, images).as_text()
        for program in (detect, inference.make_detect(settings))
    ]
    assert texts[0] == texts[1]


def test_the_config_asks_for_it(ground):
    """Flips and scales go into the one program, and change what it finds."""
    trained = inference.restore(ground.finished)
    # As evaluation asks, so that what other tests compiled can be used.
    shape = (4, *[trained.settings.eval_image_size] * 2, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    chosen = dataclasses.replace(trained.settings.eval, scales=(0.5,), flip=True)
    settings = dataclasses.replace(trained.settings, eval=chosen)
    plain, averaged = (
        inference.make_detect(one)(trained.variables, images)
        for one in (trained.settings, settings)
    )
    assert jax.tree.map(jnp.shape, plain) == jax.tree.map(jnp.shape, averaged)
    assert not np.array_equal(plain.poses.score, averaged.poses.score)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(averaged))
