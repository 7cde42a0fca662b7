"""An ancestor's maps as targets: where they count, and for what."""

import jax
import numpy as np

from poseseg_jax import distillation
from poseseg_jax.structs import Maps, Targets

SHAPES = Targets(
    maps=Maps((3, 3, 18), (3, 3, 18, 2), (3, 3, 4, 2), (3, 3, 18, 2), (5, 5), (3, 3)),
    near=(3, 3, 18),
    edge=(3, 3, 4),
    owned=(3, 3, 18),
    asked=(3, 3, 18),
    asked_person=(5, 5),
    asked_body=(3, 3),
)


def draw(shapes, seed):
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda shape: rng.normal(0, 2, shape).astype(np.float32),
        shapes,
        is_leaf=lambda node: isinstance(node, tuple),
    )


def test_probabilities_count_everywhere_and_offsets_where_the_labels_do():
    truth, said = draw(SHAPES, 0), draw(SHAPES.maps, 1)
    soft = distillation.soft_targets(said, truth)
    for name in ("heatmap", "person", "body"):
        sure = 1 / (1 + np.exp(-getattr(said, name)))
        np.testing.assert_allclose(getattr(soft.maps, name), sure, rtol=1e-5)
    for name in ("asked", "asked_person", "asked_body"):
        assert np.all(getattr(soft, name) == 1)
    for name in ("short", "mid", "long"):
        np.testing.assert_array_equal(getattr(soft.maps, name), getattr(said, name))
    for name in ("near", "edge", "owned"):
        np.testing.assert_array_equal(getattr(soft, name), getattr(truth, name))
