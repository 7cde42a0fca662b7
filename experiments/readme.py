"""The page that lists all experiments, made of their reports.

    python -m experiments.readme [--add=runs/bias_ablation]

writes experiments/README.md: of every experiment the question, the command, prior
work, and what came out, as experiments/reports/*/summary.json say. With --add, a report
is copied there first.
"""

import ast
import importlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from absl import flags

from experiments.grid import Experiment
from experiments.report import SUMMARY_FILE
from poseseg_jax import command, markdown

FOLDER = Path(__file__).resolve().parent
PAGE = FOLDER / "README.md"
REPORTS = FOLDER / "reports"
NAMES = (
    "bias_ablation",
    "feedback_transfer",
    "multi_task",
    "representation",
    "refinement",
    "backbone",
    "losses",
    "test_time",
)
# No grids of runs: their reports are elsewhere.
OTHERS = {
    "oracle": "[docs/representation.md](../docs/representation.md)",
    "small_persons": "[docs/data.md](../docs/data.md)",
    "coco_mini": "[its page](coco_mini/README.md)",
}
_NOT_RUN = "not run yet."
_HEAD = """# Experiments

What a choice does to the scores. Every script trains a grid of runs, one after the
other or several at a time, and writes a report of what ran: scores of both tasks, also
by head count and by overlap, over several seeds where there are some; differences to a
baseline and to controls, with bootstrap intervals; charts; the command, versions and
commit. `python -m experiments.readme` makes this page from the reports.

**All that follows is of people who were drawn, and of small networks that were trained
for minutes on a CPU**, with `--preset=tiny`. It shows that the scripts work, and what
such networks do: it says little of photographs. `bias_ablation` with a ResNet-50 on
photographs waits for a GPU:

```bash
python -m experiments.bias_ablation --output=runs/photographs --seeds=3 \\
    --config.data.root=coco --config.model.backbone=resnet50
```

A difference is in AP points, and called clear if its 95 % interval leaves out 0. With
few seeds some do by chance: every report says how many. Experiments of one preset
compare with the same baseline, the same config and seeds, so with the same networks:
what is luck in these is in all of them.

```bash
python -m experiments.multi_task --output=runs/multi_task --preset=tiny --seeds=1
python -m experiments.bias_ablation --output=runs/bias_ablation --preset=tiny --dry_run
python -m experiments.bias_ablation --output=runs/coco --config.data.root=coco
```

Started again, a grid skips what is finished and goes on with what is not; a run that
fails is reported, and does not stop the others.

| file | what it holds |
|---|---|
| `report.md`, `*.png` | what came out, as text, tables and charts |
| `results.csv` | all scores of all runs |
| `summary.json` | what this page is made of |
| `runs/VARIANT/seed0/` | a workdir, with its command in `run.json` and `log.txt` |

| flag | what it does |
|---|---|
| `--preset=tiny` | runs anywhere, on drawn people: says little of photographs |
| `--seeds=3` | so many runs of every variant, each with a seed of its own |
| `--only=VARIANT` | runs this variant now, and what it needs; several: `--only` again |
| `--dry_run` | lists the runs, how far each is, and what the rest takes |
| `--report_only` | makes the report of what is there, also while a grid is at work |
| `--jobs=2` | so many runs at a time on a CPU; their times are not reported |
| `--gpus=0,1` | a run at a time on each of these |
| `--config.model.norm=frozen` | sets this, or any other field, in every run |

Runs that share a CPU add numbers in another order than runs that have it alone. After
hundreds of steps that is as good as another seed: see that a grid has one `--jobs`.
"""


def page() -> str:
    """The text of experiments/README.md."""
    experiments = [_load(name) for name in NAMES]
    rows = [
        [f"[{e.name}](#{e.name})", e.question, "<br>".join(_in_short(e.name))]
        for e in experiments
    ]
    rows += [
        [f"`{name}`", _first_line(name), f"see {where}"]
        for name, where in OTHERS.items()
    ]
    head = ["script", "question", "what came out"]
    parts = [_HEAD, markdown.table(head, rows, words=3)]
    parts += [_section(experiment) for experiment in experiments]
    return "\n".join(parts)


def _load(name: str) -> Experiment:
    return importlib.import_module(f"experiments.{name}").EXPERIMENT


def _section(experiment: Experiment) -> str:
    name = experiment.name
    return "\n".join(
        [
            f"## {name}\n",
            f"**{experiment.question}**\n",
            f"{_rest(name)}\n",
            f"Prior work: {experiment.expected}\n",
            "```bash",
            _command(name),
            "```\n",
            "What came out:\n",
            *_outcomes(name),
            "",
        ]
    )


