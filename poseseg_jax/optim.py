"""How parameters move: the learning rate, the optimiser's chain, and the average."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int

from poseseg_jax.config import OptimSettings
from poseseg_jax.models.stages import stage_of
from poseseg_jax.stored import name_of
from poseseg_jax.structs import Array

# Tells by its name whether a parameter stays as it is.
IsFrozen = Callable[[str], bool]

_ADAM_BETAS = (0.9, 0.999)
_ADAM_EPSILON = 1e-8


def peak_rate(settings: OptimSettings, *, batch_size: int) -> float:
    """The learning rate after warm-up: in proportion to the batch where that is asked.

    The rule is Goyal et al.'s (arXiv 1706.02677, section 2.1), who also say that it
    wants a warm-up, and does not hold for any size. They found it for SGD; nobody has
    found it for AdamW.
    """
    reference = settings.reference_batch_size
    return settings.learning_rate * (batch_size / reference if reference else 1)


def schedule(
    settings: OptimSettings, *, num_steps: int, batch_size: int
) -> optax.Schedule:
    """The learning rate at a step, counted from 0.

    It rises linearly over `warmup_steps`, from nearly 0 to its peak (not from 0, where
    the first step would be lost), and then stays, or falls along half a cosine to 0 at
    `num_steps`. A run that is shorter than its warm-up ends while warming up.

    Args:
      settings: name of the schedule, peak and warm-up.
      num_steps: length of the run.
      batch_size: pictures of a step.

    Raises:
      ValueError: if there is no such schedule.
    """
    peak, warmup = peak_rate(settings, batch_size=batch_size), settings.warmup_steps
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


def frozen_parameters(
    settings: OptimSettings, is_kept: IsFrozen | None = None
) -> IsFrozen | None:
    """Tells by its name (`heads/mid/kernel`) whether a parameter stays as it is.

    Args:
      settings: with the number of the backbone's stages that are frozen.
      is_kept: likewise, of parameters that stay for another reason.

    Returns:
      None if everything is trained.
    """
    stages = settings.freeze_stages
    if not stages:
        return is_kept

    def is_frozen(name: str) -> bool:
        stage = stage_of(name)
        in_stages = stage is not None and stage < stages
        return in_stages or (is_kept is not None and is_kept(name))

    return is_frozen


def hold(params: Any, is_frozen: IsFrozen | None) -> Any:
    """The parameters, through which no gradient goes back into those that are frozen.

    Layers below which all is frozen need no backward pass then.
    """
    if is_frozen is None:
        return params
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: (
            jax.lax.stop_gradient(leaf) if is_frozen(name_of(path)) else leaf
        ),
        params,
    )


def make(
    settings: OptimSettings,
    *,
    num_steps: int,
    batch_size: int,
    is_frozen: IsFrozen | None = None,
) -> optax.GradientTransformation:
    """The chain from gradients to updates: clip, direction, decay, learning rate.

    Weight decay is decoupled for "adamw" (Loshchilov and Hutter, arXiv 1711.05101);
    for "sgd" it is part of the gradient that momentum gathers.

    Args:
      settings: of the optimiser.
      num_steps: length of the run.
      batch_size: pictures of a step.
      is_frozen: as of `frozen_parameters`. Frozen ones have no part in the gradient's
        norm and no optimiser state.

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
    rate = optax.scale_by_learning_rate(
        schedule(settings, num_steps=num_steps, batch_size=batch_size)
    )
    chain = optax.chain(*clip, *direction, *_by_depth(settings), rate)
    if is_frozen is None:
        return chain

    def labels(params: Any) -> Any:
        return jax.tree_util.tree_map_with_path(
            lambda path, _: "frozen" if is_frozen(name_of(path)) else "trained", params
        )

    return optax.partition({"trained": chain, "frozen": optax.set_to_zero()}, labels)


def _by_depth(settings: OptimSettings) -> list[optax.GradientTransformation]:
    """Scales the backbone's updates, decay and all, as a smaller rate would.

    Rates that fall from layer to layer are known as discriminative fine-tuning (Howard
    and Ruder, arXiv 1801.06146, section 3.2).
    """
    rate, decay = settings.backbone_rate, settings.layer_decay
    if rate == decay == 1:
        return []

    def scale(updates: Any, _: Any) -> Any:
        leaves = jax.tree_util.tree_leaves_with_path(updates)
        stages = [stage_of(name_of(path)) for path, _ in leaves]
        deepest = max((stage for stage in stages if stage is not None), default=0)
        factors = [1.0 if s is None else rate * decay ** (deepest - s) for s in stages]
        scaled = [u * f for (_, u), f in zip(leaves, factors, strict=True)]
        return jax.tree.unflatten(jax.tree.structure(updates), scaled)

    return [optax.stateless(scale)]


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
