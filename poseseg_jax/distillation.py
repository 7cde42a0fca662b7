"""What an ancestor says of a picture, as targets for its descendant.

A network that was trained before sees the same batch, and its maps are a second truth
beside the labels': its probabilities say more than their thresholds would (Hinton et
al., arXiv 1503.02531; here without a temperature, which is for softmax over classes).
The terms and their weights are those of the labels' losses.
"""

import dataclasses

import jax
import jax.numpy as jnp

from poseseg_jax.decode.decode import activate
from poseseg_jax.structs import Maps, Targets


def soft_targets(said: Maps, truth: Targets) -> Targets:
    """Targets that are an ancestor's maps.

    Heatmap, person and body count in every cell, also where the labels are silent: in
    crowds, and of people without labelled keypoints an ancestor may know more than
    they. Offsets count where the labels' do: beyond, nobody has ever told the ancestor
    what to say, and it says anything.

    Args:
      said: the ancestor's last stage: logits, and offsets in input px.
      truth: of the labels, in the same representation.
    """
    return dataclasses.replace(
        truth,
        maps=jax.lax.stop_gradient(activate(said)),
        asked=jnp.ones_like(truth.asked),
        asked_person=jnp.ones_like(truth.asked_person),
        asked_body=jnp.ones_like(truth.asked_body),
    )
