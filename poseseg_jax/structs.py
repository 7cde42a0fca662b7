"""The values that flow through the program: fields, shapes and units, no logic.

Legend: B batch, H W input pixels, h w map cells of `map_stride` pixels, p q cells of
`person_stride` pixels, K = 17 keypoints, A = 18 anchors (the keypoints and the person's
centre), E directed edges of the skeleton, N people kept in training (padded), D people
kept by the decoder (padded). A coordinate is (x, y) in input pixels unless its name
says otherwise; see geometry.py. `*B` may be absent: functions are written for one
picture and vmapped.
"""

from typing import Any

import jax
import numpy as np
from flax import struct
from jaxtyping import Bool, Float, Int, PRNGKeyArray, UInt8

Array = jax.Array | np.ndarray

# Codes of the people map. 1 ... MAX_PEOPLE is a person, by row.
NOBODY = 0
MAX_PEOPLE = 252
UNKNOWN_MASK = 253  # in the box of somebody whose mask is not known, or withheld
SEVERAL = 254  # more than one person
IGNORE = 255  # crowd regions, padding, people beyond the N that are kept


@struct.dataclass
class Batch:
    """Pictures with their people, as the loader hands them to the device."""

    image: UInt8[Array, "*B H W 3"]  # RGB
    people: UInt8[Array, "*B H W"]  # n = the person in row n - 1, or a code above
    keypoints: Float[Array, "*B N K 2"]  # (x, y) input px
    visibility: UInt8[Array, "*B N K"]  # 0 unlabelled or padded, 1 hidden, 2 visible
    box: Float[Array, "*B N 4"]  # (x0, y0, x1, y1) input px, clipped; 0 when padded
    area: Float[Array, "*B N"]  # of the person's mask, input px^2; 0 when padded
    to_input: Float[Array, "*B 2 3"]  # affine: original px -> input px
    size: Int[Array, "*B 2"]  # (height, width) of the original picture
    image_id: Int[Array, "*B"]
    is_real: Bool[Array, "*B"]  # False for rows that only fill the last batch


@struct.dataclass
class Maps:
    """What the network says of a picture, and what it should say.

    Offsets are (dx, dy) in input pixels. Heatmap, person and body are logits when the
    network says them, and probabilities in targets and in the decoder.
    """

    heatmap: Float[Array, "*B h w A"]  # is an anchor of that type within R
    short: Float[Array, "*B h w A 2"]  # to the nearest anchor of that type
    mid: Float[Array, "*B h w E 2"]  # from the edge's source anchor to its target
    long: Float[Array, "*B h w A 2"]  # to its person's anchors; of two people: mean
    person: Float[Array, "*B p q"]  # the fraction of the cell that people cover
    body: Float[Array, "*B h w"]  # closeness to any labelled keypoint


@struct.dataclass
class Targets:
    """The maps that a perfect network would give, and where each of them counts."""

    maps: Maps
    near: Float[Array, "*B h w A"]  # `short`: weight, 0 outside of the anchor's disc
    edge: Float[Array, "*B h w E"]  # `mid`: likewise, and where an end is unlabelled
    owned: Float[Array, "*B h w A"]  # `long`: part covered by (two) owners who have it
    asked: Float[Array, "*B h w A"]  # `heatmap`
    asked_person: Float[Array, "*B p q"]  # `person`
    asked_body: Float[Array, "*B h w"]  # `body`


@struct.dataclass
class Poses:
    """The people that the decoder found, best first."""

    keypoints: Float[Array, "*B D K 2"]  # (x, y) input px, whether found or not
    confidence: Float[Array, "*B D K"]  # expected OKS, 0 to 1; 0 = not found
    score: Float[Array, "*B D"]  # descending, 0 = empty slot


@struct.dataclass
class Instances:
    """Poses with their masks."""

    poses: Poses
    masks: Float[Array, "*B D p q"]  # probability that the cell is theirs


@struct.dataclass
class TrainState:
    """All that a training run is between two steps, but for the loader's place."""

    step: Int[Array, ""]
    params: Any
    batch_stats: Any
    opt_state: Any
    ema: Any  # moving average of params: what evaluation and inference use
    rng: PRNGKeyArray
