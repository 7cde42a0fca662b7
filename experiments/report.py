"""The report of an experiment: made of what ran, and of nothing else."""

import csv
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import ceiling, launch, outcome, pictures, scores
from experiments.grid import Experiment, Run
from experiments.scores import Row
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
    _write_csv(output / "results.csv", runs)
    rows = scores.rows(runs, experiment.baseline, resamples=_RESAMPLES)
    shown = [row for row in rows if not row.variant.is_step]
    ceilings: ceiling.Ceilings = {}
    if experiment.has_ceiling:
        ceilings = ceiling.ceilings(runs, output / "ceilings.json")
    charts = pictures.write(experiment, rows, output)
    finished = [run for run in runs if launch.state(run) == "finished"]
    text = "\n".join(
        part
        for part in (
            _asked(experiment),
            _came_out(experiment, shown),
            _scores(shown, ceilings, finished) + _shown(charts, "scores", "time"),
            _controls(shown),
            _crowding(shown, scores.pictures(finished[:1])),
            _shown(charts, "crowding"),
            "## Along\n\n" + _shown(charts, "along") if "along" in charts else "",
            _ran(runs, command),
        )
        if part
    )
    write_whole(output / "report.md", text)
    summary = {
        "name": experiment.name,
        "outcome": outcome.line(experiment, rows),
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
        f"# {experiment.title}\n\n{experiment.question}\n\n**Said before.** "
        f"{experiment.expected}\n"
    )


def _came_out(experiment: Experiment, rows: Sequence[Row]) -> str:
    said = outcome.sentences(experiment, rows)
    if not said:
        return "## What came out\n\nNothing that could be compared is finished.\n"
    lines = "".join(f"- {sentence}\n" for sentence in said)
    all_of, told = outcome.chance(experiment, rows)
    return (
        f"## What came out\n\n{lines}\nDifferences are in AP points, with 95 % "
        f"intervals of the bootstrap over pictures{_over_seeds(rows)} Here {told} of "
        f"{all_of} do. {_floor(experiment, rows)}"
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
    few = f"The baseline has {100 * low:.1f} AP, too few to tell much apart"
    return f"{few}: train longer.\n"


def _scores(
    rows: Sequence[Row], ceilings: ceiling.Ceilings, finished: Sequence[Run]
) -> str:
    shared = {start["sharing"] for run in finished for start in launch.starts(run)}
    is_alone = shared == {1}
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
            own += [_percent(ceilings[row.variant.name][task])] if ceilings else []
        times = row.values(scores.TIME)
        own += [f"{np.mean(times):.1f}" if times else "-"] if has_times else []
        cells.append(own)
    words = "AP x 100, the mean over seeds and their standard deviation."
    if not is_alone and finished:
        words += " Times are not told: runs shared the processors."
    return f"## Scores\n\n{words}\n\n{markdown.table(head, cells)}\n"


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
        + f". Less than {scores.ENOUGH} are not compared.\n"
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


def _shown(charts: pictures.Names, *which: str) -> str:
    return "".join(f"![{charts[n]}]({n}.png)\n" for n in which if n in charts)


def _spread(row: Row, key: str) -> str:
    spread = row.spread(key)
    if spread is None:
        return "-"
    around = (
        "" if spread.high is None else f" ± {100 * (spread.high - spread.value):.1f}"
    )
    return _percent(spread.value) + around


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _ran(runs: Sequence[Run], command: str) -> str:
    """What ran, where and of which code; and what did not."""
    done = [run for run in runs if launch.state(run) == "finished"]
    lines = [f"## What ran\n\n```bash\n{command}\n```\n"]
    lines.append(f"- {len(done)} of {len(runs)} runs are finished.")
    steps = sorted({run.steps for run in done if run.steps})
    if steps:
        counts = " or ".join(f"{count:,}" for count in steps)
        batch = done[0].config["train"]["batch_size"]
        lines.append(f"- Each is trained for {counts} steps of {batch} pictures.")
    starts = [start for run in done for start in launch.starts(run)]
    for title, key in (("Code", "commit"), ("Device", "device")):
        lines.append(f"- {title}: {_all_of(start[key] for start in starts)}.")
    lines.append(f"- Runs at a time: {_all_of(str(s['sharing']) for s in starts)}.")
    found = _all_of(_versions(start["versions"]) for start in starts)
    lines.append(f"- Versions: {found}.")
    for run in runs:
        state = launch.state(run)
        if state == "failed":
            lines.append(f"- **Failed**: {run.label}: {launch.failure(run)}")
        elif state != "finished":
            lines.append(f"- **Not finished**: {run.label}")
    lines.append("- All scores of all runs: [results.csv](results.csv).")
    return "\n".join(lines) + "\n"


def _all_of(said: Iterable[str]) -> str:
    return "; ".join(sorted(set(said))) or "-"


def _versions(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in found.items())


def _write_csv(path: Path, runs: Sequence[Run]) -> None:
    lines: list[dict[str, Any]] = []
    for run in runs:
        state = launch.state(run)
        about = {
            "variant": run.variant.name,
            "seed": run.seed,
            "state": state,
            "steps": run.steps,
            "changes": json.dumps(dict(run.variant.changes)),
        }
        is_done = state == "finished"
        lines.append(about | (dict(scores.metrics(run)) if is_done else {}))
    names = list(dict.fromkeys(name for line in lines for name in line))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=names)
        writer.writeheader()
        writer.writerows(lines)
