"""Views of a picture: pixels, people map, keypoints and boxes follow one affine.

An affine takes original pixels to input pixels and says everything about the view,
also whether it is mirrored (then its determinant is negative). So there is one way of
making an input, `render`, for training (`random_affine`) and for evaluation
(`geometry.letterbox_affine`).
"""

import math
from dataclasses import dataclass, fields

import cv2
import jax
import numpy as np
from jaxtyping import Bool, Float, UInt8

from poseseg_jax import geometry
from poseseg_jax.data.decoding import Sample
from poseseg_jax.data.form import Form
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
    x, y = (width - 1) / 2, (height - 1) / 2
    middle = (side - 1) / 2 + shift
    placed = np.array(
        [
            [cos, -sin, middle[0] - (cos * x - sin * y)],
            [sin, cos, middle[1] - (sin * x + cos * y)],
        ]
    )
    if mirrored:
        return geometry.compose_affine(placed, geometry.flip_affine(width))
    return placed


def scale_of(affine: Float[np.ndarray, "2 3"]) -> float:
    """The factor on lengths: the square root of the factor on areas."""
    return math.sqrt(abs(_determinant(affine)))


def random_color(
    rng: np.random.Generator, *, strength: float
) -> Float[np.ndarray, "3"]:
    """Draws factors for `change_color`, uniform in 1 - strength ... 1 + strength.

    `rng` is consumed.
    """
    return rng.uniform(1 - strength, 1 + strength, size=3)


def change_color(
    image: UInt8[np.ndarray, "h w 3"], factors: Float[np.ndarray, "3"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Multiplies brightness, contrast (about the mean gray) and saturation.

    All three are affine in (red, green, blue), so they are one 3 x 4 matrix and one
    pass.
    """
    brightness, contrast, saturation = factors.tolist()
    if brightness == contrast == saturation == 1:
        return image
    gray = np.tile(_LUMINANCE, (3, 1))
    colors = np.array(cv2.sumElems(image)[:3]) * (3 / image.size)
    mean = brightness * _LUMINANCE @ colors
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
    batch = Form(1, side, max_people).new()
    render_into(batch, 0, sample, to_input)
    return jax.tree.map(lambda leaf: leaf[0, ...], batch)


def render_into(
    batch: Batch, row: int, sample: Sample, to_input: Float[np.ndarray, "2 3"]
) -> None:
    """Writes what `render` makes into a row of a batch, in place."""
    side, max_people = batch.people.shape[-1], batch.area.shape[-1]
    _warp_image(sample.image, sample.to_image, to_input, batch.image[row])
    codes = batch.people[row]
    _warp(sample.people, to_input, codes, cv2.INTER_NEAREST, IGNORE)
    keypoints, visibility = _move_keypoints(
        sample.keypoints[:max_people], sample.visibility[:max_people], to_input, side
    )
    box = _move_boxes(sample.box[:max_people], to_input, side)
    area = sample.area[:max_people] * abs(_determinant(to_input))
    stays = _is_left(codes, box, visibility, sample.has_mask[:max_people])
    if len(sample.box) > len(stays) or not stays.all():
        _ignore_others(codes, stays)
    _put(batch.keypoints[row], keypoints, stays)
    _put(batch.visibility[row], visibility, stays)
    _put(batch.box[row], box, stays)
    _put(batch.area[row], area, stays)
    batch.to_input[row] = to_input
    batch.size[row] = sample.people.shape
    batch.image_id[row] = sample.image_id
    batch.is_real[row] = True


def blank(side: int, max_people: int) -> Batch:
    """What fills up a batch that has no more pictures: `is_real` is False."""
    batch = jax.tree.map(np.zeros_like, Form(1, side, max_people).new())
    batch.image[:] = PADDING
    batch.people[:] = IGNORE
    batch.to_input[:] = geometry.resize_affine(1.0)
    batch.size[:] = side
    batch.image_id[:] = -1
    return jax.tree.map(lambda leaf: leaf[0, ...], batch)


def _warp_image(image, to_image, to_input, output) -> None:
    affine = to_input
    if to_image[0, 0] != 1:  # decoded to a fraction of its size
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
    _warp(image, affine, output, cv2.INTER_LINEAR, PADDING)


def _warp(pixels, affine, output, interpolation: int, border) -> None:
    warped = cv2.warpAffine(
        pixels,
        affine,
        output.shape[1::-1],
        dst=output,
        flags=interpolation,
        borderValue=border,
    )
    # OpenCV would make a new array for one that does not fit, and leave this as it is.
    assert warped is output


def _move_keypoints(keypoints, visibility, to_input, side: int):
    moved = geometry.apply_affine(to_input, keypoints)
    inside = ((moved >= -0.5) & (moved <= side - 0.5)).all(-1)
    visibility = np.where(inside, visibility, 0)
    moved = np.where(visibility[..., None] > 0, moved, 0)
    if _determinant(to_input) < 0:  # a mirrored left hand is a right hand
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


def _ignore_others(codes, stays) -> None:
    """Turns the codes of people who have no row into IGNORE."""
    new = np.arange(IGNORE + 1, dtype=np.uint8)
    new[1 : MAX_PEOPLE + 1] = IGNORE
    kept = np.flatnonzero(stays) + 1
    new[kept] = kept
    cv2.LUT(codes, new, dst=codes)


def _put(rows, values, stays) -> None:
    """Writes the values of those who stay; all other rows are padding."""
    rows[: len(values)] = values
    rows[: len(values)][~stays] = 0
    rows[len(values) :] = 0


def _determinant(affine) -> float:
    """The factor on areas, negative for a mirrored view."""
    (a, b, _), (c, d, _) = affine.tolist()
    return a * d - b * c
