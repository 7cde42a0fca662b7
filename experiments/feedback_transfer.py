"""Does it help to train on one reduced data set after the other?

    python -m experiments.feedback_transfer --output=runs/feedback_transfer
        [--preset=tiny] [--seeds=3] [--config.data.root=coco]

MultiPoseSeg's chain: a network is trained with 30 % of the single-person pictures
removed; the next, with 40 % removed, begins with what it has learned, and so on to
80 %. Each of the six stages has a sixth of the steps of one long run, a schedule of its
own, and pictures in an order of its own. The stages of "nothing" begin anew, so that
its last one has learned for a sixth of the steps alone.

What the reduced data sets have to do with it is told by a control: the same chain with
80 % removed in all of its stages. Beside it a chain differs in its data only; beside
one long run it differs in restarts of the schedule and of the optimizer, too.
"""

from typing import Any

from ml_collections import ConfigDict

from experiments import runner
from experiments.grid import Experiment, Variant
from poseseg_jax.data.bias import REDUCTIONS

_STAGES = tuple(filter(None, REDUCTIONS))
_FIRST, _LAST = _STAGES[0], _STAGES[-1]
_BASELINE = f"one long run, {_LAST} % removed"
_CONTROL = f"all, {_LAST} % in all stages"
# What a stage takes from the one before.
_WAYS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "backbone": {"init.what": "backbone"},
    "all": {"init.what": "all"},
    "all and maps": {"init.what": "all", "init.distill_weight": 1.0},
}


def variants(config: ConfigDict) -> list[Variant]:
    """Two long runs, and chains of six stages, most of which share the first.

    Raises:
      ValueError: if the steps do not divide into six stages.
    """
    steps, left_over = divmod(config.train.num_steps, len(_STAGES))
    if left_over or not steps:
        raise ValueError(
            f"train.num_steps {config.train.num_steps} does not divide into "
            f"{len(_STAGES)} stages; take a multiple of {len(_STAGES)}."
        )
    shared = {
        "train.num_steps": steps,
        "checkpoint.every_steps": steps,
        "optim.warmup_steps": min(config.optim.warmup_steps, steps // 10),
    }
    first = f"stage {_FIRST}"
    return [
        Variant(_BASELINE, {"data.reduction": _LAST}),
        Variant("one long run, none removed", {"data.reduction": 0}),
        *_controls(shared),
        Variant(first, {"data.reduction": _FIRST, **shared}, at=_FIRST, is_step=True),
        *(
            variant
            for way, changes in _WAYS.items()
            for variant in _chain(way, first, {**shared, **changes})
        ),
    ]


def _controls(shared: dict[str, Any]) -> list[Variant]:
    """The same stages, and the last one's data in all of them."""
    found: list[Variant] = []
    for stage, reduction in enumerate(_STAGES):
        is_last = reduction == _LAST
        variant = Variant(
            _CONTROL if is_last else f"{_CONTROL}, {stage + 1}",
            {"data.reduction": _LAST, **shared, "init.what": "all"}
            if found
            else {"data.reduction": _LAST, **shared},
            after=found[-1].name if found else "",
            series=_CONTROL,
            at=reduction,
            stage=stage,
            is_step=not is_last,
        )
        found.append(variant)
    return found


def _chain(way: str, first: str, changes: dict[str, Any]) -> list[Variant]:
    """All stages but the first, each after the one before."""
    found: list[Variant] = []
    begins_anew = not _WAYS[way]
    for stage, reduction in enumerate(_STAGES[1:], start=1):
        is_last = reduction == _LAST
        before = found[-1].name if found else first
        variant = Variant(
            f"{way}, stage {reduction}",
            {"data.reduction": reduction, **changes},
            after="" if begins_anew else before,
            controls=(_CONTROL,) if is_last and not begins_anew else (),
            series=way,
            at=reduction,
            stage=stage,
            is_step=not is_last,
        )
        found.append(variant)
    return found


EXPERIMENT = Experiment(
    name="feedback_transfer",
    title="Feedback transfer: each reduced data set begins where the last one ended",
    question="What do the stages of MultiPoseSeg's chain take from their ancestors, "
    "and is it worth more than one long run of as many steps?",
    expected="MultiPoseSeg feeds each iteration with the knowledge of ancestor models; "
    "in the released code that is the previous checkpoint with its heads dropped "
    "(here: backbone).",
    baseline=_BASELINE,
    variants=variants,
    tiny_steps=1_200,  # 200 for each of the six stages
    by_seed=("train.seed", "data.order_seed"),
    along="stage: single-person pictures removed in it, %",
)

if __name__ == "__main__":
    runner.main(EXPERIMENT)
