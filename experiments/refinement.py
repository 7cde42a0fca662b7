"""Which refinement of offsets, maps and poses is worth its time?

    python -m experiments.refinement --output=runs/refinement [--preset=tiny]
        [--seeds=3] [--config.data.root=coco]

Recurrent offset refinement, learned stages, the body map; and of the decoder: steps by
short offsets, snapping to peaks, soft-NMS. Those of the decoder are tried on the
baseline's networks.
"""

from typing import Any

from ml_collections import ConfigDict

from experiments import runner
from experiments.grid import Experiment, Variant

_BASELINE = "not refined"


def variants(config: ConfigDict) -> list[Variant]:
    """No refinement in the network, and one refinement at a time."""
    plain = {"model.refine_steps": 0, "model.refine_stages": 0}
    trained: dict[str, dict[str, Any]] = {
        "recurrent, 1 step": {"model.refine_steps": 1},
        "recurrent, 2 steps": {"model.refine_steps": 2},
        "1 stage, keypoint maps": {
            "model.refine_stages": 1,
            "model.refine_maps": "keypoint",
        },
        "1 stage, mask maps": {"model.refine_stages": 1, "model.refine_maps": "mask"},
        "1 stage, both": {"model.refine_stages": 1},
        "2 stages, both": {"model.refine_stages": 2},
        "no body map": {"model.body_map": False},
    }
    # Of one width with the discs, as the seed's 32 px are.
    snap = config.representation.radius
    decoded: dict[str, dict[str, Any]] = {
        "body map in the score": {"decode.body_weight": 0.5},
        "steps not refined": {"decode.refine_steps": 0},
        "snapped to peaks": {"decode.snap_radius": snap},
        "no soft-NMS": {"decode.soft_nms": False},
    }
    return [
        Variant(_BASELINE, plain),
        *(Variant(name, {**plain, **own}) for name, own in trained.items()),
        *(Variant(name, own, of=_BASELINE) for name, own in decoded.items()),
    ]


EXPERIMENT = Experiment(
    name="refinement",
    title="Refinement: of offsets, of maps, of poses",
    question="Which refinement is worth its time?",
    expected="PersonLab refines offsets twice and does not snap; PosePlusSeg snaps to "
    "peaks within 32 px, draws a body heat map that nothing uses, and shows refine "
    "networks that have no weights in its code.",
    baseline=_BASELINE,
    variants=variants,
    tiny={"train.num_steps": 600, "checkpoint.every_steps": 600},
)

if __name__ == "__main__":
    runner.main(EXPERIMENT)
