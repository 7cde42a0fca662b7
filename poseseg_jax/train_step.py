"""A run as two pure functions: the state before the first step, and one step."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from poseseg_jax import losses, optim, targets
from poseseg_jax.config import Settings
from poseseg_jax.models import poseseg
from poseseg_jax.models.poseseg import PoseSeg
from poseseg_jax.structs import Array, Batch, TrainState

Report = dict[str, Float[Array, ""]]
Step = Callable[[TrainState, Batch], tuple[TrainState, Report]]


def build(settings: Settings) -> tuple[Callable[[], TrainState], Step]:
    """The two functions, to be jitted.

    Returns:
      init() -> the state before the first step;
      step(state, batch) -> the state after it, and a report: the mean of every loss
        term, and the norm of the gradient.
    """
    network = poseseg.build(settings.model, settings.representation)
    optimizer = optim.make(
        settings.optim,
        num_steps=settings.train.num_steps,
        is_frozen=poseseg.frozen_parameters(settings.model),
    )
    init = functools.partial(_init, network, optimizer, settings)
    return init, functools.partial(_step, network, optimizer, settings)


def _init(
    network: PoseSeg, optimizer: optax.GradientTransformation, settings: Settings
) -> TrainState:
    side = settings.train.image_size
    key, rng = jax.random.split(jax.random.key(settings.train.seed))
    images = jnp.zeros((1, side, side, 3), jnp.uint8)
    variables: Any = network.init(key, images, train=False)
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables["batch_stats"],
        opt_state=optimizer.init(params),
        ema=jax.tree.map(jnp.copy, params),
        rng=rng,
    )


def _step(
    network: PoseSeg,
    optimizer: optax.GradientTransformation,
    settings: Settings,
    state: TrainState,
    batch: Batch,
) -> tuple[TrainState, Report]:
    representation = settings.representation
    truth = targets.make(
        batch,
        representation=representation,
        hard_keypoint_weight=settings.loss.hard_keypoint_weight,
    )

    def loss_of(params):
        stages, updates = network.apply(
            {"params": params, "batch_stats": state.batch_stats},
            batch.image,
            train=True,
            mutable=["batch_stats"],
        )
        loss, terms = losses.total(
            stages,
            truth,
            radius=representation.radius,
            settings=settings.loss,
            names=poseseg.supervised(settings.model),
        )
        return loss, (terms, updates["batch_stats"])

    gradient, (terms, batch_stats) = jax.grad(loss_of, has_aux=True)(state.params)
    updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    after = dataclasses.replace(
        state,
        step=state.step + 1,
        params=params,
        batch_stats=batch_stats,
        opt_state=opt_state,
        ema=optim.update_ema(
            state.ema, params, decay=settings.optim.ema, step=state.step
        ),
    )
    report = {name: mean.compute() for name, mean in terms.items()}
    # A broken gradient breaks the parameters one step before it shows in the loss.
    return after, {**report, "gradient_norm": optax.tree.norm(gradient)}
