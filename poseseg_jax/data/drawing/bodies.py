"""Trunk, arms and legs of a person, bare or dressed."""

from poseseg_jax.data.drawing.canvas import Part
from poseseg_jax.data.drawing.clothes import Look
from poseseg_jax.data.drawing.poses import SIDES, Build
from poseseg_jax.data.drawing.projection import Projection

SHIRT, TROUSERS = 1, 2  # garments

# A limb: kind, from, to, the radii there (units of the height; the first two grow with
# girth), and how much its depth is raised: a hanging arm lies on the shirt, and the
# shirt on the thighs unless they are lifted.
_ARM = (
    ("upper_arm", "shoulder", "elbow", 0.038, 0.030, 0.022),
    ("forearm", "elbow", "wrist", 0.030, 0.022, 0.024),
)
_LEG = (
    ("thigh", "hip", "knee", 0.058, 0.042, -0.035),
    ("shin", "knee", "ankle", 0.041, 0.027, -0.006),
)


def make_trunk(view: Projection, build: Build, look: Look) -> list[Part]:
    """Pelvis, shirt, neck and, with some, a skirt."""
    g = build.girth
    hips = [(f"{side}_hip", 0.05 * g) for side in SIDES]
    shirt = [(f"{side}_shoulder", 0.042 * g) for side in SIDES]
    shirt += [("chest", 0.078 * g), ("belly", 0.07 * g)]
    below = 0.3 * look.hem
    shirt += [
        (f"{s}_hip", f"{s}_knee", below, (0.047 + 0.02 * below) * g) for s in SIDES
    ]
    pelvis = [*hips, ("pelvis", 0.07 * g), ("belly", 0.06 * g)]
    neck = [("neck", 0.036 * g), ("neck", "skull", 0.6, 0.032)]
    parts = [
        view.part("pelvis", pelvis, look.bottom, garment=TROUSERS),
        view.part("torso", shirt, look.top, raised=0.012, garment=SHIRT),
        view.part("neck", neck, look.skin, raised=0.014),
    ]
    if look.skirt > 0:
        ends = [(f"{s}_hip", f"{s}_knee", look.skirt, 0.062 * g) for s in SIDES]
        skirt = view.part("skirt", hips + ends, look.bottom, garment=TROUSERS)
        thighs = [(view.depth(f"{s}_hip") + view.depth(f"{s}_knee")) / 2 for s in SIDES]
        parts.append(skirt._replace(depth=max(*thighs, skirt.depth + 0.045)))
    return parts


def make_limbs(view: Projection, build: Build, look: Look) -> list[Part]:
    """Arms and legs with sleeves and trousers, hands and feet."""
    parts = []
    for side in SIDES:
        for number, limb in enumerate(_ARM):
            parts += _limb(view, side, limb, build, look, look.sleeve - number, SHIRT)
        for number, limb in enumerate(_LEG):
            parts += _limb(
                view, side, limb, build, look, look.trouser - number, TROUSERS
            )
        hand = [(f"{side}_wrist", 0.021), (f"{side}_fingers", 0.026)]
        foot = [(f"{side}_ankle", 0.029), (f"{side}_toes", 0.024)]
        parts.append(view.part(f"{side}_hand", hand, look.skin, raised=0.026))
        parts.append(view.part(f"{side}_foot", foot, look.shoes, raised=-0.004))
    return parts


def _limb(
    view: Projection,
    side: str,
    limb: tuple,
    build: Build,
    look: Look,
    covered: float,
    garment: int,
) -> list[Part]:
    kind, start, end, wide, narrow, raised = limb
    kind, start, end = f"{side}_{kind}", f"{side}_{start}", f"{side}_{end}"
    wide, narrow = wide * build.girth, narrow * (0.5 + 0.5 * build.girth)
    bare = view.part(kind, [(start, wide), (end, narrow)], look.skin, raised=raised)
    if covered <= 0:
        return [bare]
    reach = min(covered, 1.0)
    hem = 1.15 * (wide + (narrow - wide) * reach)
    cloth = view.part(
        kind,
        [(start, 1.1 * wide), (start, end, reach, hem)],
        look.top if garment == SHIRT else look.bottom,
        garment=garment,
    )
    over = Part(kind, cloth.discs, cloth.color, bare.depth + 5e-4, garment)
    return [over] if covered >= 1 else [bare, over]
