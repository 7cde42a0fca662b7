"""How deep, how fine, and with which neck?

    python -m experiments.backbone --output=runs/backbone [--preset=tiny]
        [--seeds=3] [--config.data.root=coco]

Depth (or width, of the preset tiny), output stride and neck. All networks begin at
random, because each depth has pretrained weights of its own: what those would change is
another question.
"""

from typing import Any

from experiments import runner
from experiments.grid import Experiment, Variant, one_at_a_time
from poseseg_jax.config import Settings

_BASELINE = "as configured"


def variants(settings: Settings) -> list[Variant]:
    """The config's own network, and one change at a time."""
    is_tiny = settings.model.backbone == "tiny"
    changes: dict[str, dict[str, Any]] = (
        {
            "half as wide": {"width": 0.5},
            "one and a half as wide": {"width": 1.5},
            "ResNet-18": {"backbone": "resnet18"},
        }
        if is_tiny
        else {
            "ResNet-50": {"backbone": "resnet50"},
            "ResNet-152": {"backbone": "resnet152"},
        }
    )
    for stride in (32, 16, 8):
        if stride != settings.model.output_stride:
            changes[f"output stride {stride}"] = {"output_stride": stride}
    changes["heads upsampled, no FPN"] = {"neck": "upsample"}
    return [Variant(_BASELINE), *one_at_a_time("model", changes)]


EXPERIMENT = Experiment(
    name="backbone",
    title="Backbone and neck",
    question="What do depth or width, output stride and neck give, at equal steps?",
    expected="PersonLab (arXiv 1803.08225) reports its ResNet-152 ahead of its "
    "ResNet-101; PosePlusSeg's released code upsamples the heads of a ResNet-152.",
    baseline=_BASELINE,
    variants=variants,
    fixed=("model.pretrained",),
)

if __name__ == "__main__":
    runner.main(EXPERIMENT)
