"""What an experiment is: a question, a baseline, and runs that differ in few fields."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poseseg_jax.coco.scoring import TASKS
from poseseg_jax.config import Settings

CONFIG = "configs/full.py"
# Fields by "group.field", as in configs/base.py.
Changes = Mapping[str, Any]
ALL_PICTURES = {"all pictures": "{}/AP"}
CROWDS = {"pictures of 8 or more people": "crowd/people_8+/{}/AP"}
SINGLES = {"pictures of one person": "crowd/people_1/{}/AP"}
_ABOUT = {**ALL_PICTURES, **CROWDS}


@dataclass(frozen=True)
class Variant:
    """One row of an experiment's tables.

    Attributes:
      name: of the row, and of the folder of its runs.
      changes: what differs from the experiment's config.
      after: another variant, with whose network of the same seed the runs begin
        (`init.workdir`).
      of: another variant, whose trained network is evaluated again, with these changes
        of `decode` and `eval`; nothing is trained.
      controls: other variants with which this one is compared, beside the baseline.
      series, at: where the variant lies in the experiment's chart: on which lines, and
        at which number along them. What lies nowhere, and is no step, is drawn across.
      stage: which of a chain it is: each sees pictures in an order of its own.
      is_step: whether it is only on the way to another one: in results.csv and on the
        chart, and in no table.
      tasks: what it learns, and is scored for.
    """

    name: str
    changes: Changes = field(default_factory=dict)
    after: str = ""
    of: str = ""
    controls: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    at: float | None = None
    stage: int = 0
    is_step: bool = False
    tasks: tuple[str, ...] = TASKS


@dataclass(frozen=True)
class Experiment:
    """A question that runs can answer.

    Attributes:
      name: of the module.
      title: of the report.
      question: a sentence.
      expected: what the paper or the released code says of it, with the source.
      baseline: the variant with which all others are compared.
      variants: made for the experiment's settings, of which they may take numbers.
      tiny_steps: of every run with the preset `tiny`, saved at its end only.
      by_seed: fields that are the run's seed.
      fixed: fields that nobody may set, beside those that it sets itself.
      about: what the report puts into words: some of the pictures, and their keys in
        metrics.json with {} for the task. What the question is about comes first.
      along: what `Variant.at` is, with its unit; "" where there is no such chart.
      trend: the way from the first to the last place along, in words, if the report
        is to tell how scores move on it; see trends.py.
      has_ceiling: whether what a perfect network would score stands beside.
      against_time: whether there is a chart of scores against time per picture.
    """

    name: str
    title: str
    question: str
    expected: str
    baseline: str
    variants: Callable[[Settings], Sequence[Variant]]
    tiny_steps: int = 600
    by_seed: tuple[str, ...] = ("train.seed",)
    fixed: tuple[str, ...] = ()
    about: Mapping[str, str] = field(default_factory=lambda: dict(_ABOUT))
    along: str = ""
    trend: str = ""
    has_ceiling: bool = False
    against_time: bool = False


@dataclass(frozen=True)
class Run:
    """One network to train, or to evaluate again.

    Attributes:
      variant: whose run it is.
      seed: which of its runs.
      workdir: where it is kept.
      source: workdir of the run with which it begins, or which it evaluates.
      file: of the config, with its preset.
      config: whole, as a run is given it.
      changes: what of it differs from the file.
    """

    variant: Variant
    seed: int
    workdir: Path
    source: Path | None
    file: str
    config: Mapping[str, Any]
    changes: Changes

    @property
    def label(self) -> str:
        """How it is called on the terminal."""
        return f"{self.variant.name}, seed {self.seed}"

    @property
    def steps(self) -> int:
        """How many steps are trained."""
        return 0 if self.variant.of else self.config["train"]["num_steps"]


def one_at_a_time(
    group: str, changes: Mapping[str, Changes], **common: Any
) -> list[Variant]:
    """A variant for each set of changes in a group of the config, by their names."""
    return [
        Variant(name, {f"{group}.{k}": v for k, v in own.items()}, **common)
        for name, own in changes.items()
    ]
