"""What an experiment is: a question, a baseline, and runs that differ in few fields."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from poseseg_jax import config as config_lib
from poseseg_jax.coco.scoring import TASKS
from poseseg_jax.config import Settings
from poseseg_jax.fields import hint

CONFIG = "configs/full.py"
# Fields by "group.field", as in configs/base.py.
Changes = Mapping[str, Any]
ALL_PICTURES = {"all pictures": "{}/AP"}
CROWDS = {"pictures of 8 or more people": "crowd/people_8+/{}/AP"}
SINGLES = {"pictures of one person": "crowd/people_1/{}/AP"}
_ABOUT = {**ALL_PICTURES, **CROWDS}
_STAGE_SEEDS = 1_000  # further than anybody counts seeds


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


def plan(
    experiment: Experiment,
    folder: Path,
    *,
    file: str,
    config: Mapping[str, Any],
    overrides: Changes,
    seeds: int,
    only: Sequence[str] = (),
) -> list[Run]:
    """All runs of an experiment, each after those that it needs.

    Runs go seed by seed, so that a grid that is stopped early has whole rows.

    Args:
      experiment: what to run.
      folder: below which every run has its own.
      file: of the config with which all runs begin: PATH or PATH:PRESET.
      config: what it holds, with the overrides.
      overrides: fields that were set for all runs.
      seeds: runs of every variant: 0 ... seeds - 1.
      only: variants to run, with what they need; none: all.

    Raises:
      ValueError: for a field that the experiment varies itself, for a config that makes
        no sense, naming the variant, for a variant that there is not, and for no seeds.
    """
    if seeds < 1:
        raise ValueError(f"--seeds is {seeds}; expected 1 or more.")
    few = ("train.num_steps", "checkpoint.every_steps")
    is_tiny = file.endswith(":tiny")
    tiny = dict.fromkeys(few, experiment.tiny_steps) if is_tiny else {}
    shared = {**tiny, **overrides}
    begun = ConfigDict(config)
    begun.update_from_flattened_dict(shared)
    try:
        settings = config_lib.parse(begun.to_dict())
    except ValueError as error:
        raise ValueError(f"{experiment.name}: {error}") from None
    variants = experiment.variants(settings)
    _check(experiment, variants, overrides)
    variants = _needed(variants, only) if only else variants
    whole = _Shared(folder, file, begun, shared)
    return [
        _run(experiment, variant, seed, whole)
        for seed in range(seeds)
        for variant in variants
    ]


class _Shared(NamedTuple):
    """What all runs have in common."""

    folder: Path
    file: str
    config: ConfigDict
    changes: Changes


def _run(experiment: Experiment, variant: Variant, seed: int, shared: _Shared) -> Run:
    def workdir_of(name: str) -> Path:
        return shared.folder / name / f"seed{seed}"

    of_seed = dict.fromkeys(experiment.by_seed, seed)
    of_seed["train.seed"] = seed + _STAGE_SEEDS * variant.stage
    changes = {**shared.changes, **variant.changes, **of_seed}
    if variant.after:
        changes["init.workdir"] = str(workdir_of(variant.after))
    whole = shared.config.copy_and_resolve_references()
    try:
        whole.update_from_flattened_dict(changes)
        config_lib.parse(whole.to_dict())
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{experiment.name}, {variant.name}: {error}") from None
    source = variant.after or variant.of
    return Run(
        variant=variant,
        seed=seed,
        workdir=workdir_of(variant.name),
        source=workdir_of(source) if source else None,
        file=shared.file,
        config=whole.to_dict(),
        changes=changes,
    )


def _check(
    experiment: Experiment, variants: Sequence[Variant], overrides: Changes
) -> None:
    own = {name: v.name for v in variants for name in v.changes}
    own |= dict.fromkeys((*experiment.by_seed, *experiment.fixed), "every run")
    for name in overrides:
        if name in own:
            raise ValueError(
                f"--config.{name} cannot be set: {experiment.name} sets it itself, in "
                f"{own[name]}."
            )
    seen: set[str] = set()
    for variant in variants:
        assert variant.name not in seen, f"{variant.name} is there twice"
        for other in (variant.after, variant.of):
            assert not other or other in seen, f"{other} must come before its user"
        seen.add(variant.name)
    assert experiment.baseline in seen
    assert all(seen.issuperset(v.controls) for v in variants)


def _needed(variants: Sequence[Variant], only: Sequence[str]) -> list[Variant]:
    by_name = {variant.name: variant for variant in variants}
    wanted: set[str] = set()
    for name in only:
        while name and name not in wanted:
            if name not in by_name:
                raise ValueError(f"There is no variant {name!r}; {hint(name, by_name)}")
            wanted.add(name)
            name = by_name[name].after or by_name[name].of
    return [variant for variant in variants if variant.name in wanted]


def one_at_a_time(
    group: str, changes: Mapping[str, Changes], **common: Any
) -> list[Variant]:
    """A variant for each set of changes in a group of the config, by their names."""
    return [
        Variant(name, {f"{group}.{k}": v for k, v in own.items()}, **common)
        for name, own in changes.items()
    ]
