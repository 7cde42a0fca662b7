"""The charts of a report."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.grid import Experiment
from experiments.scores import TIME, Row
from poseseg_jax.charts import ablation, differences, lines, tradeoff
from poseseg_jax.charts.point import Point
from poseseg_jax.coco.bootstrap import Interval
from poseseg_jax.coco.crowding import OVERLAP_BUCKETS, PEOPLE_BUCKETS
from poseseg_jax.coco.scoring import TASKS

# Of a file, without .png -> what it shows, for who cannot see it.
Names = Mapping[str, str]

_INTERVAL = "95 % interval"
_PARTS = {"all pictures": "{}/AP"} | {
    f"{count} {'person' if count == '1' else 'people'}": f"crowd/people_{count}/{{}}/AP"
    for count in (name.split("_")[1] for name in PEOPLE_BUCKETS)
}


def write(
    experiment: Experiment, rows: Sequence[Row], output: Path, *, has_times: bool
) -> Names:
    """Draws what there is to draw; a chart of nothing is not there.

    Args:
      experiment: says which charts are wanted.
      rows: of all variants.
      output: the folder.
      has_times: whether times of different runs can be compared.

    Returns:
      The files, without .png, and what they show.
    """
    shown = [row for row in rows if not row.variant.is_step]
    made: dict[str, tuple[str, bytes]] = {}
    by_name = {row.variant.name: row for row in shown}
    if by_name[experiment.baseline].by_seed:
        drawn = [_row(row) for row in shown]
        baseline = experiment.baseline
        made["scores"] = (
            f"AP of every variant, and its difference to {baseline}",
            ablation.forest(drawn, baseline=baseline, interval=_INTERVAL),
        )
        buckets = {"people": PEOPLE_BUCKETS, "largest overlap": OVERLAP_BUCKETS}
        if any(row.to_baseline for row in shown):
            made["crowding"] = (
                f"Differences to {baseline} by number of people and overlap",
                differences.by_crowding(
                    drawn, baseline=baseline, buckets=buckets, interval=_INTERVAL
                ),
            )
    if experiment.along and any(row.by_seed for row in rows):
        what = f"AP along {experiment.along}"
        made["along"] = what, _along(experiment, rows)
    if experiment.against_time and has_times:
        made["time"] = "AP against time per picture", _against_time(shown)
    for name in ("scores", "crowding", "along", "time"):
        (output / f"{name}.png").unlink(missing_ok=True)
        if name in made:
            (output / f"{name}.png").write_bytes(made[name][1])
    return {name: words for name, (words, _) in made.items()}


def _row(row: Row) -> ablation.Row:
    keys = [f"{task}/AP" for task in TASKS]
    return ablation.Row(
        name=row.variant.name,
        scores={key: row.values(key) for key in keys},
        differences={key: _point(one) for key, one in row.to_baseline.items()},
        note="no score" if row.by_seed else "not finished",
    )


def _point(one: Interval | None) -> Point | None:
    return one and Point(one.value, one.low, one.high)


def _along(experiment: Experiment, rows: Sequence[Row]) -> bytes:
    """A panel for each task and head count; a line for each series of variants.

    What has no place along it is what the series end beside: a level.
    """
    names = list(dict.fromkeys(one for row in rows for one in row.variant.series))
    across = [r for r in rows if r.variant.at is None and not r.variant.is_step]
    panels = [
        lines.Panel(
            f"{task}, {part}",
            [
                lines.Series(
                    name,
                    {
                        row.variant.at: row.spread(key.format(task))
                        for row in rows
                        if name in row.variant.series and row.variant.at is not None
                    },
                )
                for name in names
            ],
            {row.variant.name: row.spread(key.format(task)) for row in across},
        )
        for task in TASKS
        for part, key in _PARTS.items()
    ]
    return lines.lines(
        panels,
        title=experiment.title,
        x_label=experiment.along,
        interval="standard deviation over seeds",
    )


def _against_time(rows: Sequence[Row]) -> bytes:
    variants = [
        tradeoff.Variant(
            row.variant.name,
            float(np.mean(row.values(TIME))),
            {task: row.spread(f"{task}/AP") for task in TASKS},
        )
        for row in rows
        if row.values(TIME)
    ]
    return tradeoff.scatter(variants, interval="standard deviation over seeds")
