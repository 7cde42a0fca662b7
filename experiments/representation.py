"""What does each choice of the maps cost, in training and with a perfect network?

    python -m experiments.representation --output=runs/representation [--preset=tiny]
        [--seeds=3] [--config.data.root=coco]

Edges of the skeleton, radius of the discs, strides of the maps, soft or hard masks.
Beside what training reaches stands the ceiling: what ground truth scores that goes
through the same targets and the same decoder. Strides and radii of the preset tiny,
whose discs have a radius of six pixels, say nothing of larger pictures.
"""

from typing import Any

from experiments import runner
from experiments.grid import Experiment, Variant, one_at_a_time
from poseseg_jax.config import Settings

_BASELINE = "center"


def variants(settings: Settings) -> list[Variant]:
    """The config's own representation, and one change at a time."""
    usual = settings.representation
    changes: dict[str, dict[str, Any]] = {
        "tree": {"skeleton": "tree"},
        "both": {"skeleton": "both"},
        "radius x 0.5": {"radius": 0.5 * usual.radius},
        "radius x 1.5": {"radius": 1.5 * usual.radius},
        "maps at stride 8": {"map_stride": 8},
        "person map at stride 1": {"person_stride": 1},
        "person map at stride 4": {"person_stride": 4},
        "hard masks": {"masks": "hard"},
    }
    return [
        Variant(_BASELINE, {"representation.skeleton": "center"}),
        *one_at_a_time("representation", changes),
    ]


EXPERIMENT = Experiment(
    name="representation",
    title="The representation: what maps say of people",
    question="What do the edges, the radius, the strides and soft masks cost or give, "
    "beside the ceiling that each of them sets?",
    expected="PersonLab (arXiv 1803.08225) and PosePlusSeg walk a tree of joints, "
    "with discs of 32 px radius; the center as an anchor is ours. "
    "docs/representation.md has the ceilings on COCO.",
    baseline=_BASELINE,
    variants=variants,
    has_ceiling=True,
)

if __name__ == "__main__":
    runner.main(EXPERIMENT)
