"""What the results of a split are worth, and the files and words that say so."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from poseseg_jax import exhibits, visualize
from poseseg_jax.coco import crowding, per_picture, results, scoring
from poseseg_jax.coco.annotations import read_document
from poseseg_jax.coco.bootstrap import Interval, Intervals
from poseseg_jax.coco.results import Results
from poseseg_jax.coco.scoring import TASKS, Matches, Truth
from poseseg_jax.config import Settings
from poseseg_jax.data.prepared import Prepared
from poseseg_jax.disk import write_whole
from poseseg_jax.workdir import METRICS_FILE

INTERVALS_FILE = "intervals.json"
_OF_SCORES = ("per_picture.csv", "crowd.png", "worst.png", INTERVALS_FILE)

Scores = dict[str, float | None]


@dataclass(frozen=True, eq=False)
class Judged:
    """Results of a split and what they are worth.

    Attributes:
      found: the results.
      matches: of each task; none where the split has no annotations.
      scores: by their key in metrics.json.
    """

    found: Results
    matches: tuple[Matches, ...]
    scores: Scores


def judge(found: Results, annotations: Path) -> Judged:
    """COCO's scores of both tasks, over all pictures and by how crowded they are.

    Without annotations in the file, every score is None.
    """
    document = read_document(annotations, need_labels=False)
    if "annotations" not in document:
        return Judged(found, (), dict.fromkeys(scoring.keys() + crowding.keys()))
    matches = _match(found, scoring.check_truth(document, source=str(annotations)))
    scores: Scores = {}
    for one in matches:
        scores |= scoring.summarize(one)
    for one in matches:
        scores |= crowding.scores_by_bucket(one)
    return Judged(found, matches, scores)


def _match(found: Results, truth: Truth) -> tuple[Matches, ...]:
    return tuple(
        scoring.match_truth(getattr(found, task), truth, task) for task in TASKS
    )


def read_matches(output: Path, annotations: Path) -> tuple[Matches, ...]:
    """The results of an evaluation, matched again: for `bootstrap.drawn`.

    Args:
      output: the folder that it wrote, as a finished workdir.
      annotations: the file against which they are scored.

    Returns:
      Matches of keypoints and of masks.

    Raises:
      ValueError: for files that cannot be read, or are of other pictures.
    """
    found = [results.read_json(output / _results_file(task)) for task in TASKS]
    return _match(Results(*found), scoring.read_truth(annotations))


def write(
    output: Path,
    judged: Judged,
    metrics: Scores,
    prepared: Prepared,
    settings: Settings,
    *,
    intervals: Intervals | None = None,
) -> None:
    """Writes the files of an evaluation; metrics.json, the last, says it is whole.

    Args:
      output: the folder. What an evaluation before this one left there is removed.
      judged: what was found.
      metrics: what metrics.json says: the scores, and what else is known.
      prepared: the split.
      settings: how many pictures to draw.
      intervals: of the scores, as they come from `bootstrap.intervals`.
    """
    output.mkdir(parents=True, exist_ok=True)
    _forget(output)
    write_results(output, judged.found)
    pictures = exhibits.overlays(
        judged.found,
        prepared,
        settings.eval.overlays,
        is_labelled=bool(judged.matches),
    )
    for image_id, picture in pictures:
        visualize.write_png(output / "overlays" / f"{image_id:012d}.png", picture)
    if judged.matches:
        _write_scores(output, judged, prepared, settings, intervals)
    _write_json(output / METRICS_FILE, metrics)


def _forget(output: Path) -> None:
    """Removes the files of an evaluation before, and nobody else's pictures."""
    marks = (METRICS_FILE, *(_results_file(task) for task in TASKS))
    if any((output / name).exists() for name in marks):
        for path in (output / "overlays").glob("[0-9]*.png"):
            path.unlink()
    for name in (*_OF_SCORES, METRICS_FILE):
        (output / name).unlink(missing_ok=True)


def _results_file(task: str) -> str:
    return f"results_{task}.json"


def write_results(output: Path, found: Results) -> None:
    """Writes results_keypoints.json and results_segm.json."""
    for task in TASKS:
        results.write_json(output / _results_file(task), getattr(found, task))


def _write_scores(
    output: Path,
    judged: Judged,
    prepared: Prepared,
    settings: Settings,
    intervals: Intervals | None,
) -> None:
    levels = {one.task: per_picture.best_score(one) for one in judged.matches}
    pictures = per_picture.score_pictures(judged.matches, levels)
    per_picture.write_csv(output / "per_picture.csv", pictures)
    chart = exhibits.crowd_chart(
        judged.scores, judged.matches[0].pictures, intervals=intervals
    )
    (output / "crowd.png").write_bytes(chart)
    worst = per_picture.worst_first(pictures)[: settings.eval.worst]
    if worst:
        sheet = exhibits.sheet_of(judged.found, prepared, worst, levels)
        visualize.write_png(output / "worst.png", sheet)
    if intervals is not None:
        _write_json(output / INTERVALS_FILE, asdict(intervals))


def _write_json(path: Path, content: Mapping) -> None:
    write_whole(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def caption(metrics: Scores, output: Path, *, split: str = "") -> str:
    """What the table of `report` is about, and where everything else is.

    Args:
      metrics: as in metrics.json.
      output: the folder of that file.
      split: as its reader calls it; "": the run's own.
    """
    step = metrics.get("eval/step", metrics.get("train/steps"))
    split = split or "the run's validation split"
    return f"Scores x 100 of step {step} on {split}. All files are in {output}."


def report(metrics: Scores, intervals: Intervals | None = None) -> str:
    """The scores as a small table, times 100, with the intervals if there are some."""
    if all(value is None for key, value in metrics.items() if "/A" in key):
        return "There is nothing to score: no annotations, or nobody in them."
    width = 22 if intervals else 10
    rows = [f"{'':18}" + "".join(f"{task:>{width}}" for task in TASKS)]
    names = dict.fromkeys(key.split("/")[-1] for key in metrics if "/A" in key)
    keys = {name: f"{{}}/{name}" for name in names} | {
        key.split("/")[1]: f"crowd/{key.split('/')[1]}/{{}}/AP"
        for key in metrics
        if key.startswith("crowd/")
    }
    for name, key in keys.items():
        cells = []
        for task in TASKS:
            value = metrics.get(key.format(task))
            interval = intervals and intervals.by_key.get(key.format(task))
            cell = "-" if value is None else f"{100 * value:.1f}"
            if interval:
                cell += f" [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
            cells.append(f"{cell:>{width}}")
        rows.append(f"{name:18}" + "".join(cells))
    return "\n".join(rows)


def read_intervals(output: Path) -> Intervals | None:
    """The intervals of an evaluation; None if none were asked for.

    Raises:
      ValueError: naming the file, if it cannot be read.
    """
    path = output / INTERVALS_FILE
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_bytes())
        by_key = {
            key: Interval(**ends) if ends else None
            for key, ends in content.pop("by_key").items()
        }
        return Intervals(**content, by_key=by_key)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} cannot be read ({error!r}). Evaluate again, with --bootstrap."
        ) from None
