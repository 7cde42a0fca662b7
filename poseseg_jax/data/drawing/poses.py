"""How a body stands: angles within what joints allow, and where its points are then.

Body frame: x to the person's *left*, y up, z forward; the unit is the person's upright
height. Camera frame: x to the right of the picture, y up, z towards the camera. They
agree for somebody who faces the camera: whose left is on the right of the picture.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

SIDES = ("left", "right")

# Degrees, (low, high). A stance says only what differs from standing at ease.
_AT_EASE = {
    "roll": (-4, 4),  # of the whole body in the picture
    "pitch": (-4, 6),  # of the whole body, forward
    "spine": (-6, 12),  # forward
    "side": (-7, 7),
    "twist": (-18, 18),  # shoulders against hips
    "shoulder": (-22, 28),  # upper arm forward
    "spread": (4, 26),  # upper arm outward
    "turn": (-15, 45),  # upper arm about itself, inward
    "elbow": (0, 55),
    "hip": (-8, 12),  # thigh forward
    "straddle": (0, 11),  # thigh outward
    "knee": (0, 10),
    "splay": (0, 20),  # thigh about itself, outward
    "point": (-5, 35),  # toes down
    "swing": (0, 8),  # legs in opposite phase, arms against them
}
# Stances with their shares.
_STANCES = {
    "at ease": (0.36, {}),
    "talking": (0.17, {"shoulder": (-10, 80), "elbow": (30, 135)}),
    "waving": (0.11, {"spread": (60, 172), "elbow": (0, 100), "turn": (-60, 20)}),
    "walking": (0.13, {"swing": (12, 32), "knee": (0, 35), "elbow": (5, 60)}),
    "running": (0.06, {
        "swing": (30, 58), "knee": (15, 100), "elbow": (60, 115), "pitch": (0, 20),
    }),
    "sitting": (0.06, {
        "hip": (65, 100), "knee": (55, 110), "straddle": (0, 22), "shoulder": (0, 70),
        "elbow": (10, 100), "spine": (-10, 25),
    }),
    "bending": (0.03, {
        "spine": (35, 85), "shoulder": (20, 100), "hip": (5, 45), "knee": (0, 45),
    }),
    "crouching": (0.02, {
        "hip": (75, 120), "knee": (90, 140), "spine": (5, 50), "straddle": (0, 30),
        "shoulder": (10, 80),
    }),
    "playing": (0.04, {
        "shoulder": (-50, 140), "spread": (0, 120), "elbow": (0, 120),
        "swing": (0, 45), "straddle": (0, 40), "knee": (0, 70), "spine": (-15, 40),
        "side": (-20, 20), "twist": (-35, 35), "roll": (-20, 20),
    }),
    "lying": (0.015, {
        "roll": (65, 115), "spread": (5, 120), "hip": (-5, 50), "knee": (0, 70),
    }),
    "upside down": (0.005, {
        "roll": (150, 210), "spread": (140, 175), "straddle": (0, 50),
    }),
}  # fmt: skip
_BOTH_WAYS = ("lying",)  # stances whose roll is as likely the other way round

# Where people face, degrees: share, mean, deviation; 0 the camera, 90 to the right.
_VIEWS = ((0.64, 0, 25), (0.16, 180, 25), (0.10, 90, 25), (0.10, -90, 25))


@dataclass(frozen=True)
class Build:
    """A person's proportions, in units of its upright height; girth is a factor."""

    shoulders: float  # half the distance
    hips: float  # half the distance
    torso: float
    arm: float
    leg: float
    head: float  # radius of the skull
    girth: float  # of limbs and trunk


def draw_build(rng: np.random.Generator) -> Build:
    """Grown-ups mostly; one in six is a child, with a large head and short limbs."""
    child = rng.random() < 1 / 6
    vary = rng.uniform(0.92, 1.08, 6)
    return Build(
        shoulders=0.116 * vary[0] * (0.95 if child else 1),
        hips=0.074 * vary[1],
        torso=0.285 * vary[2] * (1.03 if child else 1),
        arm=0.163 * vary[3] * (0.9 if child else 1),
        leg=0.238 * vary[4] * (0.88 if child else 1),
        head=0.066 * vary[5] * (1.4 if child else 1.08),
        girth=float(np.clip(rng.normal(1.05, 0.16), 0.8, 1.6)),
    )


def draw_stance(rng: np.random.Generator) -> Mapping[str, tuple[int, int]]:
    """The ranges of one stance's angles, degrees."""
    shares = np.array([share for share, _ in _STANCES.values()])
    name = list(_STANCES)[rng.choice(len(shares), p=shares / shares.sum())]
    stance = {**_AT_EASE, **_STANCES[name][1]}
    if name in _BOTH_WAYS and rng.random() < 0.5:
        low, high = stance["roll"]
        stance["roll"] = (-high, -low)
    return stance


