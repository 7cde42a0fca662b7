"""What is computed again is the same, and need not be kept."""

from functools import cache, partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from poseseg_jax.models.resnet import BasicBlock, Bottleneck, block_type, conv_layer
from poseseg_jax.models.tiny import Tiny
from tests.drawn import FAST, draw_variables

LAYERS = {
    "conv": partial(conv_layer, use_bias=False),
    "norm": partial(nn.BatchNorm, use_running_average=False, momentum=0.9),
}
NUM_BLOCKS = 4
# Where memory is compared, the compiler does its best.
OPTIONS = FAST if jax.default_backend() == "cpu" else None
KINDS = {"basic": (BasicBlock, 16), "bottleneck": (Bottleneck, 4)}
INPUT = np.random.default_rng(0).normal(size=(2, 17, 17, 16)).astype(np.float32)


class _Chain(nn.Module):
    """Blocks that keep the shape of what goes through them."""

    block: Any
    channels: int

    @nn.compact
    def __call__(self, x):
        for index in range(NUM_BLOCKS):
            name = f"block{index}"
            x = self.block(self.channels, 1, (1, 1), **LAYERS, name=name)(x)
        return x


def _loss_of(module, x):
    """(params -> (loss, updated statistics), params)."""
    variables = draw_variables(module.init, x)

    def loss(params):
        said, updated = module.apply(
            {**variables, "params": params}, x, mutable=["batch_stats"]
        )
        return sum(jnp.abs(leaf).mean() for leaf in jax.tree.leaves(said)), updated

    return loss, variables["params"]


def _chain(kind, *, remat):
    block, channels = KINDS[kind]
    return _loss_of(_Chain(block_type(block, remat=remat), channels), INPUT)


@cache
def _step(kind, *, remat):
    """((gradient, updated statistics), what the compiler says of memory)."""
    loss, params = _chain(kind, remat=remat)
    step = jax.jit(jax.grad(loss, has_aux=True), compiler_options=OPTIONS)
    step = step.lower(params).compile()
    return step(params), step.memory_analysis()


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_and_statistics_are_the_same(kind):
    (plain, _), (again, _) = (_step(kind, remat=remat) for remat in (False, True))
    assert jax.tree.structure(plain) == jax.tree.structure(again)
    for one, other in zip(jax.tree.leaves(plain), jax.tree.leaves(again), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def _kept(loss, params) -> float:
    """Numbers kept for the way back, in multiples of one block's input."""
    _, back, _ = jax.eval_shape(lambda p: jax.vjp(loss, p, has_aux=True), params)
    kept = sum(leaf.size for leaf in jax.tree.leaves(back))
    return (kept - sum(leaf.size for leaf in jax.tree.leaves(params))) / INPUT.size


@pytest.mark.parametrize("kind", KINDS)
def test_hardly_more_than_the_input_of_a_block_is_kept(kind):
    assert _kept(*_chain(kind, remat=False)) > 7 * NUM_BLOCKS
    assert _kept(*_chain(kind, remat=True)) < 1.5 * NUM_BLOCKS


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_needs_less_memory(kind):
    if jax.default_backend() == "cpu":
        pytest.skip("XLA's compiler for CPUs takes apart what remat keeps apart.")
    plain, again = (_step(kind, remat=r)[1].temp_size_in_bytes for r in (False, True))
    assert again < 0.7 * plain


def test_the_laptops_backbone_computes_again_as_well():
    image = np.zeros((1, 33, 33, 3), np.float32)
    kept = [
        _kept(*_loss_of(Tiny(0.25, 16, **LAYERS, block=block), image))
        for block in (BasicBlock, block_type(BasicBlock, remat=True))
    ]
    assert kept[1] < 0.8 * kept[0]
