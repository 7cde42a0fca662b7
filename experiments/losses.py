"""How should the losses be weighed?

    python -m experiments.losses --output=runs/losses [--preset=tiny]
        [--seeds=3] [--config.data.root=coco]

PersonLab's weights, those of the released PosePlusSeg code, and hidden keypoints that
weigh less or more than visible ones.
"""

from experiments import runner
from experiments.grid import Experiment, Variant
from poseseg_jax.config import Settings

_BASELINE = "PersonLab's"
# heatmap : person : short : mid : long
_WEIGHTS = {
    _BASELINE: (4.0, 2.0, 1.0, 0.25, 0.125),
    "PosePlusSeg's": (4.0, 2.0, 1.0, 4.0, 8.0),
}
_TERMS = ("heatmap", "person", "short", "mid", "long")


def variants(settings: Settings) -> list[Variant]:
    """Sets of weights, and hidden keypoints weighed otherwise."""
    found = []
    own = tuple(getattr(settings.loss, term) for term in _TERMS)
    named = _WEIGHTS if own in _WEIGHTS.values() else {**_WEIGHTS, "the preset's": own}
    for name, weights in named.items():
        changes = {f"loss.{t}": w for t, w in zip(_TERMS, weights, strict=True)}
        found.append(Variant(name, changes))
    for weight in (0.0, 0.5, 2.0):
        changes = {**found[0].changes, "loss.hard_keypoint_weight": weight}
        found.append(Variant(f"hidden keypoints x {weight:g}", changes))
    return found


EXPERIMENT = Experiment(
    name="losses",
    title="Weights of the losses",
    question="How should heatmap, person, short, mid and long be weighed, and what "
    "are hidden keypoints worth?",
    expected="PersonLab weighs them 4 : 2 : 1 : 1/4 : 1/8 (arXiv 1803.08225); the "
    "released PosePlusSeg code 4 : 2 : 1 : 4 : 8. Here each term is a mean over what "
    "counts, so that weights mean what they say.",
    baseline=_BASELINE,
    variants=variants,
)

if __name__ == "__main__":
    runner.main(EXPERIMENT)