def _command(name: str) -> str:
    """That made the report, or that would."""
    for _, said in _summaries(name):
        return said["command"]
    return f"python -m experiments.{name} --output=runs/{name} --preset=tiny"


def _in_short(name: str) -> list[str]:
    """The lines of a table's cell: without intervals."""
    lines = []
    for path, said in _summaries(name):
        lines.append(f"{_what(said)}, {_link(path, 'report')}:")
        lines += [re.sub(r" \[.*?\]", "", one) for one in said["outcome"]]
    return lines or [_NOT_RUN]


def _outcomes(name: str) -> list[str]:
    """The lines of a list, of each report of an experiment."""
    lines = []
    for path, said in _summaries(name):
        runs = f"{said['finished']} of {said['runs']} runs ({said['trained']})"
        count, told = said["chance"]
        lines.append(f"- {_what(said)}, {runs}, {_link(path, 'the whole report')}:")
        lines += [f"  - {one}" for one in said["outcome"]]
        lines.append(f"  - In the report, {told} of {count} intervals leave out 0.")
    return lines or [f"- {_NOT_RUN}"]


def _summaries(name: str) -> list[tuple[Path, dict[str, Any]]]:
    found = [(path, _read(path)) for path in sorted(REPORTS.glob(f"*/{SUMMARY_FILE}"))]
    return [(path, said) for path, said in found if said["name"] == name]


def _what(said: Mapping[str, Any]) -> str:
    what = "drawn people" if said["data"] == "embedded" else said["data"]
    return f"On {what}, {said['seeds']} seed{'s' if said['seeds'] > 1 else ''}"


def _link(path: Path, words: str) -> str:
    return f"[{words}]({path.parent.relative_to(FOLDER)}/report.md)"


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def add(output: Path) -> Path:
    """Copies a report, without its runs, to the others.

    It takes the place of an older one of the same experiment and data.

    Args:
      output: where an experiment has left it.

    Returns:
      Where it is now: experiments/reports/ and the name of the folder.

    Raises:
      ValueError: if there is no report, if it is one of those that are kept, and if a
        report of something else has the place.
    """
    if not (output / SUMMARY_FILE).exists():
        raise ValueError(f"{output} holds no {SUMMARY_FILE}, so no report.")
    if output.resolve().is_relative_to(REPORTS.resolve()):
        raise ValueError(
            f"{output} is kept already; expected the output of an experiment, as "
            "runs/losses."
        )
    kept = REPORTS / output.resolve().name
    _check_same(_read(output / SUMMARY_FILE), kept)
    REPORTS.mkdir(parents=True, exist_ok=True)
    # Where the page does not look, so that a report is there whole or not at all.
    with tempfile.TemporaryDirectory(prefix=".report", dir=REPORTS.parent) as folder:
        new, old = Path(folder) / "new", Path(folder) / "old"
        new.mkdir()
        for path in sorted(output.iterdir()):
            if path.is_file() and path.suffix in (".md", ".png", ".csv", ".json"):
                shutil.copy(path, new)
        if kept.exists():
            kept.rename(old)
        new.rename(kept)
    return kept


def _check_same(new: Mapping[str, Any], kept: Path) -> None:
    if not (kept / SUMMARY_FILE).exists():
        return
    old = _read(kept / SUMMARY_FILE)
    what = [f"{said['name']} on {said['data']}" for said in (old, new)]
    if what[0] != what[1]:
        raise ValueError(
            f"{kept} holds the report of {what[0]}, not of {what[1]}: give the output "
            "another name, or remove that report first."
        )


def _paragraphs(name: str) -> Iterator[str]:
    """Of the docstring of a module or package, without its indented commands."""
    path = FOLDER / name
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    for paragraph in text.split("\n\n"):
        if not paragraph.startswith("    "):
            yield " ".join(paragraph.split())


def _first_line(name: str) -> str:
    return next(_paragraphs(name))


def _rest(name: str) -> str:
    return "\n\n".join(list(_paragraphs(name))[1:])


def _main(_) -> None:
    if flags.FLAGS.add:
        print(add(Path(flags.FLAGS.add)))
    Path(flags.FLAGS.output).write_text(page())
    print(flags.FLAGS.output)


if __name__ == "__main__":
    flags.DEFINE_string("add", None, "Folder of a report to keep with the others.")
    flags.DEFINE_string("output", str(PAGE), "Where the page goes.")
    command.run(_main)
