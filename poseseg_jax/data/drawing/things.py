"""Things that stand in front of people."""

import numpy as np

from poseseg_jax.data.drawing.canvas import Color, Part
from poseseg_jax.data.drawing.clothes import draw_color


def draw_thing(rng: np.random.Generator, height: int, width: int) -> list[Part]:
    """Anything, somewhere in a picture of `height` x `width` pixels."""
    make = (_make_pole, _make_box, _make_plant, _make_table, _make_ball)[
        rng.integers(5)
    ]
    return make(rng, height, width)


def _make_pole(rng: np.random.Generator, height: int, width: int) -> list[Part]:
    scale, x = max(height, width), rng.uniform(0, width)
    radius, lean = rng.uniform(0.008, 0.025) * scale, rng.uniform(-0.1, 0.1) * scale
    return [_thing([(x, -9, radius), (x + lean, height + 9, radius)], draw_color(rng))]


def _make_box(rng: np.random.Generator, height: int, width: int) -> list[Part]:
    scale, x, y = (
        max(height, width),
        rng.uniform(0, width),
        rng.uniform(0.45, 1) * height,
    )
    half, tall = rng.uniform((0.05, 0.05), (0.16, 0.2)) * scale
    front = [(x + i * half, y + j * tall, 1) for i in (-1, 1) for j in (0, 1)]
    lid = [(x + i * half * (1 - j), y - j * tall, 1) for i in (-1, 1) for j in (0, 0.2)]
    red, green, blue = draw_color(rng)
    light = (red * 0.5 + 120, green * 0.5 + 120, blue * 0.5 + 120)
    return [
        _thing(front, (red, green, blue), round=False),
        _thing(lid, light, depth=1.0, round=False),
    ]


def _make_plant(rng: np.random.Generator, height: int, width: int) -> list[Part]:
    scale, x, y = (
        max(height, width),
        rng.uniform(0, width),
        rng.uniform(0.45, 1) * height,
    )
    leaves = []
    for depth in range(int(rng.integers(6, 16))):
        red, green, blue = rng.uniform((20, 70, 20), (90, 160, 70)).tolist()
        tip = x + 0.07 * scale * rng.normal(), y - rng.uniform(0.02, 0.2) * scale
        blade = [(x, y + 0.05 * scale, 2), (*tip, rng.uniform(0.008, 0.025) * scale)]
        leaves.append(_thing(blade, (red, green, blue), depth=float(depth)))
    return leaves


def _make_table(rng: np.random.Generator, height: int, width: int) -> list[Part]:
    radius, top = 0.012 * max(height, width), rng.uniform(0.7, 0.92) * height
    color, ends = draw_color(rng), rng.uniform(-0.1, 1.1, 2) * width
    legs = [[(end, top, radius), (end, height + 9, radius)] for end in ends]
    board = [(end, top, radius) for end in ends]
    return [
        _thing(discs, color, depth=float(i)) for i, discs in enumerate([*legs, board])
    ]


def _make_ball(rng: np.random.Generator, height: int, width: int) -> list[Part]:
    x, y = rng.uniform((0, 0.45), (1, 1)) * (width, height)
    return [_thing([(x, y, rng.uniform(0.03, 0.09) * height)], draw_color(rng))]


def _thing(
    discs: list[tuple], color: Color, *, depth: float = 0.0, round: bool = True
) -> Part:
    return Part("thing", np.array(discs, float), color, depth, round=round)