def draw_view(rng: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    """Body -> camera: where the person faces, the camera slightly above or below."""
    shares, means, deviations = np.array(_VIEWS).T
    index = rng.choice(len(shares), p=shares / shares.sum())
    yaw = rng.normal(means[index], deviations[index])
    return _about_x(rng.normal(4, 7)) @ _about_y(yaw)


@dataclass(frozen=True)
class Body:
    """A posed body in the camera frame, pelvis at 0, in units of its upright height.

    Attributes:
      build: its proportions.
      points: "pelvis", "belly", "chest", "neck", "skull" and, per side,
        "left_shoulder", "_elbow", "_wrist", "_fingers", "_hip", "_knee", "_ankle",
        "_toes".
      head_axes [3 3]: columns: the head's left, up and front.
    """

    build: Build
    points: Mapping[str, Float[np.ndarray, "3"]]
    head_axes: Float[np.ndarray, "3 3"]


def draw_body(rng: np.random.Generator) -> Body:
    """Anybody, in any stance, seen from anywhere."""
    build, stance = draw_build(rng), draw_stance(rng)

    def angle(name: str) -> float:
        return rng.uniform(*stance[name])

    root = _about_z(angle("roll")) @ draw_view(rng) @ _about_x(angle("pitch"))
    forward = angle("spine")
    chest = (
        root @ _about_x(forward) @ _about_z(angle("side")) @ _about_y(angle("twist"))
    )
    middle = root @ _about_x(0.5 * forward)  # a back is round
    belly = middle @ (0, 0.45 * build.torso, 0)
    points = {
        "pelvis": np.zeros(3),
        "belly": belly,
        "chest": belly + chest @ (0, 0.33 * build.torso, 0.008),
        "neck": belly + chest @ (0, 0.55 * build.torso, 0),
    }
    head = chest @ _about_y(float(np.clip(rng.normal(0, 22), -65, 65)))
    head = head @ _about_x(rng.normal(4, 12)) @ _about_z(rng.normal(0, 7))
    nod = (0, 0.035 + 0.95 * build.head, 0.25 * build.head)
    points["skull"] = points["neck"] + head @ nod
    swing = angle("swing") * rng.choice((-1, 1))
    for side, sign in zip(SIDES, (1, -1), strict=True):
        shoulder = points["neck"] + chest @ (sign * build.shoulders, -0.03, 0)
        arm = _draw_arm(angle, build, chest, sign, 0.9 * sign * swing)
        hip = root @ (sign * build.hips, 0.01, 0)
        leg = _draw_leg(angle, build, root, sign, sign * swing)
        points |= {f"{side}_shoulder": shoulder, f"{side}_hip": hip}
        points |= {f"{side}_{name}": shoulder + step for name, step in arm.items()}
        points |= {f"{side}_{name}": hip + step for name, step in leg.items()}
    return Body(build, points, head)


def _draw_arm(
    angle: Callable[[str], float],
    build: Build,
    chest: np.ndarray,
    sign: int,
    back: float,
) -> dict[str, np.ndarray]:
    """Joints from the shoulder; sign 1 left, -1 right; back: degrees of swing."""
    upper = (
        chest @ _about_z(sign * angle("spread")) @ _about_x(back - angle("shoulder"))
    )
    upper = upper @ _about_y(-sign * angle("turn"))
    lower = upper @ _about_x(-angle("elbow"))
    elbow = -upper[:, 1] * build.arm
    wrist = elbow - lower[:, 1] * build.arm * 0.9
    return {"elbow": elbow, "wrist": wrist, "fingers": wrist - lower[:, 1] * 0.055}


def _draw_leg(
    angle: Callable[[str], float],
    build: Build,
    root: np.ndarray,
    sign: int,
    ahead: float,
) -> dict[str, np.ndarray]:
    """Joints from the hip; sign 1 left, -1 right; ahead: degrees of swing."""
    thigh = root @ _about_z(sign * angle("straddle")) @ _about_x(-angle("hip") - ahead)
    thigh = thigh @ _about_y(sign * angle("splay"))
    shin = thigh @ _about_x(angle("knee"))
    foot = shin @ _about_x(angle("point"))
    knee = -thigh[:, 1] * build.leg
    ankle = knee - shin[:, 1] * build.leg
    toes = ankle + foot[:, 2] * 0.085 - foot[:, 1] * 0.02
    return {"knee": knee, "ankle": ankle, "toes": toes}


def _about_x(degrees: float) -> np.ndarray:
    """Turns y towards z."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _about_y(degrees: float) -> np.ndarray:
    """Turns z towards x."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _about_z(degrees: float) -> np.ndarray:
    """Turns x towards y."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
