"""The report of an experiment: made of what ran, and of nothing else."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments import ceiling, launch, outcome, pictures, ran, scores
from experiments.grid import Experiment, Run
from experiments.scores import Row
from experiments.trends import Trends, trends
from poseseg_jax import markdown
from poseseg_jax.coco.crowding import OVERLAP_BUCKETS, PEOPLE_BUCKETS
from poseseg_jax.coco.scoring import TASKS
from poseseg_jax.disk import write_whole

_log = logging.getLogger(__name__)

SUMMARY_FILE = "summary.json"
_RESAMPLES = 1000
_TELLING = 0.05  # AP of the baseline from which differences can be told at all


def write(
    experiment: Experiment, runs: Sequence[Run], output: Path, *, command: str
) -> str:
    """Writes the files of a report.

    Args:
      experiment: what was asked.
      runs: the whole grid; what is not finished is named.
      output: the folder.
      command: that makes the report, as it can be typed.

    Returns:
      The report, as Markdown.
    """
    output.mkdir(parents=True, exist_ok=True)
    ran.write_csv(output / "results.csv", runs)
    drawn = scores.draw(runs, resamples=_RESAMPLES)
    rows = scores.rows(runs, experiment.baseline, drawn)
    finished = [run for run in runs if launch.state(run) == "finished"]
    trusted = scores.trusted_keys(finished)
    found = trends(experiment, [row.variant for row in rows], drawn, trusted)
    shown = [row for row in rows if not row.variant.is_step]
    ceilings: ceiling.Ceilings = {}
    if experiment.has_ceiling:
        ceilings = ceiling.ceilings(runs, output / "ceilings.json")
    # Steps on the way are in no table, so their times are not compared.
    is_alone = ran.ran_alone([run for run in finished if not run.variant.is_step])
    charts = pictures.write(experiment, rows, output, has_times=is_alone)
    text = "\n".join(
        part
        for part in (
            _asked(experiment),
            _came_out(experiment, shown, found),
            _scores(shown, ceilings, is_alone=is_alone)
            + _shown(charts, "scores", "time"),
            _trend_table(experiment, found),
            _controls(shown),
            _crowding(shown, scores.pictures(finished[:1])),
            _shown(charts, "crowding"),
            _along(experiment, charts),
            ran.section(runs, command),
        )
        if part
    )
    write_whole(output / "report.md", text)
    summary = {
        "name": experiment.name,
        "outcome": outcome.line(experiment, rows, found),
        "command": command,
        "data": Path(runs[0].config["data"]["root"]).name,
        "steps": max(run.steps for run in runs),
        "seeds": len({run.seed for run in finished}),
        "runs": len(runs),
        "finished": len(finished),
    }
    write_whole(output / SUMMARY_FILE, json.dumps(summary, indent=2) + "\n")
    return text


def _asked(experiment: Experiment) -> str:
    return (
        f"# {experiment.title}\n\n{experiment.question}\n\n**Prior work.** "
        f"{experiment.expected}\n"
    )


def _came_out(experiment: Experiment, rows: Sequence[Row], found: Trends) -> str:
    said = outcome.sentences(experiment, rows, found)
    if not said:
        return "## What came out\n\nNothing that could be compared is finished.\n"
    lines = "".join(f"- {sentence}\n" for sentence in said)
    all_of, told = outcome.chance(experiment, rows, found)
    return (
        f"## What came out\n\n{lines}\nDifferences are in AP points, with 95 % "
        f"intervals of the bootstrap over pictures{_over_seeds(rows)} Here {told} of "
        f"{all_of} do.{_floor(experiment, rows)}"
    )


def _over_seeds(rows: Sequence[Row]) -> str:
    """What the intervals are worth."""
    counts = {len(row.by_seed) for row in rows if row.by_seed}
    if max(counts) == 1:
        return (
            " of one run each: another seed may say otherwise. If variants made no "
            "difference at all, more than 1 in 20 of these intervals would leave out 0."
        )
    seeds = " to ".join(str(count) for count in sorted({min(counts), max(counts)}))
    return (
        f" and over {seeds} runs each, which are few: if variants made no difference "
        "at all, up to 1 in 5 of these intervals would leave out 0."
    )


def _floor(experiment: Experiment, rows: Sequence[Row]) -> str:
    (baseline,) = [row for row in rows if row.variant.name == experiment.baseline]
    spreads = [baseline.spread(f"{task}/AP") for task in TASKS]
    low = min((spread.value for spread in spreads if spread), default=1.0)
    if low >= _TELLING:
        return "\n"
    few = f" The baseline has {100 * low:.1f} AP, too few to tell much apart"
    return f"{few}: train longer.\n"


def _scores(rows: Sequence[Row], ceilings: ceiling.Ceilings, *, is_alone: bool) -> str:
    has_times = is_alone and any(row.values(scores.TIME) for row in rows)
    head = ["variant", "runs"]
    for task in TASKS:
        head += [f"{task} AP", "difference"]
        head += [f"{task} ceiling"] if ceilings else []
    head += ["ms a picture"] if has_times else []
    cells = []
    for row in rows:
        own = [row.variant.name, str(len(row.by_seed))]
        for task in TASKS:
            key = f"{task}/AP"
            own += [_spread(row, key), outcome.difference(row.to_baseline.get(key))]
            own += (
                [markdown.percent(ceilings[row.variant.name][task])] if ceilings else []
            )
        times = row.values(scores.TIME)
        own += [f"{np.mean(times):.1f}" if times else "-"] if has_times else []
        cells.append(own)
    words = "AP x 100, the mean over seeds and their standard deviation."
    if not is_alone and any(row.values(scores.TIME) for row in rows):
        words += " Times are not reported, because runs shared the processors."
    return f"## Scores\n\n{words}\n\n{markdown.table(head, cells)}\n"


def _trend_table(experiment: Experiment, found: Trends) -> str:
    if not found:
        return ""
    about = experiment.about.items()
    cells = [
        [
            name,
            *(
                outcome.difference(moved.get(key.format(task)))
                for task in TASKS
                for _, key in about
            ),
        ]
        for name, moved in found.items()
    ]
    head = ["", *(f"{task} AP, {pictures}" for task in TASKS for pictures, _ in about)]
    return (
        f"## Trend\n\nAP points {experiment.trend}: the rise of a straight line "
        f"through all variants of a series.\n\n{markdown.table(head, cells)}"
    )


def _controls(rows: Sequence[Row]) -> str:
    keys = ["{}/AP", "crowd/people_1/{}/AP", "crowd/people_8+/{}/AP"]
    names = ["all", "1 person", "8+ people"]
    cells = [
        [
            row.variant.name,
            control,
            *(
                outcome.difference(differences.get(key.format(task)))
                for task in TASKS
                for key in keys
            ),
        ]
        for row in rows
        for control, differences in row.to_controls.items()
    ]
    if not cells:
        return ""
    head = ["variant", "control"]
    head += [f"{task} AP, {name}" for task in TASKS for name in names]
    return f"## Beside controls\n\n{markdown.table(head, cells, words=2)}"


def _crowding(rows: Sequence[Row], counts: Mapping[str, int]) -> str:
    if not counts:
        return ""
    found = (
        "## By crowding\n\nAP x 100, the mean over seeds and their standard deviation. "
        "Of so many pictures: "
        + ", ".join(f"{name.replace('_', ' ')}: {n}" for name, n in counts.items())
        + f". Groups of fewer than {scores.ENOUGH} pictures are not compared.\n"
    )
    for task in TASKS:
        for what, buckets in (("people", PEOPLE_BUCKETS), ("overlap", OVERLAP_BUCKETS)):
            head = [f"{task}, {what}", *(name.split("_")[1] for name in buckets)]
            cells = [
                [
                    row.variant.name,
                    *(_spread(row, f"crowd/{bucket}/{task}/AP") for bucket in buckets),
                ]
                for row in rows
                if task in row.variant.tasks
            ]
            found += f"\n{markdown.table(head, cells)}"
    return found


def _along(experiment: Experiment, charts: pictures.Names) -> str:
    shown = _shown(charts, "along")
    return f"## AP along {experiment.along}\n\n{shown}" if shown else ""


def _shown(charts: pictures.Names, *which: str) -> str:
    return "".join(f"![{charts[n]}]({n}.png)\n" for n in which if n in charts)


def _spread(row: Row, key: str) -> str:
    spread = row.spread(key)
    if spread is None:
        return "-"
    around = (
        "" if spread.high is None else f" ± {100 * (spread.high - spread.value):.1f}"
    )
    return markdown.percent(spread.value) + around
