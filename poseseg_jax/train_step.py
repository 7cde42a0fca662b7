"""A run as two pure functions: the state before the first step, and one step."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float

from poseseg_jax import distillation, losses, optim, targets
from poseseg_jax.config import Settings
from poseseg_jax.metrics import SMALLEST_COUNT, Mean
from poseseg_jax.models import poseseg
from poseseg_jax.models.poseseg import PoseSeg
from poseseg_jax.optim import IsFrozen
from poseseg_jax.structs import Array, Batch, Targets, TrainState

Report = dict[str, Float[Array, ""]]
Step = Callable[..., tuple[TrainState, Report]]
Shares = Mapping[str, Float[Array, "*parts"]]
# What begins the names of the terms of the loss towards an ancestor.
DISTILLED = "distilled_"


@dataclass(frozen=True)
class _Run:
    """What does not change from step to step."""

    settings: Settings
    network: PoseSeg
    optimizer: optax.GradientTransformation
    is_frozen: IsFrozen | None
    ancestor: PoseSeg | None
    taught: tuple[str, ...]  # maps that the ancestor has learned


def build(
    settings: Settings, ancestor: Settings | None = None
) -> tuple[Callable[[], TrainState], Step]:
    """The two functions, to be jitted.

    Args:
      settings: of the run.
      ancestor: of the run whose maps are asked for, if `init.distill_weight` is not 0.
        It has the same representation.

    Returns:
      init() -> the state before the first step;
      step(state, batch) -> the state after it, and a report: the mean of every loss
        term, and the norm of the gradient. With an ancestor there is a third argument,
        its variables, {"params", "batch_stats"}; they are neither changed nor kept.
    """
    is_frozen = optim.frozen_parameters(
        settings.optim, poseseg.frozen_parameters(settings.model)
    )
    optimizer = optim.make(
        settings.optim,
        num_steps=settings.train.num_steps,
        batch_size=settings.train.batch_size,
        is_frozen=is_frozen,
    )
    run = _Run(
        settings,
        poseseg.build(settings.model, settings.representation),
        optimizer,
        is_frozen,
        ancestor and poseseg.build(ancestor.model, ancestor.representation),
        poseseg.supervised(ancestor.model) if ancestor else (),
    )
    return functools.partial(_init, run), functools.partial(_step, run)


def _init(run: _Run) -> TrainState:
    side = run.settings.train.image_size
    key, rng = jax.random.split(jax.random.key(run.settings.train.seed))
    images = jnp.zeros((1, side, side, 3), jnp.uint8)
    variables: Any = run.network.init(key, images, train=False)
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables["batch_stats"],
        opt_state=run.optimizer.init(params),
        ema=jax.tree.map(jnp.copy, params),
        rng=rng,
    )


def _step(
    run: _Run, state: TrainState, batch: Batch, ancestor: Any = None
) -> tuple[TrainState, Report]:
    gradient, terms, batch_stats = _gradient(run, state, batch, ancestor)
    updates, opt_state = run.optimizer.update(gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    after = dataclasses.replace(
        state,
        step=state.step + 1,
        params=params,
        batch_stats=batch_stats,
        opt_state=opt_state,
        ema=optim.update_ema(
            state.ema, params, decay=run.settings.optim.ema, step=state.step
        ),
    )
    report = {name: mean.compute() for name, mean in terms.items()}
    # A broken gradient breaks the parameters one step before it shows in the loss.
    return after, {**report, "gradient_norm": optax.tree.norm(gradient)}


def _gradient(
    run: _Run, state: TrainState, batch: Batch, ancestor: Any
) -> tuple[Any, dict[str, Mean], Any]:
    """Gradient of the parameters, terms of the loss, and new statistics, of a batch."""
    slope = jax.grad(functools.partial(_loss, run, ancestor), has_aux=True)
    parts = run.settings.optim.accumulate_steps
    if parts == 1:
        truth = _truth(run, batch)
        gradient, (terms, stats) = slope(state.params, state.batch_stats, batch, truth)
        return gradient, terms, stats
    # Every nth picture: on several devices, each then has its share of every part.
    batches = jax.tree.map(
        lambda leaf: jnp.moveaxis(leaf.reshape(-1, parts, *leaf.shape[1:]), 1, 0), batch
    )
    shares = _shares(run, batches)

    def add(gradient: Any, part: tuple[Batch, Shares]) -> tuple[Any, Any]:
        batch, shares = part
        truth = _truth(run, batch)
        more, (terms, stats) = slope(
            state.params, state.batch_stats, batch, truth, shares
        )
        sums = {name: (mean.total, mean.count) for name, mean in terms.items()}
        return jax.tree.map(jnp.add, gradient, more), (sums, stats)

    nothing = jax.tree.map(jnp.zeros_like, state.params)
    gradient, (sums, stats) = jax.lax.scan(add, nothing, (batches, shares))
    terms = {name: Mean(*map(jnp.sum, both)) for name, both in sums.items()}
    # The losses of the parts add up to the loss.
    terms["total"] = Mean(terms["total"].total, jnp.ones(()))
    return gradient, terms, jax.tree.map(lambda leaf: jnp.mean(leaf, 0), stats)


def _loss(
    run: _Run,
    ancestor: Any,
    params: Any,
    batch_stats: Any,
    batch: Batch,
    truth: Targets,
    shares: Shares | None = None,
) -> tuple[Float[Array, ""], tuple[dict[str, Mean], Any]]:
    """The loss of a batch, or of a part of one that has these shares of what counts."""
    stages, updates = run.network.apply(
        {"params": optim.hold(params, run.is_frozen), "batch_stats": batch_stats},
        batch.image,
        train=True,
        mutable=["batch_stats"],
    )
    score = functools.partial(
        losses.total,
        stages,
        radius=run.settings.representation.radius,
        settings=run.settings.loss,
    )
    names = poseseg.supervised(run.settings.model)
    loss, terms = score(truth, shares=shares, names=names)
    if run.ancestor is not None:
        said: Any = run.ancestor.apply(ancestor, batch.image, train=False)
        soft = distillation.soft_targets(said[-1], truth)
        known = [name for name in names if name in run.taught]
        of_ancestor = shares and _of_ancestor(shares)
        distilled, more = score(soft, shares=of_ancestor, names=tuple(known))
        loss += run.settings.init.distill_weight * distilled
        more = {f"{DISTILLED}{n}": more[n] for n in losses.TERMS if n in more}
        terms = {**terms, **more, "total": Mean(loss, jnp.ones(()))}
    return loss, (terms, updates["batch_stats"])


def _truth(run: _Run, batch: Batch) -> Targets:
    return targets.make(
        batch,
        representation=run.settings.representation,
        hard_keypoint_weight=run.settings.loss.hard_keypoint_weight,
    )


def _shares(run: _Run, batches: Batch) -> Shares:
    """Of each part of a batch, how much of what counts in the whole is in it."""

    def count(batch: Batch) -> Shares:
        truth = _truth(run, batch)
        counts = losses.counts(truth)
        if run.ancestor is None:
            return counts
        # Where it counts does not depend on what the ancestor says.
        soft = losses.counts(distillation.soft_targets(truth.maps, truth))
        return counts | {f"{DISTILLED}{name}": soft[name] for name in soft}

    counts = jax.lax.map(count, batches)
    return {
        name: part / jnp.maximum(jnp.sum(part), SMALLEST_COUNT)
        for name, part in counts.items()
    }


def _of_ancestor(shares: Shares) -> Shares:
    return {name: shares[f"{DISTILLED}{name}"] for name in losses.TERMS}
