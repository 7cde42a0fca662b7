"""What is it worth to look twice?

    python -m experiments.test_time --output=runs/test_time [--preset=tiny]
        [--seeds=3] [--config.data.root=coco]

One network, evaluated with mirrored pictures, at several scales, and with smaller and
larger inputs: AP against time per picture.
"""

from typing import Any

from experiments import runner
from experiments.grid import Experiment, Variant, one_at_a_time
from poseseg_jax.config import Settings

_BASELINE = "one view"
_NETWORK = "network"


def variants(settings: Settings) -> list[Variant]:
    """The network with one view, and with more or others."""
    zoom = settings.eval.zoom
    changes: dict[str, dict[str, Any]] = {
        "flip": {"flip": True},
        "2 scales": {"scales": (1.0, 1.25)},
        "3 scales": {"scales": (0.75, 1.0, 1.25)},
        "3 scales, flip": {"scales": (0.75, 1.0, 1.25), "flip": True},
        "input x 0.75": {"zoom": 0.75 * zoom},
        "input x 1.25": {"zoom": 1.25 * zoom},
        "input x 1.5": {"zoom": 1.5 * zoom},
    }
    one = {_BASELINE: {"scales": (1.0,), "flip": False}}
    # Trained once; all that is compared was measured by the same command.
    return [
        Variant(_NETWORK, is_step=True),
        *one_at_a_time("eval", one | changes, of=_NETWORK),
    ]


EXPERIMENT = Experiment(
    name="test_time",
    title="Test time: mirrored, resized, larger",
    question="What do flip, scales and input size give, and what does a picture take?",
    expected="PersonLab's ResNet-152 has 66.5 keypoints AP on test-dev with one scale "
    "and 68.7 with several (arXiv 1803.08225).",
    baseline=_BASELINE,
    variants=variants,
    against_time=True,
)

if __name__ == "__main__":
    runner.main(EXPERIMENT)
