"""Views of a picture: pixels, people map, keypoints and boxes follow one affine.

An affine takes original pixels to input pixels and says everything about the view,
also whether it is mirrored (then its determinant is negative). So there is one way of
making an input, `render`, for training (`random_affine`) and for evaluation
(`geometry.letterbox_affine`).
"""

import math
from dataclasses import dataclass, fields

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from poseseg_jax import geometry
from poseseg_jax.data.decoding import Sample
from poseseg_jax.skeleton import FLIP, NUM_KEYPOINTS
from poseseg_jax.structs import IGNORE, MAX_PEOPLE, SEVERAL, Batch

# RGB outside of the picture: ImageNet's mean, which normalisation takes to about 0.
PADDING = (124, 116, 104)
# Weights of red, green and blue in luminance (ITU-R BT.601).
_LUMINANCE = np.array([0.299, 0.587, 0.114])
_KEYPOINT_FLIP = FLIP[:NUM_KEYPOINTS]


@dataclass(frozen=True)
class AugmentSettings:
    """How much the views of a picture vary.

    Attributes:
      scale_min, scale_max: zoom relative to the picture's longer side filling the
        input, log-uniform.
      rotation: degrees, either way, uniform.
      translation: of the picture's centre from the input's, fraction of the input
        side, either way, uniform.
      flip: probability of mirroring.
      color: brightness, contrast and saturation are each multiplied by a factor of
        1 - color ... 1 + color, uniform.

    Raises:
      ValueError: for a value outside of its range.
    """

    scale_min: float
    scale_max: float
    rotation: float
    translation: float
    flip: float
    color: float

    def __post_init__(self):
        ranges = {
            "scale_min": (1e-3, self.scale_max),
            "scale_max": (self.scale_min, 1e3),
            "rotation": (0, 180),
            "translation": (0, 1),
            "flip": (0, 1),
            "color": (0, 1),
        }
        for field in fields(self):
            value, (low, high) = getattr(self, field.name), ranges[field.name]
            if not low <= value <= high:
                raise ValueError(
                    f"augment.{field.name} must lie in [{low}, {high}]; got {value}."
                )


def random_affine(
    rng: np.random.Generator,
    *,
    height: int,
    width: int,
    side: int,
    settings: AugmentSettings,
) -> Float[np.ndarray, "2 3"]:
    """Draws a view: original px -> input px. `rng` is consumed.

    The picture is mirrored or not, scaled and rotated about its centre, which comes to
    lie near the input's centre. There are always five draws, so that one setting does
    not change what is drawn for another.
    """
    log_scale = rng.uniform(math.log(settings.scale_min), math.log(settings.scale_max))
    angle = math.radians(rng.uniform(-settings.rotation, settings.rotation))
    shift = rng.uniform(-settings.translation, settings.translation, size=2) * side
    mirrored = rng.uniform() < settings.flip

    scale = math.exp(log_scale) * side / max(height, width)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    center = np.array([width - 1, height - 1]) / 2
    offset = (side - 1) / 2 + shift - linear @ center
    placed = np.concatenate([linear, offset[:, None]], axis=1)
    if mirrored:
        return geometry.compose_affine(placed, geometry.flip_affine(width))
    return placed


def scale_of(affine: Float[np.ndarray, "2 3"]) -> float:
    """The factor on lengths: the square root of the factor on areas."""
    return math.sqrt(abs(np.linalg.det(affine[:, :2])))


def jitter_color(
    image: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator, *, strength: float
) -> UInt8[np.ndarray, "h w 3"]:
    """Multiplies brightness, contrast (about the mean gray) and saturation at random.

    Each factor is uniform in 1 - strength ... 1 + strength. All three are affine in
    (red, green, blue), so they are one 3 x 4 matrix and one pass. `rng` is consumed.
    """
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, size=3)
    if strength == 0:
        return image
    gray = np.tile(_LUMINANCE, (3, 1))
    mean = brightness * _LUMINANCE @ cv2.mean(image)[:3]
    linear = brightness * contrast * (saturation * np.eye(3) + (1 - saturation) * gray)
    offset = np.full((3, 1), (1 - contrast) * mean)
    return cv2.transform(image, np.concatenate([linear, offset], axis=1))


