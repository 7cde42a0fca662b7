"""Variables of a network without its initialisers: quick, and no branch is silent."""

from typing import Any

import jax
import numpy as np

# For jax.jit: compiles in a third of the time, and means the same arithmetic.
FAST: dict[str, Any] = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
}


def draw_variables(init, *inputs: Any, seed: int = 0, positive: bool = False):
    """Random variables for a flax module.

    Args:
      init: the module's, perhaps with static arguments bound.
      inputs: what it is called with.
      seed: of the numbers.
      positive: whether kernels have no negative weight and biases are 0.
    """
    shapes = jax.eval_shape(init, jax.random.key(0), *inputs)
    generator = np.random.default_rng(seed)

    def draw(path, leaf):
        values = generator.normal(size=leaf.shape).astype(np.float32)
        if path[-1].key in ("scale", "var"):
            return 1 + 0.2 * np.abs(values)
        if path[-1].key == "kernel":
            values = values / np.sqrt(np.prod(leaf.shape[:3]), dtype=np.float32)
            return np.abs(values) if positive else values
        return 0 * values if positive else 0.1 * values

    return jax.tree_util.tree_map_with_path(draw, shapes)


def mirror_kernels(variables, axis: int = 1):
    """Variables with kernels that are symmetric along an axis: 0 is y, 1 is x."""
    return jax.tree.map(
        lambda a: a + np.flip(a, axis) if np.ndim(a) == 4 else a, variables
    )
