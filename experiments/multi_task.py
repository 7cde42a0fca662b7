"""What do poses and masks give each other in one network, and what do they cost?

    python -m experiments.multi_task --output=runs/multi_task [--preset=tiny]
        [--seeds=3] [--config.data.root=coco]

The same network learns from keypoints and masks, from keypoints alone, and from masks
alone; what it does not learn from is withheld from training. Without keypoints, a pixel
is given to a person by the center alone instead of by 18 anchors, so that what masks
lose there is of what tasks share and of the decoder, both.
"""

from experiments import runner
from experiments.grid import Experiment, Variant
from poseseg_jax.config import Settings

_BASELINE = "both"


def variants(settings: Settings) -> list[Variant]:
    """Both tasks, and each alone."""
    del settings
    return [
        Variant(_BASELINE),
        Variant("pose only", {"data.labels": "keypoints"}, tasks=("keypoints",)),
        Variant("masks only", {"data.labels": "masks"}, tasks=("segm",)),
    ]


EXPERIMENT = Experiment(
    name="multi_task",
    title="One network for both tasks",
    question="What do poses and masks give each other in one network, and what do "
    "they cost each other?",
    expected="In Mask R-CNN (arXiv 1703.06870, table 5; ResNet-50-FPN, minival), "
    "learning keypoints too costs masks of persons 0.7 AP, and learning masks too "
    "gives keypoints 0.5.",
    baseline=_BASELINE,
    variants=variants,
)

if __name__ == "__main__":
    runner.main(EXPERIMENT)
