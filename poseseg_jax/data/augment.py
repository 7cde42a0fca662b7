"""Views of a picture: pixels, people map, keypoints and boxes follow one affine.

An affine takes original pixels to input pixels and says everything about the view,
also whether it is mirrored (then its determinant is negative). So there is one way of
making an input, `render`, for training (`random_affine`) and for evaluation
(`geometry.letterbox_affine`).
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import cv2
import jax
import numpy as np
from jaxtyping import Float, UInt8

from poseseg_jax import geometry
from poseseg_jax.data.decoding import Sample
from poseseg_jax.data.form import Form
from poseseg_jax.data.labels import write_labels
from poseseg_jax.structs import IGNORE, Batch

# RGB outside of the picture: ImageNet's mean, which normalisation takes to about 0.
PADDING = (124, 116, 104)
# Weights of red, green and blue in luminance (ITU-R BT.601).
_LUMINANCE = (0.299, 0.587, 0.114)
_DIAGONAL = np.arange(3)


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
    zoom, turn, *shift, flip = rng.random(5).tolist()  # one call: they add up
    log_scale = _between(
        math.log(settings.scale_min), math.log(settings.scale_max), zoom
    )
    angle = math.radians(_between(-settings.rotation, settings.rotation, turn))
    most = settings.translation
    shift_x, shift_y = (side * _between(-most, most, share) for share in shift)
    mirrored = flip < settings.flip

    scale = math.exp(log_scale) * side / max(height, width)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    x, y, middle = (width - 1) / 2, (height - 1) / 2, (side - 1) / 2
    placed = np.array(
        [
            [cos, -sin, middle + shift_x - (cos * x - sin * y)],
            [sin, cos, middle + shift_y - (sin * x + cos * y)],
        ]
    )
    if mirrored:
        return geometry.compose_affine(placed, geometry.flip_affine(width))
    return placed


def _between(low: float, high: float, share: float) -> float:
    return low + (high - low) * share


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
    whole = brightness * contrast
    colored = whole * saturation
    gray = [(whole - colored) * share for share in _LUMINANCE]
    sums = zip(_LUMINANCE, cv2.sumElems(image), strict=False)
    mean = brightness * sum(share * color for share, color in sums) / (image.size // 3)
    shift = (1 - contrast) * mean
    matrix = np.array([[*gray, shift]] * 3)
    matrix[_DIAGONAL, _DIAGONAL] += colored
    return cv2.transform(image, matrix)


def render(
    sample: Sample, to_input: Float[np.ndarray, "2 3"], *, side: int, max_people: int
) -> Batch:
    """Makes the input that an affine describes, with its people.

    What becomes of the people is said in labels.py.

    Args:
      sample: the decoded record.
      to_input: original px -> input px.
      side: of the input, px.
      max_people: N, rows of the result.

    Returns:
      A Batch without batch axis; its float fields are float32.
    """
    batch: Any = Form(1, side, max_people).new()
    warp_image(sample.image, sample.to_image, to_input, batch.image[0])
    warp_people(sample.people, to_input, batch.people[0])
    record = vars(sample) | {"size": sample.people.shape}
    write_labels(batch, [record], to_input[None])
    return jax.tree.map(lambda leaf: leaf[0, ...], batch)


def blank(side: int, max_people: int) -> Batch:
    """What fills up a batch that has no more pictures: `is_real` is False."""
    batch = jax.tree.map(np.zeros_like, Form(1, side, max_people).new())
    batch.image[:] = PADDING
    batch.people[:] = IGNORE
    batch.to_input[:] = geometry.resize_affine(1.0)
    batch.size[:] = side
    batch.image_id[:] = -1
    return jax.tree.map(lambda leaf: leaf[0, ...], batch)


def warp_people(
    people: UInt8[np.ndarray, "H W"],
    to_input: Float[np.ndarray, "2 3"],
    output: UInt8[np.ndarray, "side side"],
) -> None:
    """Writes a people map as the affine shows it; outside of it is IGNORE."""
    _warp(people, to_input, output, cv2.INTER_NEAREST, IGNORE)


def warp_image(
    image: UInt8[np.ndarray, "h w 3"],
    to_image: Float[np.ndarray, "2 3"],
    to_input: Float[np.ndarray, "2 3"],
    output: UInt8[np.ndarray, "_ _ 3"],
) -> None:
    """Writes a picture as the affine shows it; outside of it is PADDING.

    Args:
      image: RGB, possibly a fraction of the original.
      to_image: original px -> px of `image`.
      to_input: original px -> input px.
      output: what is written.
    """
    affine = to_input
    if to_image[0, 0] != 1:
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
    # OpenCV warps four channels in half the time that it takes for three.
    image = cv2.cvtColor(image, cv2.COLOR_RGB2RGBA)
    warped = np.empty((*output.shape[:2], 4), np.uint8)
    _warp(image, affine, warped, cv2.INTER_LINEAR, PADDING)
    _check_in_place(cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB, dst=output), output)


def _warp(pixels, affine, output, interpolation: int, border) -> None:
    size = output.shape[1::-1]
    warped = cv2.warpAffine(
        pixels, affine, size, dst=output, flags=interpolation, borderValue=border
    )
    _check_in_place(warped, output)


def _check_in_place(result, output) -> None:
    # For an output that does not fit, OpenCV makes another and leaves this as it is.
    assert result is output


def _determinant(affine) -> float:
    """The factor on areas, negative for a mirrored view."""
    (a, b, _), (c, d, _) = affine.tolist()
    return a * d - b * c
