"""A person to be drawn: its parts, where its keypoints are, and which of them show."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from poseseg_jax.data.drawing.bodies import make_limbs, make_trunk
from poseseg_jax.data.drawing.canvas import Canvas, Part
from poseseg_jax.data.drawing.clothes import Look
from poseseg_jax.data.drawing.heads import head_points, make_head
from poseseg_jax.data.drawing.poses import Body
from poseseg_jax.data.drawing.projection import project
from poseseg_jax.skeleton import KEYPOINT_NAMES, NUM_KEYPOINTS

_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
_IS_FACE = np.array([name in _FACE for name in KEYPOINT_NAMES])

# A keypoint is in sight where the picture shows one of these parts of its own person.
_OWN_LIMBS = {
    "shoulder": ("upper_arm",),
    "elbow": ("upper_arm", "forearm"),
    "wrist": ("forearm", "hand"),
    "hip": ("thigh",),
    "knee": ("thigh", "shin"),
    "ankle": ("shin", "foot"),
}
_TRUNK = {
    "shoulder": ("torso", "neck", "hair"),
    "hip": ("torso", "pelvis", "skirt"),
    "knee": ("skirt",),
    "ankle": ("skirt",),
}
_HEAD = ("face", "nose", "left_eye", "right_eye", "mouth", "brow", "fringe", "hat")

# How far behind the middle of head or trunk a keypoint may lie and still be seen, as a
# fraction of its distance from there; and the face so far behind that nobody labels it.
_FACE_LIMIT, _TRUNK_LIMIT, _UNLABELLED_LIMIT = -0.05, -0.8, -0.45


def _shown_by(name: str) -> tuple[str, ...]:
    side, _, joint = name.partition("_")
    if joint == "ear":
        return (*_HEAD, name, "hair")
    if name in _FACE:
        return _HEAD
    return tuple(f"{side}_{limb}" for limb in _OWN_LIMBS[joint]) + _TRUNK.get(joint, ())


_SHOWN_BY = {name: _shown_by(name) for name in KEYPOINT_NAMES}


@dataclass(frozen=True)
class Figure:
    """A person, placed in the picture.

    Attributes:
      parts: what is drawn of it.
      keypoints [17 2]: (x, y), picture px; also outside of the picture.
      facing [17]: False where head or trunk hide their own far side.
      turned_away [17]: True for a face seen from behind, which nobody labels.
      height: what it would measure upright, picture px.
    """

    parts: list[Part]
    keypoints: Float[np.ndarray, "17 2"]
    facing: Bool[np.ndarray, "17"]
    turned_away: Bool[np.ndarray, "17"]
    height: float

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(x0, y0, x1, y1) around all its parts, picture px."""
        return bounds(self.parts)

    def moved(self, x: float, y: float) -> "Figure":
        """The same figure elsewhere."""
        parts = [part.moved(x, y) for part in self.parts]
        return replace(self, parts=parts, keypoints=self.keypoints + np.array((x, y)))

    def in_sight(self, canvas: Canvas, owner: int) -> Bool[np.ndarray, "17"]:
        """Which keypoints the finished canvas shows of its figure `owner`."""
        codes = canvas.codes_at(self.keypoints)
        own = (canvas.owners[codes] == owner).tolist()
        shown = np.zeros(NUM_KEYPOINTS, bool)
        for index, (name, row) in enumerate(
            zip(KEYPOINT_NAMES, codes.tolist(), strict=True)
        ):
            kinds = {
                canvas.kinds[c] for c, mine in zip(row, own[index], strict=True) if mine
            }
            shown[index] = not kinds.isdisjoint(_SHOWN_BY[name])
        return shown & self.facing


def bounds(parts: list[Part]) -> tuple[float, float, float, float]:
    """(x0, y0, x1, y1) around parts, picture px."""
    discs = np.concatenate([part.discs for part in parts])
    low = (discs[:, :2] - discs[:, 2:]).min(0)
    high = (discs[:, :2] + discs[:, 2:]).max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def make_figure(body: Body, look: Look, height: float, distance: float) -> Figure:
    """Dresses a body and projects it, its pelvis at (0, 0).

    Args:
      body: in the camera frame.
      look: clothes, hair and skin.
      height: the upright person's, picture px.
      distance: of the camera, in the person's heights.
    """
    build = body.build
    points = {**body.points, **head_points(body.points, body.head_axes, build, look)}
    view = project(points, height, distance)
    parts = make_trunk(view, build, look) + make_limbs(view, build, look)
    parts += make_head(view, build, look)
    outward = _outward(points, build.head, build.shoulders, build.hips)
    return Figure(
        parts=parts,
        keypoints=np.array([view.points[name][:2] for name in KEYPOINT_NAMES]),
        facing=outward > np.where(_IS_FACE, _FACE_LIMIT, _TRUNK_LIMIT),
        turned_away=_IS_FACE & (outward < _UNLABELLED_LIMIT),
        height=height,
    )


def _outward(
    points: Mapping[str, np.ndarray], head: float, shoulders: float, hips: float
) -> Float[np.ndarray, "17"]:
    """How far keypoints lie on the near side of head or trunk, -1 to 1; limbs: 1."""
    outward = np.ones(NUM_KEYPOINTS)
    for index, name in enumerate(KEYPOINT_NAMES):
        if name in _FACE:
            outward[index] = (points[name] - points["skull"])[2] / head
        elif name.endswith("shoulder"):
            outward[index] = (points[name] - points["neck"])[2] / shoulders
        elif name.endswith("hip"):
            outward[index] = (points[name] - points["pelvis"])[2] / hips
    return outward