def render(
    sample: Sample, to_input: Float[np.ndarray, "2 3"], *, side: int, max_people: int
) -> Batch:
    """Makes the input that an affine describes, with its people.

    A keypoint outside of the input becomes unlabelled. A person stays in its row,
    unless nothing of it is left: its box holds no pixel of the input, or it has neither
    a labelled keypoint nor a pixel there although its mask is known. Then the row is
    padding. Of more than `max_people` people the largest stay. Pixels of people who
    have no row become IGNORE.

    Args:
      sample: the decoded record.
      to_input: original px -> input px.
      side: of the input, px.
      max_people: N, rows of the result.

    Returns:
      A Batch without batch axis; its float fields are float32.
    """
    codes = cv2.warpAffine(
        sample.people,
        to_input,
        (side, side),
        flags=cv2.INTER_NEAREST,
        borderValue=IGNORE,
    )
    keypoints, visibility = _move_keypoints(
        sample.keypoints[:max_people], sample.visibility[:max_people], to_input, side
    )
    box = _move_boxes(sample.box[:max_people], to_input, side)
    area = sample.area[:max_people] * scale_of(to_input) ** 2
    stays = _is_left(codes, box, visibility, sample.has_mask[:max_people])
    return Batch(
        image=_warp_image(sample.image, sample.to_image, to_input, side),
        people=_ignore_others(codes, stays),
        keypoints=_pad_rows(keypoints, stays, max_people, np.float32),
        visibility=_pad_rows(visibility, stays, max_people, np.uint8),
        box=_pad_rows(box, stays, max_people, np.float32),
        area=_pad_rows(area, stays, max_people, np.float32),
        to_input=to_input.astype(np.float32),
        size=np.array(sample.people.shape, np.int32),
        image_id=np.array(sample.image_id, np.int64),
        is_real=np.array(True),
    )


def blank(side: int, max_people: int) -> Batch:
    """What fills up a batch that has no more pictures: `is_real` is False."""
    return Batch(
        image=np.full((side, side, 3), PADDING, np.uint8),
        people=np.full((side, side), IGNORE, np.uint8),
        keypoints=np.zeros((max_people, NUM_KEYPOINTS, 2), np.float32),
        visibility=np.zeros((max_people, NUM_KEYPOINTS), np.uint8),
        box=np.zeros((max_people, 4), np.float32),
        area=np.zeros(max_people, np.float32),
        to_input=geometry.resize_affine(1.0).astype(np.float32),
        size=np.array([side, side], np.int32),
        image_id=np.array(-1, np.int64),
        is_real=np.array(False),
    )


def _warp_image(image, to_image, to_input, side: int):
    affine = geometry.compose_affine(to_input, geometry.invert_affine(to_image))
    shrink = int(1 / scale_of(affine))
    if shrink >= 2:
        # Linear interpolation sees 2 x 2 pixels only and would alias: average first.
        # Sides become multiples of `shrink`, so that the affine is exact.
        height, width = image.shape[:2]
        image = cv2.copyMakeBorder(
            image, 0, -height % shrink, 0, -width % shrink, cv2.BORDER_REPLICATE
        )
        size = (image.shape[1] // shrink, image.shape[0] // shrink)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        affine = geometry.compose_affine(affine, geometry.resize_affine(float(shrink)))
    return cv2.warpAffine(
        image, affine, (side, side), flags=cv2.INTER_LINEAR, borderValue=PADDING
    )


def _move_keypoints(keypoints, visibility, to_input, side: int):
    moved = geometry.apply_affine(to_input, keypoints)
    inside = ((moved >= -0.5) & (moved <= side - 0.5)).all(-1)
    visibility = np.where(inside, visibility, 0)
    moved = np.where(visibility[..., None] > 0, moved, 0)
    if np.linalg.det(to_input[:, :2]) < 0:  # a mirrored left hand is a right hand
        return moved[:, _KEYPOINT_FLIP], visibility[:, _KEYPOINT_FLIP]
    return moved, visibility


def _move_boxes(box, to_input, side: int):
    """The bounds of the moved corners, clipped to the input."""
    corners = box[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]
    moved = geometry.apply_affine(to_input, corners)
    bounds = np.concatenate([moved.min(1), moved.max(1)], axis=-1)
    return np.clip(bounds, -0.5, side - 0.5)


def _is_left(codes, box, visibility, has_mask) -> Bool[np.ndarray, " n"]:
    """Whether something of each person is in the input; see `render`."""
    first = np.ceil(box[:, :2]).astype(int)
    last = np.minimum(np.floor(box[:, 2:]).astype(int), codes.shape[0] - 1)
    left = (first <= last).all(-1)
    for row in np.flatnonzero(left & has_mask & ~visibility.any(-1)):
        (x0, y0), (x1, y1) = first[row], last[row]
        region = codes[y0 : y1 + 1, x0 : x1 + 1]
        left[row] = ((region == row + 1) | (region == SEVERAL)).any()
    return left


def _ignore_others(codes, stays):
    """Turns the codes of people who have no row into IGNORE."""
    new = np.arange(IGNORE + 1, dtype=np.uint8)
    new[1 : MAX_PEOPLE + 1] = IGNORE
    kept = np.flatnonzero(stays) + 1
    new[kept] = kept
    return cv2.LUT(codes, new)


def _pad_rows(values, stays, rows: int, dtype):
    padded = np.zeros((rows, *values.shape[1:]), dtype)
    padded[: len(values)][stays] = values[stays]
    return padded
