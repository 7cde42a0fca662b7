"""Does removing pictures of a single person help in crowds, and what does it cost?

    python -m experiments.bias_ablation --output=runs/bias_ablation [--preset=tiny]
        [--seeds=3] [--config.data.root=coco]

30, 40 ... 80 % of the single-person pictures are removed, at equal steps, beside two
controls: as many pictures removed at random from all, and none removed but
single-person pictures drawn as much less often. Every seed removes others, which takes
a prepared copy of the data for each.
"""

from experiments import runner
from experiments.grid import ALL_PICTURES, CROWDS, SINGLES, Experiment, Variant
from poseseg_jax.config import Settings
from poseseg_jax.data.bias import REDUCTIONS

_BASELINE = "none removed"
# How, as data.reduction_by calls it, and as the report does.
_WAYS = {"random": "random", "reweight": "reweight", "removal": "bias"}


def _controls(reduction: int) -> tuple[str, ...]:
    return f"random{reduction}", f"reweight{reduction}"


def variants(settings: Settings) -> list[Variant]:
    """Nothing removed, and every reduction in every way."""
    del settings
    found = [Variant(_BASELINE, at=0, series=tuple(_WAYS))]
    for by, name in _WAYS.items():
        for reduction in filter(None, REDUCTIONS):
            changes = {"data.reduction": reduction, "data.reduction_by": by}
            is_removal = by == "removal"
            variant = Variant(
                f"{name}{reduction}",
                changes,
                controls=_controls(reduction) if is_removal else (),
                series=(by,),
                at=reduction,
            )
            found.append(variant)
    return found


EXPERIMENT = Experiment(
    name="bias_ablation",
    title="Bias reduction: pictures of a single person removed",
    question="Does removing single-person pictures from training help in crowds, and "
    "what does it cost elsewhere?",
    expected="MultiPoseSeg trains on six iterations in which 30, 40 ... 80 % of COCO's "
    "single-person pictures are removed, and reports AP as a whole; neither equal "
    "steps, nor random subsets, nor AP by head count were published.",
    baseline=_BASELINE,
    variants=variants,
    by_seed=("train.seed", "data.order_seed"),
    about={**CROWDS, **SINGLES, **ALL_PICTURES},
    along="reduction, %",
    trend="from 0 to 80 % removed",
)

if __name__ == "__main__":
    runner.main(EXPERIMENT)
