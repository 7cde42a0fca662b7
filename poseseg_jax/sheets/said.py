"""What a network says of a picture, on a sheet: every map, and who was found in it.

The panels are those of compose.py and maps.py, which draw what training asks for. Here
a map counts where the network believes in it: offsets to and from an anchor where its
heatmap is, long offsets where there are people.
"""

import numpy as np
from jaxtyping import UInt8

from poseseg_jax import geometry
from poseseg_jax.representation import Representation
from poseseg_jax.sheets import compose
from poseseg_jax.sheets.maps import Sample
from poseseg_jax.sheets.page import Panel
from poseseg_jax.skeleton import NUM_ANCHORS
from poseseg_jax.structs import MAX_PEOPLE, Array, Batch, Instances, Maps, Targets

_BELIEVED = 0.5  # probability from which a map is drawn
_FOUND = 0.1  # confidence from which a keypoint is


def said_sheet(
    image: UInt8[Array, "H W 3"],
    maps: Maps,
    instances: Instances,
    *,
    representation: Representation,
    title: str,
) -> Panel:
    """An input with the people that were found in it, and every map drawn over it.

    Args:
      image: the input, RGB.
      maps: what the network says, probabilities and offsets, without batch axis.
      instances: what the decoder makes of it; people with a score of 0 are left out.
      representation: of the maps.
      title: of the sheet.
    """
    found = _found(np.asarray(image), instances, representation.person_stride)
    sample = Sample(found, _believed(maps, representation), representation)
    return compose.sample_sheet(sample, title, words=compose.SAID)


def _found(
    image: UInt8[np.ndarray, "H W 3"], instances: Instances, stride: int
) -> Batch:
    """The people as if they were labels."""
    height, width = image.shape[:2]
    slots = np.flatnonzero(np.asarray(instances.poses.score) > 0)[:MAX_PEOPLE]
    masks = np.asarray(instances.masks)[slots]
    whose = np.zeros(masks.shape[1:], np.uint8)
    if len(slots):
        codes = masks.argmax(0) + 1
        whose = np.where(masks.max(0) >= _BELIEVED, codes, 0).astype(np.uint8)
    rows, columns = (
        ((np.arange(side) + stride // 2) // stride).clip(0, cells - 1)
        for side, cells in zip((height, width), whose.shape, strict=True)
    )
    pixels = rows[:, None], columns
    keypoints = np.asarray(instances.poses.keypoints, np.float32)[slots]
    confidence = np.asarray(instances.poses.confidence)[slots]
    box = np.zeros((len(slots), 4), np.float32)
    for row in range(len(slots)):
        # Of the whole mask, also where another one hides it; nobody is without a box.
        mask = masks[row][pixels] >= _BELIEVED
        box[row] = geometry.box_of_person(mask, keypoints[row], confidence[row])
    sure = (confidence >= _FOUND).astype(np.uint8) + (confidence >= _BELIEVED)
    return Batch(
        image=image,
        people=whose[pixels],
        keypoints=keypoints,
        visibility=sure.astype(np.uint8),
        box=box,
        area=(box[:, 2:] - box[:, :2]).prod(-1),
        to_input=geometry.resize_affine(1.0).astype(np.float32),
        size=np.array([height, width]),
        image_id=np.array(0),
        is_real=np.array(True),
    )


def _believed(maps: Maps, representation: Representation) -> Targets:
    heatmap = np.asarray(maps.heatmap)
    near = (heatmap >= _BELIEVED).astype(np.float32)
    factor = representation.map_stride // representation.person_stride
    person = np.asarray(maps.person)[::factor, ::factor]
    owned = np.where(person >= _BELIEVED, person, 0.0).astype(np.float32)
    return Targets(
        maps=maps,
        near=near,
        edge=near[..., representation.skeleton.sources],
        owned=owned[..., None].repeat(NUM_ANCHORS, axis=-1),
        asked=np.ones_like(heatmap),
        asked_person=np.ones_like(maps.person),
        asked_body=np.ones_like(maps.body),
    )
