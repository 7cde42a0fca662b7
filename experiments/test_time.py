"""What is it worth to look twice?

    python -m experiments.test_time --output=runs/test_time [--preset=tiny]
        [--seeds=3] [--config.data.root=coco]

One network, evaluated with mirrored pictures, at several scales, and with smaller and
larger inputs: AP against time per picture.
"""

from typing import Any

from ml_collections import ConfigDict

from experiments import runner
from experiments.grid import Experiment, Variant

_BASELINE = "one view"


def variants(config: ConfigDict) -> list[Variant]:
    """The network with one view, and with more or others."""
    zoom = config.eval.zoom
    changes: dict[str, dict[str, Any]] = {
        "flip": {"flip": True},
        "2 scales": {"scales": (1.0, 1.25)},
        "3 scales": {"scales": (0.75, 1.0, 1.25)},
        "3 scales, flip": {"scales": (0.75, 1.0, 1.25), "flip": True},
        "input x 0.75": {"zoom": 0.75 * zoom},
        "input x 1.25": {"zoom": 1.25 * zoom},
        "input x 1.5": {"zoom": 1.5 * zoom},
    }
    found = [Variant(_BASELINE, {"eval.scales": (1.0,), "eval.flip": False})]
    for name, fields in changes.items():
        own = {f"eval.{field}": value for field, value in fields.items()}
        found.append(Variant(name, own, of=_BASELINE))
    return found


EXPERIMENT = Experiment(
    name="test_time",
    title="Test time: mirrored, resized, larger",
    question="What do flip, scales and input size give, and what does a picture take?",
    expected="PersonLab's ResNet-152 gains 2.2 keypoints AP on test-dev by several "
    "scales: 66.5 to 68.7 (arXiv 1803.08225).",
    baseline=_BASELINE,
    variants=variants,
    tiny={"train.num_steps": 600, "checkpoint.every_steps": 600},
    against_time=True,
)

if __name__ == "__main__":
    runner.main(EXPERIMENT)
