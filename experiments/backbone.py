"""How deep, how fine, and with which neck?

    python -m experiments.backbone --output=runs/backbone [--preset=tiny]
        [--seeds=3] [--config.data.root=coco]

Depth (or width, of the preset tiny), output stride and neck. --config.model.pretrained
cannot be given here, as each depth has weights of its own: all begin at random.
"""

from typing import Any

from ml_collections import ConfigDict

from experiments import runner
from experiments.grid import Experiment, Variant

_BASELINE = "as configured"


def variants(config: ConfigDict) -> list[Variant]:
    """The config's own network, and one change at a time."""
    is_tiny = config.model.backbone == "tiny"
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
        if stride != config.model.output_stride:
            changes[f"output stride {stride}"] = {"output_stride": stride}
    changes["heads upsampled, no FPN"] = {"neck": "upsample"}
    found = [Variant(_BASELINE)]
    for name, fields in changes.items():
        own = {f"model.{field}": value for field, value in fields.items()}
        found.append(Variant(name, own))
    return found


EXPERIMENT = Experiment(
    name="backbone",
    title="Backbone and neck",
    question="What do depth or width, output stride and neck give, at equal steps?",
    expected="PersonLab's ResNet-152 is 1.0 keypoints AP ahead of its ResNet-101 on "
    "COCO (arXiv 1803.08225); both seeds use a ResNet-152 whose heads are upsampled.",
    baseline=_BASELINE,
    variants=variants,
    tiny={"train.num_steps": 600, "checkpoint.every_steps": 600},
)

if __name__ == "__main__":
    runner.main(EXPERIMENT)
