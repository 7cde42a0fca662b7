"""Pictures of any size -> people in their own pixels, as one program.

What `predictor` leaves to OpenCV and NumPy, before the network and after its decoder,
is done here on the device, by one small matrix for each axis of a picture. So nothing
of this package is needed to run the program, once it is exported.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int, UInt8

from poseseg_jax import inference
from poseseg_jax.coco.results import MASK_LEVEL
from poseseg_jax.data.augment import PADDING
from poseseg_jax.inference import Trained
from poseseg_jax.structs import Array, Instances

Find = Callable[[UInt8[Array, "B H W 3"], Int[Array, "B 2"]], dict[str, Array]]

Length = Any  # a whole number, or the symbol that an export has for it

# Of what goes in and comes out, for those who have no more than the program.
MEANINGS = {
    "images": "RGB; each picture lies in the upper left, the rest is not looked at",
    "sizes": "(height, width) of each picture, px, at least 1",
    "keypoints": "(x, y), px of the picture, (0, 0) the middle of its first pixel; "
    "where they are thought to be, also of those that were not found",
    "confidence": "of each keypoint, 0 to 1; 0 is not found",
    "score": "of each person, 0 to 1, best first; 0 is an empty slot, of which the "
    "rest means nothing",
    "box": "(x0, y0, x1, y1) of each person: the crop is image[y0:y1, x0:x1]",
    "masks": "whose pixels; False beyond the picture",
}

_CUBIC = -0.75  # OpenCV's coefficient
# Products of whole numbers stay whole on a GPU, too.
_multiply = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)


def make_find(trained: Trained) -> Find:
    """The whole way, with the parameters within; to be jitted or exported.

    Returns:
      find(images uint8 [B H W 3], sizes [B 2]) -> a dict of what MEANINGS tells of:
      keypoints [B D 17 2], confidence [B D 17], score [B D], box [B D 4] and masks bool
      [B D H W] of D people in each picture, best first, then empty slots. Of each, it
      is what a `people.Person` has.
    """
    settings = trained.settings
    side = settings.eval_image_size
    detect = inference.make_detect(settings)

    def find(
        images: UInt8[Array, "B H W 3"], sizes: Int[Array, "B 2"]
    ) -> dict[str, Array]:
        height, width = images.shape[1:3]
        inputs = jax.vmap(partial(letterbox, side=side))(images, sizes)
        instances = detect(trained.variables, inputs)
        finish = partial(
            in_pictures,
            shape=(height, width),
            side=side,
            person_stride=settings.representation.person_stride,
        )
        return jax.vmap(finish)(instances, sizes)

    return find


def letterbox(
    image: UInt8[Array, "H W 3"], size: Int[Array, "2"], *, side: int
) -> UInt8[jax.Array, "side side 3"]:
    """The network's input: what `augment.warp_image` makes of a letterbox.

    Where a picture is reduced, square blocks of its pixels are averaged first, to less
    than twice the input's sides; then it is interpolated linearly.

    Args:
      image: RGB; the picture is in its upper left.
      size: (height, width) of the picture, at least 1.
      side: of the input, px.
    """
    longest = jnp.max(size)
    block = jnp.maximum(longest // side, 1)
    down, across = (_sums(size[n], image.shape[n], block, 2 * side) for n in (0, 1))
    colors = jnp.moveaxis(image, -1, 0).astype(jnp.float32)
    mean = _multiply(_multiply(down, colors), across.T) / block**2
    # Of 2 x 2 pixels, OpenCV rounds a half up; of more, to the even one.
    mean = jnp.where(block == 2, jnp.floor(mean + 0.5), jnp.round(mean))
    scale = side * block / longest
    rows, columns = (_linear(-(-size[n] // block), scale, side) for n in (0, 1))
    seen = _multiply(_multiply(rows, mean), columns.T)
    covered = jnp.sum(rows, axis=1)[:, None] * jnp.sum(columns, axis=1)
    padding = jnp.array(PADDING, jnp.float32)[:, None, None]
    seen = jnp.round(seen + (1 - covered) * padding)
    return jnp.moveaxis(jnp.clip(seen, 0, 255), 0, -1).astype(jnp.uint8)


def in_pictures(
    instances: Instances,
    size: Int[Array, "2"],
    *,
    shape: tuple[Length, Length],
    side: int,
    person_stride: int,
) -> dict[str, Array]:
    """The people of one letterboxed picture in its pixels; see `make_find`.

    Args:
      instances: in input px.
      size: (height, width) of the picture.
      shape: of the array that it lies in.
      side: of the input, px.
      person_stride: input px per cell of the masks.
    """
    poses = instances.poses
    scale = side / jnp.max(size)
    keypoints = (poses.keypoints + 0.5) / scale - 0.5
    rows, columns = (
        _cubic(shape[axis], instances.masks.shape[axis + 1], scale, person_stride)
        for axis in (0, 1)
    )
    inside = jnp.arange(shape[0])[:, None] < size[0]
    inside &= jnp.arange(shape[1]) < size[1]

    def sample(slot):
        mask, score = slot
        soft = _multiply(_multiply(rows, mask), columns.T)
        return (soft >= MASK_LEVEL) & inside & (score > 0)

    # One after the other: all at once would take four bytes for each pixel of each.
    masks = jax.lax.map(sample, (instances.masks, poses.score))
    return {
        "keypoints": keypoints,
        "confidence": poses.confidence,
        "score": poses.score,
        "box": _boxes(masks, keypoints, poses.confidence, size),
        "masks": masks,
    }


def _sums(
    length: Int[Array, ""], pixels: Length, block: Int[Array, ""], blocks: int
) -> Float[jax.Array, "blocks pixels"]:
    """How often each pixel of an axis counts in each block of pixels: once, or never.

    The picture's last one also stands for those that its block lacks.

    Args:
      length: of the picture along the axis; later pixels count nothing.
      pixels: of the array.
      block: pixels in each.
      blocks: how many there may be.
    """
    pixel = jnp.arange(pixels)
    count = jnp.where(pixel == length - 1, 1 + -length % block, 1)
    is_within = (pixel < length) & (pixel // block == jnp.arange(blocks)[:, None])
    return jnp.where(is_within, count, 0).astype(jnp.float32)


def _linear(
    length: Int[Array, ""], scale: Float[Array, ""], side: int
) -> Float[jax.Array, "side twice"]:
    """What each pixel of an axis counts for each of the input; the rest is padding.

    Args:
      length: pixels of the picture along the axis.
      scale: input px per pixel.
      side: of the input, px.
    """
    at = (jnp.arange(side) + 0.5) / scale - 0.5
    pixel = jnp.arange(2 * side)
    share = jnp.maximum(1 - jnp.abs(at[:, None] - pixel), 0)
    return jnp.where(pixel < length, share, 0)


def _cubic(
    pixels: Length, cells: int, scale: Float[Array, ""], stride: int
) -> Float[jax.Array, "pixels cells"]:
    """What each cell of an axis counts for each pixel of the picture: bicubic sampling.

    Beyond the outer cells, the nearest one counts.
    """
    at = ((jnp.arange(pixels) + 0.5) * scale - 0.5) / stride
    first, cell, a = jnp.floor(at), jnp.arange(cells), _CUBIC
    weights = jnp.zeros((pixels, cells))
    for tap in (-1, 0, 1, 2):
        d = jnp.abs(at - first - tap)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        index = jnp.clip(first + tap, 0, cells - 1)
        weight = jnp.where(d <= 1, near, far)
        weights += jnp.where(index[:, None] == cell, weight[:, None], 0)
    return weights


def _boxes(
    masks: Bool[Array, "D H W"],
    keypoints: Float[Array, "D K 2"],
    confidence: Float[Array, "D K"],
    size: Int[Array, "2"],
) -> Float[jax.Array, "D 4"]:
    """Of everybody as `people.box_of` has it."""
    rows, columns = jnp.any(masks, axis=2), jnp.any(masks, axis=1)
    (y0, y1), (x0, x1) = _ends(rows), _ends(columns)
    of_mask = jnp.stack([x0, y0, x1, y1], axis=1).astype(jnp.float32)
    found = confidence > 0
    chosen = (found | ~jnp.any(found, axis=1, keepdims=True))[..., None]
    low = jnp.min(jnp.where(chosen, keypoints, jnp.inf), axis=1)
    high = jnp.max(jnp.where(chosen, keypoints, -jnp.inf), axis=1)
    outer = jnp.concatenate([jnp.floor(low + 0.5), jnp.floor(high + 0.5) + 1], axis=1)
    of_points = jnp.clip(outer, 0, jnp.tile(size[::-1], 2))
    return jnp.where(jnp.any(rows, axis=1)[:, None], of_mask, of_points)


def _ends(is_there: Bool[Array, "D n"]) -> tuple[jax.Array, jax.Array]:
    """Of each row, the first True and the one after the last."""
    behind = is_there.shape[1] - jnp.argmax(is_there[:, ::-1], axis=1)
    return jnp.argmax(is_there, axis=1), behind
