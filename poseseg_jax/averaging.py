"""Test-time averaging: a picture is looked at several times, mirrored and resized, and
the Maps of all views are brought to the frame of the first and averaged.

Source: multi-scale and flip testing as PersonLab (arXiv 1803.08225, section 4) and most
of its neighbours use it. Two details are ours. Views are resized so that their corner
pixels fall on those of the picture; then a cell of one view falls on a cell of another
wherever it can, and nothing but interpolation is lost. And an offset counts in the mean
as much as its view believes that there is something to point at: discs have the same
radius in pixels of every view, so brought to one frame they differ, and beyond its disc
an offset means nothing.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from poseseg_jax import geometry
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import FLIP, Skeleton
from poseseg_jax.structs import Array, Maps

See = Callable[[UInt8[Array, "B H W 3"]], Maps]

_SOME = 1e-3  # belief that every offset has: where no view believes, all count the same


@dataclass(frozen=True)
class View:
    """One way to look at a picture.

    Attributes:
      scale: input side of this view as a multiple of the picture's, to the nearest
        that fits the network.
      flip: whether it is mirrored.
    """

    scale: float = 1.0
    flip: bool = False


def views_of(scales: Sequence[float], *, flip: bool) -> tuple[View, ...]:
    """Every scale, and with `flip` every scale mirrored too."""
    flips = (False, True) if flip else (False,)
    return tuple(View(scale, mirrored) for scale in scales for mirrored in flips)


def see_from_all(
    see: See,
    images: UInt8[Array, "B H W 3"],
    *,
    views: Sequence[View],
    representation: Representation,
    stride: int,
) -> Maps:
    """The mean of what the network says of every view.

    Views are summed up as they come. Beside the network's needs for the largest of
    them, memory holds the sum and the next view's Maps, however many there are.
    A single plain view gives what `see` gives, and nothing is added to the program.

    Args:
      see: images -> Maps of probabilities and offsets.
      images: RGB.
      views: at least one.
      representation: of the Maps.
      stride: sides of every view are a multiple of it, plus 1.

    Returns:
      Maps in the frame of `images`, whatever the views.
    """
    if tuple(views) == (View(),):
        return see(images)
    total = None
    for view in views:
        maps = see(look(images, view, stride=stride))
        maps = bring_back(
            maps,
            flip=view.flip,
            sides=images.shape[1:3],
            representation=representation,
        )
        weighted = _weigh(maps, representation.skeleton)
        total = weighted if total is None else jax.tree.map(jnp.add, total, weighted)
    assert total is not None, "there are no views"
    return _divide(total, len(views), representation.skeleton)


def view_side(side: int, scale: float, stride: int) -> int:
    """The input side of a view of a picture of `side` px; one cell at least."""
    return max(round((side - 1) * scale / stride), 1) * stride + 1


def look(
    images: UInt8[Array, "B H W 3"], view: View, *, stride: int
) -> UInt8[Array, "B h w 3"]:
    """The pictures as the view shows them, corner pixels on corner pixels."""
    sides = images.shape[1:3]
    new = tuple(view_side(side, view.scale, stride) for side in sides)
    if new != sides:
        ratio = jnp.array(_ratios(new, sides), jnp.float32)
        # JAX scales positions x + 0.5; so this takes x to ratio x.
        resized = jax.image.scale_and_translate(
            images.astype(jnp.float32),
            (images.shape[0], *new, 3),
            (1, 2),
            ratio,
            0.5 - 0.5 * ratio,
            method="linear",
            antialias=True,
        )
        images = jnp.clip(jnp.round(resized), 0, 255).astype(jnp.uint8)
    return images[:, :, ::-1] if view.flip else images


def bring_back(
    maps: Maps,
    *,
    flip: bool,
    sides: Sequence[int],
    representation: Representation,
) -> Maps:
    """A view's Maps in the frame of the picture.

    Args:
      maps: with a batch axis.
      flip: whether the view was mirrored.
      sides: (height, width) of the picture, px.
      representation: of the Maps, in both frames.
    """
    maps = mirror(maps, representation.skeleton) if flip else maps
    stride, fine = representation.map_stride, representation.person_stride
    cells = [geometry.num_cells(side, stride) for side in sides]
    if tuple(cells) == maps.body.shape[1:3]:
        return maps
    person = [geometry.num_cells(side, fine) for side in sides]
    y, x = _ratios(cells, maps.body.shape[1:3])
    to_picture = jnp.array([x, y], jnp.float32)
    return Maps(
        heatmap=resample(maps.heatmap, cells),
        short=resample(maps.short, cells) * to_picture,
        mid=resample(maps.mid, cells) * to_picture,
        long=resample(maps.long, cells) * to_picture,
        person=resample(maps.person[..., None], person)[..., 0],
        body=resample(maps.body[..., None], cells)[..., 0],
    )


def mirror(maps: Maps, skeleton: Skeleton) -> Maps:
    """The Maps of the mirrored picture: left is right, and offsets point the other way.

    With a batch axis; done twice, it changes nothing.
    """
    edges = mirrored_edges(skeleton)
    back = jnp.array([-1.0, 1.0])
    maps = jax.tree.map(lambda cells: cells[:, :, ::-1], maps)
    return dataclasses.replace(
        maps,
        heatmap=maps.heatmap[..., FLIP],
        short=maps.short[..., FLIP, :] * back,
        mid=maps.mid[..., edges, :] * back,
        long=maps.long[..., FLIP, :] * back,
    )


def mirrored_edges(skeleton: Skeleton) -> np.ndarray:
    """For each directed edge, the index of the one that it becomes in a mirror."""
    index = {edge: number for number, edge in enumerate(skeleton.edges)}
    return np.array([index[int(FLIP[a]), int(FLIP[b])] for a, b in skeleton.edges])


def resample(
    values: Float[Array, "B h w *c"], cells: Sequence[int]
) -> Float[jax.Array, "B H W *c"]:
    """Bilinear, corner cells on corner cells; a linear field stays what it is."""
    for axis, count in zip((1, 2), cells, strict=True):
        values = _resample_axis(jnp.asarray(values), axis, count)
    return jnp.asarray(values)


def _resample_axis(values: jax.Array, axis: int, count: int) -> jax.Array:
    old = values.shape[axis]
    if old == count:
        return values
    position = np.arange(count) * max(old - 1, 1) / max(count - 1, 1)
    first = np.clip(np.floor(position).astype(int), 0, old - 2)
    between = np.float32(position - first)
    between = between.reshape([-1 if n == axis else 1 for n in range(values.ndim)])
    low = jnp.take(values, first, axis=axis)
    high = jnp.take(values, first + 1, axis=axis)
    return low * (1 - between) + high * between


def _ratios(new: Sequence[int], old: Sequence[int]) -> list[float]:
    """By what positions grow between two sizes with common corners."""
    return [(b - 1) / (a - 1) for a, b in zip(old, new, strict=True)]


def _weigh(maps: Maps, skeleton: Skeleton) -> Maps:
    """Short and mid offsets times what their view believes of the anchor there."""
    belief = maps.heatmap + _SOME
    return dataclasses.replace(
        maps,
        short=maps.short * belief[..., None],
        mid=maps.mid * belief[..., skeleton.sources, None],
    )


def _divide(total: Maps, count: int, skeleton: Skeleton) -> Maps:
    """Sums of `_weigh` over `count` views -> means."""
    belief = total.heatmap + count * _SOME
    mean = jax.tree.map(lambda values: values / count, total)
    return dataclasses.replace(
        mean,
        short=total.short / belief[..., None],
        mid=total.mid / belief[..., skeleton.sources, None],
    )
