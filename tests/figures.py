"""Figures of the README, made of the files of the runs that they are about.

`python -m tests.figures` writes them anew. tests/test_readme.py compares.
"""

import json
from pathlib import Path

from poseseg_jax.coco.crowding import PEOPLE_BUCKETS
from poseseg_jax.coco.scoring import TASKS
from poseseg_jax.markdown import percent, table
from tests.documented import DOCS, REPOSITORY

README = REPOSITORY / "README.md"
BEGIN, END = "<!-- results -->\n", "<!-- end of results -->\n"
# A command, what it learned from, what it was scored on, and its metrics.json.
RUNS = (
    (
        "`make train`",
        "3,000 synthetic pictures, 70 % of the single-person ones removed",
        "200 synthetic pictures",
        DOCS / "tiny.json",
    ),
)


def results() -> str:
    """The results of every run, as a table, and by head count, in Markdown."""
    head = ["command", "trained on", "scored on", "keypoints AP (AP50)"]
    rows, counts = [], []
    for command, learned, scored, path in RUNS:
        metrics = json.loads(path.read_text())
        both = [
            f"{percent(metrics[f'{task}/AP'])} ({percent(metrics[f'{task}/AP50'])})"
            for task in TASKS
        ]
        rows.append([command, learned, scored, *both])
        for task in TASKS:
            by_count = [metrics[f"crowd/{b}/{task}/AP"] for b in PEOPLE_BUCKETS]
            counts.append([command, task, *map(percent, by_count)])
    buckets = [name.removeprefix("people_") for name in PEOPLE_BUCKETS]
    return "\n".join(
        [
            "AP x 100, on the validation split of the data, pictures that no training "
            f"saw ({_files()}):\n",
            table([*head, "segm AP (AP50)"], rows, words=3),
            "The same by number of people in a picture:\n",
            table(["command", "AP of", *buckets], counts, words=2),
        ]
    )


def _files() -> str:
    paths = (path.relative_to(REPOSITORY) for *_, path in RUNS)
    return ", ".join(f"[all scores]({path})" for path in paths)


def written(text: str) -> str:
    """A page with the results in their place."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert end, f"{README} has no place for the results"
    return f"{before}{begin}\n{results()}\n{end}{after}"


def main(path: Path = README) -> None:
    """The command."""
    path.write_text(written(path.read_text()))


if __name__ == "__main__":
    main()
