"""Maps and Targets -> one number to descend, and a report of what it is made of.

Three layers that never mix: elementwise terms return values; `terms` masks and counts
them, once; `total` weighs the means. Every term is a mean per component over what
counts, so that the weights mean what they say whatever the number of edges or people.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Float

from poseseg_jax.metrics import Mean
from poseseg_jax.structs import Array, Maps, Targets


@dataclass(frozen=True)
class LossSettings:
    """Weights of the terms; the defaults of PersonLab are 4, 2, 1, 1/4, 1/8.

    Attributes:
      heatmap, person, short, mid, long, body: weight of each map's term.
      positive_weight: of heatmap cells inside a disc against those outside.
      hard_keypoint_weight: of hidden against visible keypoints, in the offset terms.
      intermediate_weight: of each stage of the network against the last one.
    """

    heatmap: float
    person: float
    short: float
    mid: float
    long: float
    body: float
    positive_weight: float
    hard_keypoint_weight: float
    intermediate_weight: float


TERMS = ("heatmap", "person", "short", "mid", "long", "body")


def sigmoid_cross_entropy(
    logits: Float[Array, "*shape"], targets: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """-t log p - (1 - t) log(1 - p), elementwise, with p = sigmoid(logits)."""
    # With max and abs instead, whose slopes at 0 do not add up, the gradient is wrong
    # where a logit is exactly 0, as an untrained one may be.
    negative, positive = jax.nn.softplus(-logits), jax.nn.softplus(logits)
    return targets * negative + (1 - targets) * positive


def offset_error(
    offsets: Float[Array, "*shape 2"],
    targets: Float[Array, "*shape 2"],
    *,
    radius: float,
) -> Float[Array, "*shape"]:
    """Mean absolute error of dx and dy, in units of the disc's radius."""
    return jnp.mean(jnp.abs(offsets - targets), axis=-1) / radius


def terms(
    maps: Maps, targets: Targets, *, radius: float, positive_weight: float
) -> dict[str, Mean]:
    """The mean of every term over what counts.

    Args:
      maps: of the network; heatmap, person and body are logits.
      targets: of the same shapes.
      radius: of the discs, input px: the unit of the offset terms.
      positive_weight: of heatmap cells inside a disc against those outside.
    """
    true = targets.maps
    bce = sigmoid_cross_entropy
    # Weighs the values, not the count: the mean stays one over all that is asked.
    importance = 1 + (positive_weight - 1) * true.heatmap

    def offsets(said, truth, weights):
        return Mean.from_values(offset_error(said, truth, radius=radius), weights)

    return {
        "heatmap": Mean.from_values(
            importance * bce(maps.heatmap, true.heatmap), targets.asked
        ),
        "person": Mean.from_values(bce(maps.person, true.person), targets.asked_person),
        "short": offsets(maps.short, true.short, targets.near),
        "mid": offsets(maps.mid, true.mid, targets.edge),
        "long": offsets(maps.long, true.long, targets.owned),
        "body": Mean.from_values(bce(maps.body, true.body), targets.asked_body),
    }


def counts(targets: Targets) -> dict[str, Float[Array, ""]]:
    """What each term's mean is over; no network has a say in it."""
    means = terms(targets.maps, targets, radius=1.0, positive_weight=1.0)
    return {name: mean.count for name, mean in means.items()}


def total(
    stages: tuple[Maps, ...],
    targets: Targets,
    *,
    radius: float,
    settings: LossSettings,
    names: tuple[str, ...] = TERMS,
    shares: Mapping[str, Float[Array, ""]] | None = None,
) -> tuple[Float[Array, ""], dict[str, Mean]]:
    """The weighted sum of the terms, averaged over the stages of the network.

    Args:
      stages: Maps of every stage; the last is the answer.
      targets: the same for all.
      radius: of the discs, input px.
      settings: weights of the terms, and of the stages before the last.
      names: the terms there are: without those of maps that have no head.
      shares: of a part of a batch: how much of the whole batch's `counts` is in it, of
        each term. The losses of all parts then add up to the loss of the whole.

    Returns:
      The loss to descend, and a report: it as "total", the unweighted terms of the last
      stage as "heatmap", ..., and those of an earlier one as "stage0/heatmap", ...
    """
    last = len(stages) - 1
    stage_weights = [settings.intermediate_weight] * last + [1.0]
    term_weights = {name: getattr(settings, name) for name in names}
    if shares is not None:
        term_weights = {name: term_weights[name] * shares[name] for name in names}
    loss = jnp.zeros(())
    report = {}
    for number, (maps, weight) in enumerate(zip(stages, stage_weights, strict=True)):
        found = terms(
            maps, targets, radius=radius, positive_weight=settings.positive_weight
        )
        found = {name: found[name] for name in TERMS if name in names}
        weighted = (term_weights[n] * mean.compute() for n, mean in found.items())
        loss += sum(weighted) * (weight / sum(stage_weights))
        stage = "" if number == last else f"stage{number}/"
        report |= {f"{stage}{name}": mean for name, mean in found.items()}
    return loss, {"total": Mean(loss, jnp.ones(())), **report}
