"""Heads: faces that show only from the front, ears at the sides, hair behind."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from poseseg_jax.data.drawing.canvas import Color, Part
from poseseg_jax.data.drawing.clothes import Look
from poseseg_jax.data.drawing.poses import SIDES, Build
from poseseg_jax.data.drawing.projection import Projection

# Places on the head, in radii of the skull from its middle: left, up, front.
_PLACES = {
    "jaw": (0, -0.64, 0.24), "face": (0, 0.02, 0.08),
    "nose": (0, -0.16, 1.02), "nose_root": (0, 0.06, 0.9),
    "mouth_left": (0.27, -0.62, 0.8), "mouth_right": (-0.27, -0.62, 0.8),
    "beard": (0, -0.84, 0.5), "brim": (0, 0.55, 1.3),
    "crown": (0, 0.36, -0.14), "nape": (0, -0.1, -0.36), "bun": (0, 0.3, -1.1),
    "forehead": (0, 0.84, 0.4),
    "temple_left": (0.56, 0.6, 0.3), "temple_right": (-0.56, 0.6, 0.3),
    "lock_left": (0.84, 0.16, 0.05), "lock_right": (-0.84, 0.16, 0.05),
    "left_eye": (0.38, 0.1, 0.86), "right_eye": (-0.38, 0.1, 0.86),
    "left_brow": (0.52, 0.34, 0.8), "right_brow": (-0.52, 0.34, 0.8),
    "left_frown": (0.22, 0.36, 0.92), "right_frown": (-0.22, 0.36, 0.92),
    "left_ear": (0.93, -0.08, -0.05), "right_ear": (-0.93, -0.08, -0.05),
}  # fmt: skip


def head_points(
    points: Mapping[str, Float[np.ndarray, "3"]],
    axes: Float[np.ndarray, "3 3"],
    build: Build,
    look: Look,
) -> dict[str, Float[np.ndarray, "3"]]:
    """Points of face and hair, by name, in the frame of `points`.

    Args:
      points: a body's; "skull" is used.
      axes: columns: the head's left, up and front.
      build, look: the person's.
    """
    hair_end = (0.0, -look.hair_length, -0.5)
    places = np.array([*_PLACES.values(), hair_end])
    space = points["skull"] + build.head * places @ axes.T
    return dict(zip((*_PLACES, "hair_end"), space, strict=True))


def make_head(view: Projection, build: Build, look: Look) -> list[Part]:
    """All of a head: among the body's parts it is one solid, at the skull's depth."""
    r = build.head
    base = view.depth("skull")
    parts = [
        view.part("face", [("face", 0.93 * r), ("jaw", 0.6 * r)], look.skin),
        *_make_hair(view, r, look),
        *_make_face(view, r, look),
    ]
    for side in SIDES:
        ear = [(f"{side}_ear", 0.22 * r)]
        parts.append(view.part(f"{side}_ear", ear, scaled(look.skin, 0.8)))
    within = [base + 0.04 + 0.01 * (part.depth - base) / r for part in parts]
    return [p._replace(depth=d) for p, d in zip(parts, within, strict=True)]


def _make_face(view: Projection, r: float, look: Look) -> list[Part]:
    base, parts = view.depth("skull"), []
    for side in SIDES:
        if view.depth(f"{side}_eye") < base - 0.02 * r:
            continue
        eye, brow, frown = f"{side}_eye", f"{side}_brow", f"{side}_frown"
        white, iris = [(eye, 0.17 * r)], [(eye, 0.105 * r)]
        hairs = [(brow, 0.06 * r), (frown, 0.05 * r)]
        parts += [
            view.part(eye, white, (232.0, 230.0, 225.0), raised=0.3 * r, round=False),
            view.part(eye, iris, look.eyes, raised=0.31 * r, round=False),
            view.part(
                "brow", hairs, scaled(look.hair, 0.7), raised=0.32 * r, round=False
            ),
        ]
    if view.depth("nose") < base - 0.1 * r:
        return parts
    nose = [("nose_root", 0.07 * r), ("nose", 0.16 * r)]
    mouth = [("mouth_left", 0.06 * r), ("mouth_right", 0.06 * r)]
    parts.append(view.part("nose", nose, scaled(look.skin, 0.88), raised=0.28 * r))
    parts.append(view.part("mouth", mouth, look.lips, raised=0.2 * r, round=False))
    if look.beard:
        beard = [("beard", 0.42 * r), ("jaw", 0.5 * r)]
        parts.append(view.part("face", beard, look.hair, raised=0.05 * r))
    return parts


def _make_hair(view: Projection, r: float, look: Look) -> list[Part]:
    temples = [("temple_left", 0.3 * r), ("temple_right", 0.3 * r)]
    parts = []
    if not look.bald:
        # From behind, hair reaches round the head; from the side, the face stays free.
        behind = min(max((view.depth("skull") - view.depth("nose")) / r, 0.0), 1.0)
        cap = [
            ("crown", (0.8 + 0.2 * behind) * r),
            ("nape", (0.72 + 0.24 * behind) * r),
        ]
        parts.append(view.part("hair", cap, look.hair, raised=0.1 * r))
        for side, lock in zip(SIDES, ("lock_left", "lock_right"), strict=True):
            fringe = [
                (f"temple_{side}", 0.26 * r),
                (lock, 0.14 * r),
                ("forehead", 0.2 * r),
            ]
            parts.append(view.part("fringe", fringe, look.hair, raised=0.15 * r))
        if look.hair_length > 0:
            long = [("nape", (0.85 + 0.15 * behind) * r), ("hair_end", 0.8 * r)]
            parts.append(view.part("hair", long, look.hair, raised=0.05 * r))
        if look.bun:
            parts.append(view.part("hair", [("bun", 0.42 * r)], look.hair))
    if look.hat is not None:
        hat, brim = [*temples, ("crown", 0.88 * r)], [*temples, ("brim", 0.25 * r)]
        dark = scaled(look.hat, 0.7)
        parts.append(view.part("hat", hat, look.hat, raised=0.35 * r))
        parts.append(view.part("hat", brim, dark, raised=0.36 * r))
    return parts


def scaled(color: Color, by: float) -> Color:
    """A colour made lighter or darker."""
    return color[0] * by, color[1] * by, color[2] * by
