"""The report of an experiment: made of what ran, and of nothing else."""

import csv
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments import ceiling, launch, outcome, pictures, scores
from experiments.grid import Experiment, Run
from experiments.scores import Row
from poseseg_jax import markdown
from poseseg_jax.coco.crowding import OVERLAP_BUCKETS, PEOPLE_BUCKETS
from poseseg_jax.coco.scoring import TASKS
from poseseg_jax.disk import write_whole
from poseseg_jax.workdir import METRICS_FILE

_log = logging.getLogger(__name__)

SUMMARY_FILE = "summary.json"
_RESAMPLES = 1000
_TIME = "eval/ms_per_image"


def write(
    experiment: Experiment, runs: Sequence[Run], output: Path, *, command: str
) -> str:
    """Writes the files of a report.

    Args:
      experiment: what was asked.
      runs: the whole grid; what is not finished is named.
      output: the folder.
      command: that makes the report, as it was typed.

    Returns:
      The report, as Markdown.
    """
    output.mkdir(parents=True, exist_ok=True)
    _write_csv(output / "results.csv", runs)
    rows = scores.rows(runs, experiment.baseline, resamples=_RESAMPLES)
    ceilings = (
        ceiling.ceilings(runs, output / "ceilings.json")
        if experiment.has_ceiling
        else {}
    )
    names = pictures.write(experiment, rows, output)
    parts = [
        f"# {experiment.title}\n\n{experiment.question}\n\n**Said before.** "
        f"{experiment.expected}\n",
        _came_out(rows, experiment.baseline),
        _scores(rows, ceilings, names),
        _controls(rows),
        _crowding(rows, names),
        _along(names),
        _ran(runs, command),
    ]
    text = "\n".join(part for part in parts if part)
    write_whole(output / "report.md", text)
    summary = {
        "name": experiment.name,
        "outcome": outcome.line(rows, experiment.baseline),
        "command": command,
        "data": runs[0].config["data"]["root"],
        **_state(runs),
    }
    write_whole(output / SUMMARY_FILE, json.dumps(summary, indent=2) + "\n")
    return text


def _came_out(rows: Sequence[Row], baseline: str) -> str:
    said = outcome.sentences(rows, baseline)
    if not said:
        return "## What came out\n\nNothing that could be compared is finished.\n"
    lines = "".join(f"- {sentence}\n" for sentence in said)
    all_of, told = outcome.chance(rows)
    seeds = max(len(row.by_seed) for row in rows)
    return (
        f"## What came out\n\n{lines}\nDifferences are in AP points, with 95 % "
        f"intervals of the bootstrap over pictures and over {seeds} seeds, which is "
        "few: they are too narrow rather than too wide. Of "
        f"{all_of} such intervals {told} leave out 0; if nothing made a difference, "
        f"about {0.05 * all_of:.0f} would.\n"
    )


def _scores(
    rows: Sequence[Row], ceilings: ceiling.Ceilings, names: pictures.Names
) -> str:
    shown = [row for row in rows if not row.variant.is_step]
    head = ["variant", "runs"]
    for task in TASKS:
        head += [f"{task} AP", "difference"]
        head += [f"{task} ceiling"] if ceilings else []
    head.append("ms a picture")
    cells = []
    for row in shown:
        own = [row.variant.name, str(len(row.by_seed))]
        for task in TASKS:
            key = f"{task}/AP"
            own += [_spread(row, key), outcome.difference(row.to_baseline.get(key))]
            own += [_percent(ceilings[row.variant.name][task])] if ceilings else []
        time = row.mean(_TIME)
        cells.append([*own, "-" if time is None else f"{time:.1f}"])
    words = "AP x 100, the mean over seeds and their standard deviation."
    return f"## Scores\n\n{words}\n\n{markdown.table(head, cells)}\n" + _shown(
        names, "scores", "time"
    )


def _controls(rows: Sequence[Row]) -> str:
    compared = [row for row in rows if row.to_control and not row.variant.is_step]
    if not compared:
        return ""
    keys = [f"{task}/AP" for task in TASKS]
    keys += [f"crowd/people_8+/{task}/AP" for task in TASKS]
    head = ["variant", "control", *(f"{task} AP" for task in TASKS)]
    head += [f"{task} AP, 8+ people" for task in TASKS]
    cells = [
        [
            row.variant.name,
            row.variant.control,
            *(outcome.difference(row.to_control.get(key)) for key in keys),
        ]
        for row in compared
    ]
    return "## Beside controls\n\n" + markdown.table(head, cells, words=2)


def _crowding(rows: Sequence[Row], names: pictures.Names) -> str:
    shown = [row for row in rows if not row.variant.is_step]
    found = "## By crowding\n\nAP x 100, the mean over seeds.\n"
    for task in TASKS:
        for what, buckets in (("people", PEOPLE_BUCKETS), ("overlap", OVERLAP_BUCKETS)):
            head = [f"{task}, {what}", *(name.split("_")[1] for name in buckets)]
            cells = [
                [
                    row.variant.name,
                    *(_percent(row.mean(f"crowd/{b}/{task}/AP")) for b in buckets),
                ]
                for row in shown
                if task in row.variant.tasks
            ]
            found += f"\n{markdown.table(head, cells)}"
    return f"{found}\n" + _shown(names, "crowding")


def _along(names: pictures.Names) -> str:
    return "## Along\n\n" + _shown(names, "along") if "along" in names else ""


def _shown(names: pictures.Names, *which: str) -> str:
    return "".join(f"![{names[n]}]({n}.png)\n" for n in which if n in names)


def _spread(row: Row, key: str) -> str:
    mean, deviation = row.mean(key), row.deviation(key)
    if mean is None:
        return "-"
    return _percent(mean) + ("" if deviation is None else f" ± {100 * deviation:.1f}")


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
    for title, key in (("Code", "commit"), ("Device", "device")):
        said = sorted({launch.record(run)[key] for run in done})
        lines.append(f"- {title}: {'; '.join(said) or '-'}.")
    said = sorted({_versions(launch.record(run)["versions"]) for run in done})
    lines.append(f"- Versions: {'; '.join(said) or '-'}.")
    for run in runs:
        if launch.state(run) == "failed":
            lines.append(f"- **Failed**: {run.label}: {launch.failure(run)}")
    lines.append("- All scores of all runs: [results.csv](results.csv).")
    return "\n".join(lines) + "\n"


def _versions(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in found.items())


def _state(runs: Sequence[Run]) -> dict[str, int]:
    done = [run for run in runs if launch.state(run) == "finished"]
    return {"runs": len(runs), "finished": len(done)}


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
        found = run.workdir / METRICS_FILE
        is_done = state == "finished"
        lines.append(about | (json.loads(found.read_text()) if is_done else {}))
    names = list(dict.fromkeys(name for line in lines for name in line))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=names)
        writer.writeheader()
        writer.writerows(lines)
