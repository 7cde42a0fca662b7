"""Noise, and the patterns of cloth."""

from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Float

from poseseg_jax.data.drawing.canvas import Color
from poseseg_jax.data.drawing.clothes import draw_color

_BANK = 1024
_PATTERNS = {
    "plain": 0.50, "stripes": 0.06, "hoops": 0.10, "checks": 0.06, "dots": 0.05,
    "worn": 0.11, "fade": 0.06, "print": 0.06,
}  # fmt: skip


@lru_cache(maxsize=1)
def _noise_bank() -> Float[np.ndarray, "bank bank"]:
    return np.random.default_rng(0).standard_normal((_BANK, _BANK)).astype(np.float32)


def draw_noise(
    rng: np.random.Generator, height: int, width: int, grain: int = 1
) -> Float[np.ndarray, "height width"]:
    """Standard normal noise with specks `grain` pixels wide.

    It is a piece of one bank, always the same: new noise for every picture would take
    longer than all the rest of it.
    """
    rows, columns = -(-height // grain) + 1, -(-width // grain) + 1
    top, left = rng.integers(_BANK - rows), rng.integers(_BANK - columns)
    piece = _noise_bank()[top : top + rows, left : left + columns]
    if grain > 1:
        size = (columns * grain, rows * grain)
        piece = cv2.resize(piece, size, interpolation=cv2.INTER_LINEAR)
    return piece[:height, :width]


def draw_tint(
    rng: np.random.Generator,
    across: Float[np.ndarray, "h w"],
    along: Float[np.ndarray, "h w"],
    color: Color,
) -> Float[np.ndarray, "h w 3"] | None:
    """A pattern, as the factor by which it changes a cloth's colour; None where plain.

    Args:
      rng: consumed.
      across: each pixel's place across the trunk, in body heights from the chest.
      along: the same down the trunk.
      color: the cloth's.
    """
    shares = np.array(list(_PATTERNS.values()))
    pattern = list(_PATTERNS)[rng.choice(len(shares), p=shares / shares.sum())]
    if pattern == "plain":
        return None
    amount = _draw_pattern(rng, pattern, across, along)
    other = np.array(draw_color(rng)) / np.maximum(color, 12)
    factor = other.astype(np.float32) - 1
    return 1 + amount.astype(np.float32)[..., None] * factor


def _draw_pattern(
    rng, pattern: str, across: np.ndarray, along: np.ndarray
) -> np.ndarray:
    """0 the cloth's own colour, 1 the pattern's."""
    pitch, phase, share = (
        rng.uniform(12, 34),
        rng.uniform(0, 1, 2),
        rng.uniform(0.3, 0.6),
    )
    if pattern == "worn":
        noise = draw_noise(rng, *across.shape, grain=int(rng.integers(2, 6)))
        return np.clip(0.25 + 0.25 * noise, 0, 0.5)
    if pattern == "fade":
        return np.clip(along * 3 + 0.5, 0, 1)
    if pattern == "print":
        return (np.abs(across) < 0.06) & (np.abs(along) < 0.07)
    u = (across * np.float32(pitch) + np.float32(phase[0])) % 1
    v = (along * np.float32(pitch) + np.float32(phase[1])) % 1
    if pattern == "stripes":
        return u < share
    if pattern == "hoops":
        return v < share
    if pattern == "checks":
        return 0.5 * (u < share) + 0.5 * (v < share)
    return (u - 0.5) ** 2 + (v - 0.5) ** 2 < 0.08  # dots
