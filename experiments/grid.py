"""What an experiment is: a question, a baseline, and runs that differ in few fields."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from poseseg_jax import config as config_lib
from poseseg_jax.coco.scoring import TASKS

CONFIG = "configs/full.py"
# Fields by "group.field", as in configs/base.py.
Changes = Mapping[str, Any]


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
      control: another variant with which this one is compared, beside the baseline.
      series, at: where the variant lies in the experiment's chart: on which line, and
        at which number along it. Without a series, on all lines.
      is_step: whether it is only on the way to another one: in results.csv and on the
        chart, and in no table.
      tasks: what it learns, and is scored for.
    """

    name: str
    changes: Changes = field(default_factory=dict)
    after: str = ""
    of: str = ""
    control: str = ""
    series: str = ""
    at: float | None = None
    is_step: bool = False
    tasks: tuple[str, ...] = TASKS


@dataclass(frozen=True)
class Experiment:
    """A question that runs can answer.

    Attributes:
      name: of the module.
      title: of the report.
      question: a sentence.
      expected: what the paper or the seed code says of it, with the source.
      baseline: the variant with which all others are compared.
      variants: made from the experiment's config, of which they may take numbers.
      tiny: what the preset `tiny` changes beyond the preset of the configs.
      by_seed: fields that are the run's seed.
      along: what `Variant.at` is, with its unit; "" where there is no such chart.
      has_ceiling: whether what a perfect network would score stands beside.
      against_time: whether there is a chart of scores against time per picture.
    """

    name: str
    title: str
    question: str
    expected: str
    baseline: str
    variants: Callable[[ConfigDict], Sequence[Variant]]
    tiny: Changes = field(default_factory=dict)
    by_seed: tuple[str, ...] = ("train.seed",)
    along: str = ""
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

    Raises:
      ValueError: for a field that the experiment varies itself, for a config that makes
        no sense, naming the variant, and for no seeds at all.
    """
    if seeds < 1:
        raise ValueError(f"--seeds is {seeds}; expected 1 or more.")
    tiny = experiment.tiny if file.endswith(":tiny") else {}
    shared = {**tiny, **overrides}
    begun = ConfigDict(config)
    begun.update_from_flattened_dict(shared)
    variants = experiment.variants(begun)
    _check(experiment, variants, overrides)
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
    own |= dict.fromkeys(experiment.by_seed, "every run")
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
    assert all(not v.control or v.control in seen for v in variants)
