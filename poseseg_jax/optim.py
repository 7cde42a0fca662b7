"""How parameters move: the learning rate, the optimiser's chain, and the average."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int

from poseseg_jax.config import OptimSettings
from poseseg_jax.structs import Array

_ADAM_BETAS = (0.9, 0.999)
_ADAM_EPSILON = 1e-8


def schedule(settings: OptimSettings, *, num_steps: int) -> optax.Schedule:
    """The learning rate at a step, counted from 0.

    It rises linearly over `warmup_steps`, from nearly 0 to its peak (not from 0, where
    the first step would be lost), and then stays, or falls along half a cosine to 0 at
    `num_steps`. A run that is shorter than its warm-up ends while warming up.

    Args:
      settings: name of the schedule, peak and warm-up.
      num_steps: length of the run.

    Raises:
      ValueError: if there is no such schedule.
    """
    peak, warmup = settings.learning_rate, settings.warmup_steps
    if settings.schedule == "cosine":
        rest = optax.cosine_decay_schedule(peak, max(num_steps - warmup, 1))
    elif settings.schedule == "constant":
        rest = optax.constant_schedule(peak)
    else:
        raise ValueError(
            f'optim.schedule is "cosine" or "constant", not {settings.schedule!r}.'
        )
    if not warmup:
        return rest
    rise = optax.linear_schedule(peak / (warmup + 1), peak, warmup)
    return optax.join_schedules([rise, rest], [warmup])


def decay_mask(params: Any) -> Any:
    """True for kernels; False for what has one axis or none: biases, norms, scales."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def make(
    settings: OptimSettings,
    *,
    num_steps: int,
    is_frozen: Callable[[str], bool] | None = None,
) -> optax.GradientTransformation:
    """The chain from gradients to updates: clip, direction, decay, learning rate.

    Weight decay is decoupled for "adamw" (Loshchilov and Hutter, arXiv 1711.05101);
    for "sgd" it is part of the gradient that momentum gathers.

    Args:
      settings: of the optimiser.
      num_steps: length of the run.
      is_frozen: tells by its name (`heads/mid/kernel`) whether a parameter stays as
        it is. Frozen ones have no part in the gradient's norm and no optimiser state.

    Raises:
      ValueError: if there is no such optimiser or schedule.
    """
    decay = optax.add_decayed_weights(settings.weight_decay, mask=decay_mask)
    if settings.name == "adamw":
        b1, b2 = _ADAM_BETAS
        direction = [optax.scale_by_adam(b1, b2, eps=_ADAM_EPSILON), decay]
    elif settings.name == "sgd":
        direction = [decay, optax.trace(settings.momentum)]
    else:
        raise ValueError(f'optim.name is "adamw" or "sgd", not {settings.name!r}.')
    clip = [optax.clip_by_global_norm(settings.clip)] if settings.clip else []
    rate = optax.scale_by_learning_rate(schedule(settings, num_steps=num_steps))
    chain = optax.chain(*clip, *direction, rate)
    if is_frozen is None:
        return chain

    def labels(params: Any) -> Any:
        return jax.tree_util.tree_map_with_path(
            lambda path, _: "frozen" if is_frozen(_name(path)) else "trained", params
        )

    return optax.partition({"trained": chain, "frozen": optax.set_to_zero()}, labels)


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def update_ema(
    ema: Any, params: Any, *, decay: float, step: int | Int[Array, ""]
) -> Any:
    """The moving average after one more step.

    Its decay is min(decay, (1 + step) / (10 + step)), so that a short run averages over
    its recent steps and forgets the initial values early (as TensorFlow does for its
    ExponentialMovingAverage when told `num_updates`).

    Args:
      ema: the average before; a tree like `params`.
      params: the parameters after the step.
      decay: share of the average that a late step keeps, 0 to 1.
      step: steps done before this one.
    """
    keep = _ema_decay(decay, step)
    return jax.tree.map(lambda old, new: old * keep + new * (1 - keep), ema, params)


def _ema_decay(decay: float, step: int | Int[Array, ""]) -> Float[jax.Array, ""]:
    step = jnp.asarray(step, jnp.float32)
    return jnp.minimum(decay, (1 + step) / (10 + step))
