"""The report of an experiment: made of what ran, and of nothing else."""

import json
from collections.abc import Sequence
from pathlib import Path

from experiments import ceiling, launch, pictures, ran, scores, tables
from experiments.grid import Experiment, Run
from experiments.outcome import Outcome
from experiments.scores import Row
from experiments.trends import trends
from poseseg_jax.disk import write_whole

SUMMARY_FILE = "summary.json"
_RESAMPLES = 1000
# Of 100 intervals of 95 %, so many can leave out the truth, by runs: coco/groups.py.
_OUTSIDE = {1: 99, 2: 48, 3: 25, 5: 16, 10: 10}


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
    moved = trends(experiment, [row.variant for row in rows], drawn, trusted)
    shown = [row for row in rows if not row.variant.is_step]
    counts = scores.pictures(finished[:1])
    found = Outcome(experiment, shown, moved, counts)
    # Steps on the way are in no table, so their times are not compared.
    is_alone = ran.ran_alone([run for run in finished if not run.variant.is_step])
    charts = pictures.write(experiment, rows, output, has_times=is_alone)
    ceilings = _ceilings(experiment, runs, output)
    parts = (
        _asked(experiment),
        _came_out(found),
        tables.of_scores(shown, ceilings, is_alone=is_alone)
        + _shown(charts, "scores", "time"),
        tables.of_trends(experiment, moved),
        tables.of_controls(shown),
        tables.of_crowding(shown, counts),
        _shown(charts, "crowding"),
        _along(experiment, charts),
        tables.of_variants([r.variant for r in shown], trend=experiment.trend),
        ran.section(runs, command),
    )
    text = "\n".join(part for part in parts if part)
    write_whole(output / "report.md", text)
    write_whole(output / SUMMARY_FILE, _summary(found, runs, command))
    return text


def _ceilings(
    experiment: Experiment, runs: Sequence[Run], output: Path
) -> ceiling.Ceilings:
    if not experiment.has_ceiling:
        return {}
    return ceiling.ceilings(runs, output / "ceilings.json")


def _summary(found: Outcome, runs: Sequence[Run], command: str) -> str:
    finished = [run for run in runs if launch.state(run) == "finished"]
    said = {
        "name": found.experiment.name,
        "outcome": found.first(),
        "chance": found.chance(),
        "command": command,
        "data": Path(runs[0].config["data"]["root"]).name,
        "trained": ran.trained(finished),
        "seeds": len({run.seed for run in finished}),
        "runs": len(runs),
        "finished": len(finished),
    }
    return json.dumps(said, indent=2) + "\n"


def _asked(experiment: Experiment) -> str:
    return (
        f"# {experiment.title}\n\n{experiment.question}\n\n**Prior work.** "
        f"{experiment.expected}\n"
    )


def _came_out(found: Outcome) -> str:
    said = found.sentences()
    if not said:
        return "## What came out\n\nNothing that could be compared is finished.\n"
    lines = "".join(f"- {sentence}\n" for sentence in said)
    count, told = found.chance()
    return (
        f"## What came out\n\n{lines}\nDifferences are in AP points, with 95 % "
        f"intervals; a difference is clear if its interval leaves out 0, as {told} of "
        f"these {count} do. {_worth(found.rows)}\n"
    )


def _worth(rows: Sequence[Row]) -> str:
    """What the intervals are worth."""
    counts = {len(row.by_seed) for row in rows if row.by_seed}
    if max(counts) == 1:
        return (
            "The intervals are of the bootstrap over pictures, of one run each. What "
            "another seed would do to a training is not in them, and can be more: of "
            "two networks, a difference tells which is better, and not yet why. "
            "`--seeds=3` tells more."
        )
    few = min(counts)
    outside = _OUTSIDE[max(n for n in _OUTSIDE if n <= few)]
    seeds = " to ".join(str(count) for count in sorted({few, max(counts)}))
    return (
        f"The intervals are of the bootstrap over pictures and over {seeds} runs each, "
        "which are few: if variants made no difference at all, at least 5 and, where "
        f"seeds matter most, up to {outside} in 100 intervals would leave out 0."
    )


def _along(experiment: Experiment, charts: pictures.Names) -> str:
    shown = _shown(charts, "along")
    return f"## AP along {experiment.along}\n\n{shown}" if shown else ""


def _shown(charts: pictures.Names, *which: str) -> str:
    return "".join(f"![{charts[n]}]({n}.png)\n" for n in which if n in charts)
