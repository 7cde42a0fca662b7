"""What does leaving out small persons, as COCOPersons does, do to AP?

    python -m experiments.small_persons --annotations=J --output=O
        [--results_keypoints=R --results_segm=R]

scores the same results on the annotation file as it is and with people left out of it:
O/results.csv and O/report.md. Without results, those of two pretended detectors are
scored: one that finds most small persons, and one that misses most of them.
"""

import csv
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from absl import flags

from experiments.pretended import Habits, detect
from poseseg_jax import command, markdown
from poseseg_jax.coco import results, scoring
from poseseg_jax.coco.annotations import parse, read_document
from poseseg_jax.coco.picture import PERSON_CATEGORY, SMALL_AREA
from poseseg_jax.coco.results import Results

NAMES = ("AP", "AP50", "AP_S", "AP_M", "AP_L", "AR")

# Half of the people with this root of the area, px, are found.
PRETENDED = {"pretended, finds small": 13.0, "pretended, misses small": 30.0}


def _is_labelled(entry: dict) -> bool:
    has_keypoints = any(value > 0 for value in (entry.get("keypoints") or ())[2::3])
    is_one = bool(entry.get("segmentation")) and not entry.get("iscrowd")
    return _is_other(entry) or (has_keypoints and is_one)


def _is_not_small(entry: dict) -> bool:
    is_excepted = _is_other(entry) or bool(entry.get("iscrowd"))
    return is_excepted or entry.get("area", 0) >= SMALL_AREA


def _is_other(entry: dict) -> bool:
    """Of another category: not read, so it may lack anything."""
    return entry.get("category_id") != PERSON_CATEGORY


KEPT: dict[str, Callable[[dict], bool]] = {
    "everybody": lambda entry: True,
    "none below 32 x 32 px": _is_not_small,
    # As its authors describe their files.
    "COCOPersons' rule": _is_labelled,
}


def compare(annotations: Path, found: Results) -> list[dict]:
    """Scores of the same results on each ground truth, a row per truth and task.

    Args:
      annotations: the complete file, `.json` or `.json.gz`.
      found: results for its pictures.

    Raises:
      ValueError: for a broken annotation file or result.
    """
    document = read_document(annotations)
    rows = []
    for name, keeps in KEPT.items():
        kept = [entry for entry in document["annotations"] if keeps(entry)]
        with tempfile.TemporaryDirectory() as folder:
            truth = Path(folder) / "truth.json"
            truth.write_text(json.dumps({**document, "annotations": kept}))
            for task in scoring.TASKS:
                scores = scoring.score(getattr(found, task), truth, task)
                row = {"truth": name, "annotations": len(kept), "task": task}
                rows.append(row | {n: scores.get(f"{task}/{n}") for n in NAMES})
    return rows


def report(tables: dict[str, list[dict]]) -> str:
    """The rows as Markdown, times 100, a table for each set of results."""
    parts = ["# What leaving out small persons does to AP\n"]
    head = ["task", "ground truth", "annotations", *NAMES]
    for title, rows in tables.items():
        cells = [
            [task, row["truth"], str(row["annotations"])]
            + [markdown.percent(row[name]) for name in NAMES]
            for task in scoring.TASKS
            for row in rows
            if row["task"] == task
        ]
        parts.append(f"## {title}\n\n{markdown.table(head, cells, words=2)}")
    return "\n".join(parts)


def run(annotations: Path, output: Path, given: dict[str, str | None]) -> str:
    """Scores the given result files, or pretended ones, and writes the files.

    Raises:
      ValueError: as of `compare`; if only one of the two result files is given.
    """
    if any(given.values()):
        if not all(given.values()):
            raise ValueError("Give --results_keypoints and --results_segm together.")
        files = {task: Path(name) for task, name in given.items() if name}
        read = {task: results.read_json(path) for task, path in files.items()}
        sets = {str(files["keypoints"].parent): Results(**read)}
    else:
        labels = parse(read_document(annotations), source=str(annotations))
        sets = {
            name: detect(labels.pictures, Habits(half_side=side), seed=0)
            for name, side in PRETENDED.items()
        }
    tables = {name: compare(annotations, found) for name, found in sets.items()}
    output.mkdir(parents=True, exist_ok=True)
    rows = [{"results": name, **row} for name in tables for row in tables[name]]
    with (output / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    text = report(tables)
    (output / "report.md").write_text(text)
    return text


def _main(_) -> None:
    args = flags.FLAGS
    given = {"keypoints": args.results_keypoints, "segm": args.results_segm}
    print(run(Path(args.annotations), Path(args.output), given))


if __name__ == "__main__":
    flags.DEFINE_string("annotations", None, "COCO-keypoint file.", required=True)
    flags.DEFINE_string("output", None, "Where the report goes.", required=True)
    flags.DEFINE_string("results_keypoints", None, "COCO result file of keypoints.")
    flags.DEFINE_string("results_segm", None, "COCO result file of masks.")
    command.run(_main)
