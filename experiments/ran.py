"""What ran: the end of a report, and the table of all scores beside it."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import launch, scores
from experiments.grid import Run
from poseseg_jax.disk import beside


def section(runs: Sequence[Run], command: str) -> str:
    """What ran, where and of which code; and what did not, as Markdown."""
    done = [run for run in runs if launch.state(run) == "finished"]
    lines = [f"## What ran\n\n```bash\n{command}\n```\n"]
    lines.append(f"- {len(done)} of {len(runs)} runs are finished.")
    if done:
        batch = done[0].config["train"]["batch_size"]
        lines.append(f"- {trained(done).capitalize()}; {batch} pictures a step.")
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


def trained(runs: Sequence[Run]) -> str:
    """How many networks were trained for how many steps, in words."""
    counts = Counter(run.steps for run in runs)
    evaluated = counts.pop(0, 0)
    said = [f"{n} trained for {steps:,} steps" for steps, n in sorted(counts.items())]
    said += [f"{evaluated} evaluations of these"] if evaluated else []
    return ", ".join(said)


def ran_alone(runs: Sequence[Run]) -> bool:
    """Whether runs shared no processors, so that their times can be reported."""
    starts = [start for run in runs for start in launch.starts(run)]
    return bool(starts) and all(start["sharing"] == 1 for start in starts)


def _all_of(said: Iterable[str]) -> str:
    return "; ".join(sorted(set(said))) or "-"


def _versions(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in found.items())


def write_csv(path: Path, runs: Sequence[Run]) -> None:
    """A line for every run of the grid, with all that it scored."""
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
    with beside(path) as unfinished, unfinished.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=names)
        writer.writeheader()
        writer.writerows(lines)
