"""A train step with frozen norms: what stays to the last bit, and what moves."""

import jax
import numpy as np
from flax import traverse_util

from configs import base
from poseseg_jax import config as config_lib
from poseseg_jax import train_step
from poseseg_jax.structs import Batch
from tests.drawn import FAST, draw_variables

SIDE = 33


def _settings(norm):
    config = base.get_config("tiny").to_dict()
    # Only the name is looked at: nothing is loaded where a step is built.
    config["model"] |= {"width": 0.1, "neck_channels": 8, "norm": norm}
    config["model"] |= {"pretrained": "weights.safetensors"}
    config["optim"] |= {"weight_decay": 0.5, "warmup_steps": 0}
    config["train"] |= {"image_size": SIDE}
    return config_lib.parse(config)


def _batch():
    rng = np.random.default_rng(0)
    people = np.zeros((2, SIDE, SIDE), np.uint8)
    people[:, 4:28, 8:24] = 1
    return Batch(
        image=rng.integers(0, 256, (2, SIDE, SIDE, 3), np.uint8),
        people=people,
        keypoints=rng.uniform(4, 28, (2, 1, 17, 2)).astype(np.float32),
        visibility=np.full((2, 1, 17), 2, np.uint8),
        box=np.tile(np.array([8, 4, 24, 28], np.float32), (2, 1, 1)),
        area=np.full((2, 1), 384, np.float32),
        to_input=np.zeros((2, 2, 3), np.float32),
        size=np.full((2, 2), SIDE, np.int32),
        image_id=np.arange(2, dtype=np.int32),
        is_real=np.ones(2, bool),
    )


def _drawn(shapes):
    """A state before the first step, without compiling what makes one."""
    model = {"params": shapes.params, "batch_stats": shapes.batch_stats}
    model = draw_variables(lambda key: model)
    zeros = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes.opt_state
    )
    return shapes.replace(
        step=np.zeros((), np.int32),
        **model,
        opt_state=zeros,
        ema=model["params"],
        rng=jax.random.key(0),
    )


def _named(state):
    parts = {"params": state.params, "batch_stats": state.batch_stats}
    return traverse_util.flatten_dict(parts, sep="/")


def _is_norm_of_backbone(name):
    collection, part, *_, leaf = name.split("/")
    return part == "backbone" and (collection == "batch_stats" or leaf != "kernel")


def test_frozen_norms_stay_to_the_last_bit_and_all_else_moves():
    init, step = train_step.build(_settings("frozen"))
    before = _drawn(jax.eval_shape(init))
    step = jax.jit(step, compiler_options=FAST)
    after = before
    for _ in range(2):
        after, _ = step(after, _batch())
    old, new = _named(before), _named(after)
    frozen = {name for name in old if _is_norm_of_backbone(name)}
    ends = {"/".join(name.split("/")[:: name.count("/")]) for name in frozen}
    assert ends == {
        *("params/scale", "params/bias"),
        *("batch_stats/mean", "batch_stats/var"),
    }
    assert frozen == {name for name in old if (old[name] == new[name]).all()}
    for name in frozen:
        if name.startswith("params/"):
            average = after.ema
            for part in name.split("/")[1:]:
                average = average[part]
            # An average of the same is the same, but for rounding.
            np.testing.assert_allclose(average, old[name], rtol=1e-6)
