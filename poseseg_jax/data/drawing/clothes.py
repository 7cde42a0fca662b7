"""What people look like and wear."""

import colorsys
from dataclasses import dataclass

import numpy as np

from poseseg_jax.data.drawing.canvas import Color

_SKINS = (
    (255, 219, 190), (241, 194, 160), (224, 172, 125), (198, 134, 90),
    (157, 102, 68), (110, 70, 48), (82, 52, 38), (250, 205, 180),
)  # fmt: skip
_HAIRS = (
    (30, 24, 22), (52, 34, 26), (88, 58, 36), (130, 90, 50),
    (196, 160, 96), (150, 70, 36), (170, 168, 165), (20, 20, 24),
)  # fmt: skip
_EYES = ((40.0, 30.0, 25.0), (70.0, 45.0, 30.0), (60.0, 95.0, 120.0))
# Lengths and their shares: 0 none, 1 to the next joint, 2 to the one after it.
_SLEEVES = (
    (0.0, 0.10), (0.35, 0.12), (0.6, 0.20), (0.8, 0.12), (1.4, 0.06), (1.95, 0.40),
)  # fmt: skip
_TROUSERS = ((0.3, 0.05), (0.7, 0.15), (1.0, 0.10), (1.5, 0.07), (1.96, 0.63))
_HEMS = ((0.0, 0.5), (0.3, 0.35), (0.8, 0.15))
_NEUTRALS = (25, 45, 70, 110, 160, 205, 240)


@dataclass(frozen=True)
class Look:
    """Looks: colours are RGB, 0 to 255.

    Attributes:
      skin, hair, eyes, lips, top, bottom, shoes: colours.
      hat: its colour, or None.
      sleeve: 0 none, 1 to the elbow, 2 to the wrist.
      trouser: 0 none, 1 to the knee, 2 to the ankle.
      skirt: 0 none, 1 to the knee.
      hem: of the shirt, 0 at the hips, 1 well below.
      hair_length: below the middle of the skull, in its radii; 0 short.
      bun, beard, bald: whether.
    """

    skin: Color
    hair: Color
    eyes: Color
    lips: Color
    top: Color
    bottom: Color
    shoes: Color
    hat: Color | None
    sleeve: float
    trouser: float
    skirt: float
    hem: float
    hair_length: float
    bun: bool
    beard: bool
    bald: bool


def draw_look(rng: np.random.Generator) -> Look:
    """Anybody."""
    skin, top = draw_skin(rng), draw_color(rng)
    natural = _varied(rng, _HAIRS[rng.integers(len(_HAIRS))], 12)
    long_hair = rng.random() < 0.4
    has_skirt = rng.random() < (0.32 if long_hair else 0.02)
    one_piece = rng.random() < (0.5 if has_skirt else 0.06)
    return Look(
        skin=skin,
        hair=natural if rng.random() < 0.97 else draw_color(rng),
        eyes=_EYES[rng.integers(len(_EYES))],
        lips=(skin[0] * 0.75, skin[1] * 0.5, skin[2] * 0.5),
        top=top,
        bottom=top if one_piece else draw_color(rng),
        shoes=draw_color(rng),
        hat=draw_color(rng) if rng.random() < 0.16 else None,
        sleeve=_choose(rng, _SLEEVES),
        trouser=0.0 if has_skirt else _choose(rng, _TROUSERS),
        skirt=rng.uniform(0.4, 1.1) if has_skirt else 0.0,
        hem=_choose(rng, _HEMS),
        hair_length=rng.uniform(0.9, 2.3) if long_hair else 0.0,
        bun=rng.random() < 0.12,
        beard=not long_hair and rng.random() < 0.2,
        bald=not long_hair and rng.random() < 0.07,
    )


def _choose(rng: np.random.Generator, table: tuple[tuple[float, float], ...]) -> float:
    values, shares = zip(*table, strict=True)
    return values[rng.choice(len(values), p=shares)]


def draw_color(rng: np.random.Generator) -> Color:
    """A colour of cloth: two in five are black, grey or white."""
    if rng.random() < 0.4:
        gray = _NEUTRALS[rng.integers(len(_NEUTRALS))]
        return _varied(rng, (gray, gray, gray), 9)
    hue, saturation, value = rng.uniform((0.0, 0.25, 0.25), (1.0, 0.95, 1.0)).tolist()
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return 255 * red, 255 * green, 255 * blue


def draw_skin(rng: np.random.Generator) -> Color:
    """A colour of skin."""
    return _varied(rng, _SKINS[rng.integers(len(_SKINS))], 10)


def _varied(rng: np.random.Generator, color: tuple[int, int, int], by: float) -> Color:
    red, green, blue = np.clip(color + rng.normal(0, by, 3), 4, 252).tolist()
    return red, green, blue
