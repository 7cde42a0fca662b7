"""The runs of an experiment, planned: whole configs, each after what it needs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from experiments.grid import Changes, Experiment, Run, Variant
from poseseg_jax import config as config_lib
from poseseg_jax.fields import hint

_STAGE_SEEDS = 1_000  # further than anybody counts seeds


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
