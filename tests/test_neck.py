"""The feature pyramid."""

from functools import partial

import flax.linen as nn
import jax
import numpy as np
import pytest

from poseseg_jax.models import resnet
from poseseg_jax.models.neck import Fpn

LAYERS = {
    "conv": partial(resnet.conv_layer, use_bias=False),
    "norm": partial(nn.BatchNorm, use_running_average=True, epsilon=0.0),
}


def _transparent(channels, strides):
    """Variables under which the pyramid adds its levels up and does nothing else."""
    identity = np.eye(channels, dtype=np.float32)
    smooth = np.zeros((3, 3, channels, channels), np.float32)
    smooth[1, 1] = identity
    ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    lateral = {"kernel": identity[None, None], "bias": zeros}
    params = {f"lateral{stride}": lateral for stride in strides}
    params["smooth"] = {"kernel": smooth}
    params["smooth_bn"] = {"scale": ones, "bias": zeros}
    stats = {"smooth_bn": {"mean": zeros, "var": ones}}
    return {"params": params, "batch_stats": stats}


@pytest.mark.parametrize("map_stride", [2, 4, 8, 16])
def test_the_result_has_the_cells_of_map_stride(map_stride):
    features = {
        stride: np.zeros((1, 32 // stride + 1, 64 // stride + 1, 5), np.float32)
        for stride in (2, 4, 8, 16)
    }
    neck = Fpn(7, map_stride, **LAYERS)
    x, variables = jax.eval_shape(neck.init_with_output, jax.random.key(0), features)
    assert x.shape == (1, 32 // map_stride + 1, 64 // map_stride + 1, 7)
    used = {name for name in variables["params"] if name.startswith("lateral")}
    assert used == {f"lateral{s}" for s in features if s >= map_stride}


def test_one_lit_coarse_cell_is_a_tent_over_the_same_pixel():
    coarse, fine = np.zeros((1, 5, 5, 1), np.float32), np.zeros((1, 17, 17, 1))
    coarse[0, 1, 2] = 1
    features = {4: fine.astype(np.float32), 16: coarse}
    x = jax.jit(Fpn(1, 4, **LAYERS).apply)(_transparent(1, features), features)
    tent = 1 - np.abs(np.arange(-3, 4)) / 4
    expected = np.zeros((17, 17))
    expected[1:8, 5:12] = np.outer(tent, tent)
    np.testing.assert_allclose(x[0, :, :, 0], expected, atol=1e-6)


def test_levels_add_up_where_their_cells_coincide():
    generator = np.random.default_rng(0)
    features = {
        stride: generator.uniform(size=(2, cells, cells, 3)).astype(np.float32)
        for stride, cells in {4: 5, 8: 3, 16: 2}.items()
    }
    x = jax.jit(Fpn(3, 4, **LAYERS).apply)(_transparent(3, features), features)
    expected = features[4][:, ::4, ::4] + features[8][:, ::2, ::2] + features[16]
    np.testing.assert_allclose(x[:, ::4, ::4], expected, rtol=1e-5)
