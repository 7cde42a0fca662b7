"""Which refinement of offsets, maps and poses is worth its time?

    python -m experiments.refinement --output=runs/refinement [--preset=tiny]
        [--seeds=3] [--config.data.root=coco]

In the network: recurrent offset refinement, learned stages, the body map. In the
decoder, tried on the networks that have none of these: steps by short offsets (which
the baseline's decoder takes), snapping to peaks, soft-NMS, the body map in the score.
"""

from typing import Any

from experiments import runner
from experiments.grid import Experiment, Variant, one_at_a_time
from poseseg_jax.config import Settings

_BASELINE = "none in the network"
_NETWORK = "network"


def variants(settings: Settings) -> list[Variant]:
    """No refinement in the network, and one refinement at a time."""
    plain = {"model.refine_steps": 0, "model.refine_stages": 0}
    stages = {"model.refine_stages": 1, "model.refine_maps": "both"}
    trained: dict[str, dict[str, Any]] = {
        "recurrent, 1 step": {"model.refine_steps": 1},
        "recurrent, 2 steps": {"model.refine_steps": 2},
        "1 stage, keypoint maps": {**stages, "model.refine_maps": "keypoint"},
        "1 stage, mask maps": {**stages, "model.refine_maps": "mask"},
        "1 stage, both": stages,
        "2 stages, both": {**stages, "model.refine_stages": 2},
        "no body map": {"model.body_map": False},
    }
    decoded: dict[str, dict[str, Any]] = {
        _BASELINE: {},
        "body map in the score": {"body_weight": 0.5},
        "steps not refined": {"refine_steps": 0},
        # As far as discs reach, which is what PosePlusSeg's 32 px are.
        "snapped to peaks": {"snap_radius": settings.representation.radius},
        "no soft-NMS": {"soft_nms": False},
    }
    networks = {_NETWORK: {}, **trained}
    return [
        *(
            Variant(_trained(name), {**plain, **own}, is_step=True)
            for name, own in networks.items()
        ),
        *one_at_a_time("decode", decoded, of=_NETWORK),
        # Evaluated by the same command, so that times can be compared.
        *(Variant(name, of=_trained(name)) for name in trained),
    ]


def _trained(name: str) -> str:
    return name if name == _NETWORK else f"{name}, trained"


EXPERIMENT = Experiment(
    name="refinement",
    title="Refinement: of offsets, of maps, of poses",
    question="Which refinement is worth its time?",
    expected="PersonLab refines offsets twice and does not snap; PosePlusSeg snaps to "
    "peaks within 32 px, draws a body heat map that nothing uses, and shows refine "
    "networks that have no weights in its code.",
    baseline=_BASELINE,
    variants=variants,
    against_time=True,
)

if __name__ == "__main__":
    runner.main(EXPERIMENT)
