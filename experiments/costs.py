"""What a grid takes: steps, operations, and time where that can be known."""

import json
from collections.abc import Sequence

from experiments import launch
from experiments.grid import Run
from poseseg_jax import config as config_lib
from poseseg_jax import markdown, speed
from poseseg_jax.workdir import METRICS_FILE

# What a run of a well-fed GPU reaches of its peak; said beside the hours.
_SHARE = 0.4
_GPU = "NVIDIA H100 80GB HBM3"


def table(runs: Sequence[Run]) -> str:
    """The runs of a grid, how far each is, and what the rest costs, as Markdown.

    Counting the operations of a step traces every network of the grid once: seconds
    for each.
    """
    states = {run.workdir: launch.state(run) for run in runs}
    rows = [
        [run.variant.name, str(run.seed), _needs(run), states[run.workdir]]
        for run in runs
    ]
    head = ["variant", "seed", "steps", "state"]
    left = [run for run in runs if states[run.workdir] != "finished"]
    done = [run for run in runs if states[run.workdir] == "finished"]
    said = (_left(left), _hours(left, done), _copies(left))
    words = "\n".join(sentence for sentence in said if sentence)
    return f"{markdown.table(head, rows)}\n{words}\n"


def _copies(left: Sequence[Run]) -> str:
    count = len({run.config["data"]["order_seed"] for run in left})
    if count < 2:
        return ""
    return (
        f"Each seed removes other pictures, so that {count} prepared copies of the "
        "data are made."
    )


def _needs(run: Run) -> str:
    return f"{run.steps:,}" if run.steps else f"evaluates {run.variant.of}"


def _left(left: Sequence[Run]) -> str:
    if not left:
        return "Nothing is left to run."
    steps = sum(run.steps for run in left)
    pictures = sum(run.steps * run.config["train"]["batch_size"] for run in left)
    flops = _flops(left)
    words = f"{len(left)} runs are left: {steps:,} steps, {pictures:,} pictures"
    if flops is None:
        return words + "."
    took = _duration(flops / (speed.PEAKS[_GPU] * _SHARE))
    return (
        f"{words}, {flops:.2g} operations ({took} of one {_GPU} at "
        f"{100 * _SHARE:.0f} % of its peak), and what evaluations and ancestors' maps "
        "take."
    )


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else "less than a second"


def _flops(left: Sequence[Run]) -> float | None:
    """Of all steps; None where XLA does not count."""
    of_step: dict[str, float | None] = {}
    total = 0.0
    for run in left:
        if not run.steps:
            continue
        settings = config_lib.parse(run.config)
        shaped = (settings.model, settings.representation, settings.loss)
        key = repr((*shaped, settings.train.batch_size, settings.train.image_size))
        if key not in of_step:
            of_step[key] = speed.step_flops(settings)
        flops = of_step[key]
        if flops is None:
            return None
        total += flops * run.steps
    return total


def _hours(left: Sequence[Run], done: Sequence[Run]) -> str:
    """By the clock of finished runs: of those that shared processors with fewest."""
    trained = [run for run in done if run.steps]
    if not left:
        return ""
    if not trained:
        return "How long that takes here is known once a run is finished."
    at_a_time = min(_sharing(run) for run in trained)
    timed = [run for run in trained if _sharing(run) == at_a_time]
    step = sum(_seconds(run) for run in timed) / sum(run.steps for run in timed)
    rest = sum(run.steps for run in left) * step / at_a_time
    finished = f"{len(timed)} finished run{'s' if len(timed) > 1 else ''}"
    runs = "one run" if at_a_time == 1 else f"{at_a_time} runs"
    return (
        f"A step took {step:.3f} s in {finished}, {runs} at a time, compilation "
        f"included: {_duration(rest)} for the rest in that way, and their evaluations."
    )


def _sharing(run: Run) -> int:
    """How many runs, this one among them, shared the processors."""
    return max((start["sharing"] for start in launch.starts(run)), default=1)


def _seconds(run: Run) -> float:
    return json.loads((run.workdir / METRICS_FILE).read_text())["train/seconds"]
