"""Backgrounds, and what a camera does to a picture."""

import cv2
import numpy as np
from jaxtyping import UInt8

from poseseg_jax.data.drawing.clothes import draw_color, draw_skin
from poseseg_jax.data.drawing.textures import draw_noise


def draw_background(
    rng: np.random.Generator, height: int, width: int
) -> UInt8[np.ndarray, "height width 3"]:
    """A wall or sky over a ground, cluttered; some of the clutter is like limbs."""
    horizon = int(height * rng.uniform(0.25, 0.75))
    noise = draw_noise(rng, height, width, grain=int(rng.choice((2, 5, 12, 30))))
    picture = cv2.merge([noise * np.float32(rng.uniform(2, 18))] * 3)
    for rows in (slice(0, horizon), slice(horizon, height)):
        first, second = np.array([draw_color(rng), draw_color(rng)], np.float32)
        end = first + np.float32(rng.uniform(0, 0.5)) * (second - first)
        way = np.linspace(0, 1, picture[rows].shape[0], dtype=np.float32)
        picture[rows] += first + way[:, None, None] * (end - first)
    picture = cv2.convertScaleAbs(np.maximum(picture, 0, out=picture))
    for _ in range(int(rng.integers(3, 18))):
        _draw_shape(rng, picture)
    gray = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    # A camera is focused on people: what is behind them is dull and out of focus.
    dull = rng.uniform(0.35, 0.95)
    picture = cv2.addWeighted(picture, 1 - dull, gray, dull, 0)
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(1.0, 4.0))


def _draw_shape(rng: np.random.Generator, picture: np.ndarray) -> None:
    height, width = picture.shape[:2]
    x, y = int(rng.integers(width)), int(rng.integers(height))
    size = np.exp(rng.uniform(np.log(0.03), np.log(0.35), 2)) * max(height, width)
    a, b = int(size[0]) + 1, int(size[1]) + 1
    color = draw_color(rng)
    shape = rng.choice(6, p=(0.25, 0.2, 0.15, 0.2, 0.12, 0.08))
    if shape == 0:
        cv2.rectangle(picture, (x - a, y - b), (x + a, y + b), color, -1)
    elif shape == 1:
        turn = rng.uniform(0, 180)
        cv2.ellipse(picture, (x, y), (a, b), turn, 0, 360, color, -1, cv2.LINE_AA)
    elif shape == 2:
        end = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.line(picture, (x, y), end, color, int(rng.integers(1, 9)), cv2.LINE_AA)
    elif shape == 3:
        corners = np.array([x, y]) + rng.normal(0, size.mean(), (4, 2))
        hull = cv2.convexHull(corners.astype(np.int32))
        cv2.fillConvexPoly(picture, hull, color, cv2.LINE_AA)
    elif shape == 4:  # windows, shelves, a fence
        step, thick = max(a // 3, 5), int(rng.integers(1, 4))
        for column in range(x, x + 2 * a, step):
            cv2.line(picture, (column, y), (column, y + 2 * b), color, thick)
        cv2.rectangle(picture, (x, y), (x + 2 * a, y + 2 * b), color, thick)
    else:  # something like a bare arm or leg
        color = draw_skin(rng)
        way = rng.uniform(0, 2 * np.pi)
        end = (int(x + a * np.cos(way)), int(y + a * np.sin(way)))
        cv2.line(picture, (x, y), end, color, int(0.3 * a) + 2, cv2.LINE_AA)


def draw_shadow(
    picture: UInt8[np.ndarray, "h w 3"], x: float, y: float, radius: float
) -> None:
    """Darkens the ground below somebody, in place."""
    height, width = picture.shape[:2]
    rows = slice(
        max(int(y - 0.3 * radius), 0), max(min(int(y + 0.3 * radius) + 1, height), 0)
    )
    columns = slice(max(int(x - radius), 0), max(min(int(x + radius) + 1, width), 0))
    window = picture[rows, columns]
    if window.size:
        row, column = np.ogrid[rows, columns]
        far = ((column - x) / radius) ** 2 + ((row - y) / (0.3 * radius)) ** 2
        light = 1 - 0.45 * np.clip(1 - far, 0, 1)
        window[:] = (window * light[..., None]).astype(np.uint8)


def photograph(
    rng: np.random.Generator, picture: UInt8[np.ndarray, "h w 3"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Uneven light, a colour cast, a little blur, and the sensor's noise."""
    height, width = picture.shape[:2]
    blur = rng.uniform(-0.6, 0.9)
    if blur > 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), blur)
    cast = rng.uniform(0.85, 1.12) * rng.normal(1, 0.03, 3)
    lights = rng.uniform(0.82, 1.12, (2, 2)).astype(np.float32)
    light = cv2.resize(lights, (width, height), interpolation=cv2.INTER_LINEAR)
    shift = rng.uniform(-12, 14)
    strength = rng.uniform(0, 5)
    noise = cv2.merge([draw_noise(rng, height, width) for _ in range(3)])
    gain = light[..., None] * cast.astype(np.float32)
    lit = cv2.multiply(picture, gain, dtype=cv2.CV_32F)
    return cv2.addWeighted(lit, 1.0, noise, strength, shift, dtype=cv2.CV_8U)
