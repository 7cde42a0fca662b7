"""Does it help to train on one reduced data set after the other?

    python -m experiments.feedback_transfer --output=runs/feedback_transfer
        [--preset=tiny] [--seeds=3] [--config.data.root=coco]

MultiPoseSeg's chain: a network is trained with 30 % of the single-person pictures
removed; the next, with 40 % removed, begins with what it has learned, and so on to
80 %. Each of the six stages has a sixth of the steps of one long run, a schedule of its
own, and pictures in an order of its own. The stages of "nothing" begin anew, so that
its last one has learned for a sixth of the steps alone.

What the reduced data sets have to do with it is told by controls: the chains that take
the backbone, as MultiPoseSeg's, or all, once more with 80 % removed in all stages.
From its control a chain differs in its data only; from one long run it differs in
restarts of the schedule and of the optimizer, too. What the maps of an ancestor add is
told by the same chain without them; the first of them has learned for a sixth of the
steps, and its maps weigh as much as the labels.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from experiments import runner
from experiments.grid import Experiment, Variant
from poseseg_jax.config import Settings
from poseseg_jax.data.bias import REDUCTIONS

_STAGES = tuple(filter(None, REDUCTIONS))
_FIRST, _LAST = _STAGES[0], _STAGES[-1]
_BASELINE = f"one long run, {_LAST} % removed"
_FIRST_OF_CONTROLS = f"{_LAST} % in all stages, stage 1"
# What a stage takes from the one before.
_WAYS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "backbone": {"init.what": "backbone"},
    "all": {"init.what": "all"},
    "all and maps": {"init.what": "all", "init.distill_weight": 1.0},
}
_CONTROLLED = ("backbone", "all")


def variants(settings: Settings) -> list[Variant]:
    """Two long runs, and chains of six stages, most of which share the first.

    Raises:
      ValueError: if the steps do not divide into six stages.
    """
    steps, left_over = divmod(settings.train.num_steps, len(_STAGES))
    if left_over or not steps:
        raise ValueError(
            f"train.num_steps {settings.train.num_steps} does not divide into "
            f"{len(_STAGES)} stages; take a multiple of {len(_STAGES)}."
        )
    shared = {
        "train.num_steps": steps,
        "checkpoint.every_steps": steps,
        "optim.warmup_steps": min(settings.optim.warmup_steps, steps // 10),
    }
    first = f"stage {_FIRST}"
    controls = map(_control_of, _CONTROLLED)
    return [
        Variant(_BASELINE, {"data.reduction": _LAST}),
        Variant("one long run, none removed", {"data.reduction": 0}),
        _first_stage(_FIRST_OF_CONTROLS, _LAST, shared, series=controls),
        _first_stage(first, _FIRST, shared, series=_WAYS),
        *(variant for way in _CONTROLLED for variant in _control(way, shared)),
        *(variant for way in _WAYS for variant in _chain(way, first, shared)),
    ]


def _first_stage(
    name: str, reduction: int, shared: dict[str, Any], *, series: Iterable[str]
) -> Variant:
    """Which several chains share."""
    changes = {"data.reduction": reduction, **shared}
    return Variant(name, changes, series=tuple(series), at=1, is_step=True)


def _control_of(way: str) -> str:
    return f"{way}, {_LAST} % in all stages"


def _control(way: str, shared: dict[str, Any]) -> list[Variant]:
    name = _control_of(way)
    names = [f"{name}, stage {stage}" for stage in range(2, len(_STAGES))]
    reductions = [_LAST] * len(_STAGES)
    names = [_FIRST_OF_CONTROLS, *names, name]
    return _later_stages(way, shared, names, reductions, series=name)


def _chain(way: str, first: str, shared: dict[str, Any]) -> list[Variant]:
    names = [first, *(f"{way}, stage {reduction}" for reduction in _STAGES[1:])]
    controls = (_control_of(way),) if way in _CONTROLLED else ()
    controls = (f"all, stage {_LAST}",) if way == "all and maps" else controls
    return _later_stages(way, shared, names, _STAGES, series=way, controls=controls)


def _later_stages(
    way: str,
    shared: dict[str, Any],
    names: Sequence[str],
    reductions: Sequence[int],
    *,
    series: str,
    controls: tuple[str, ...] = (),
) -> list[Variant]:
    """All stages but the first, which chains share, each after the one before."""
    return [
        Variant(
            name,
            {"data.reduction": reductions[stage], **shared, **_WAYS[way]},
            after=names[stage - 1] if _WAYS[way] else "",
            controls=() if name != names[-1] else controls,
            series=(series,),
            at=stage + 1,
            stage=stage,
            is_step=name != names[-1],
        )
        for stage, name in enumerate(names[1:], start=1)
    ]


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
    along="stage",
)

if __name__ == "__main__":
    runner.main(EXPERIMENT)
