"""Does it help to train on one reduced data set after the other?

    python -m experiments.feedback_transfer --output=runs/feedback_transfer
        [--preset=tiny] [--seeds=3] [--config.data.root=coco]

MultiPoseSeg's chain: a network is trained with 30 % of the single-person pictures
removed; the next, with 40 % removed, begins with what it has learned, and so on to
80 %. Each of the six stages has a sixth of the steps of one long run.
"""

from typing import Any

from ml_collections import ConfigDict

from experiments import runner
from experiments.grid import Experiment, Variant
from poseseg_jax.data.bias import REDUCTIONS

_STAGES = tuple(filter(None, REDUCTIONS))
_FIRST, _LAST = _STAGES[0], _STAGES[-1]
_BASELINE = f"one long run, {_LAST} % removed"
# What a stage takes from the one before.
_WAYS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "backbone": {"init.what": "backbone"},
    "all": {"init.what": "all"},
    "all and maps": {"init.what": "all", "init.distill_weight": 1.0},
}


def variants(config: ConfigDict) -> list[Variant]:
    """Two long runs, and four chains of six stages, of which they share the first.

    Raises:
      ValueError: if the steps do not divide into six stages.
    """
    steps, left_over = divmod(config.train.num_steps, len(_STAGES))
    if left_over or not steps:
        raise ValueError(
            f"train.num_steps {config.train.num_steps} does not divide into "
            f"{len(_STAGES)} stages; take a multiple of {len(_STAGES)}."
        )
    found = [
        Variant(_BASELINE, {"data.reduction": _LAST}),
        Variant("one long run, none removed", {"data.reduction": 0}),
    ]
    shared = {
        "train.num_steps": steps,
        "checkpoint.every_steps": steps,
        "optim.warmup_steps": min(config.optim.warmup_steps, steps // 10),
    }
    first = f"stage {_FIRST}"
    found.append(
        Variant(first, {"data.reduction": _FIRST, **shared}, at=_FIRST, is_step=True)
    )
    for way, changes in _WAYS.items():
        before = first
        for reduction in _STAGES[1:]:
            is_last = reduction == _LAST
            variant = Variant(
                f"{way}, stage {reduction}",
                {"data.reduction": reduction, **shared, **changes},
                after=before if changes else "",
                control=f"nothing, stage {_LAST}" if is_last and changes else "",
                series=way,
                at=reduction,
                is_step=not is_last,
            )
            found.append(variant)
            before = variant.name
    return found


EXPERIMENT = Experiment(
    name="feedback_transfer",
    title="Feedback transfer: each reduced data set begins where the last one ended",
    question="What do the stages of MultiPoseSeg's chain take from their ancestors, "
    "and is it worth more than one long run of as many steps?",
    expected="MultiPoseSeg feeds each iteration with the knowledge of ancestor models; "
    "in the released code that is the previous checkpoint with its heads dropped "
    "(here: backbone). No run without it was published.",
    baseline=_BASELINE,
    variants=variants,
    tiny={"train.num_steps": 1_200, "checkpoint.every_steps": 1_200},
    by_seed=("train.seed", "data.order_seed"),
    along="single-person pictures removed in the stage, %",
)

if __name__ == "__main__":
    runner.main(EXPERIMENT)
