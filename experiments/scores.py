"""What the runs of an experiment scored, and by how much that differs."""

import functools
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments import launch
from experiments.grid import Run, Variant
from poseseg_jax import config as config_lib
from poseseg_jax.charts.point import Point, over_seeds
from poseseg_jax.coco import annotations, bootstrap, crowding, scoring
from poseseg_jax.coco.bootstrap import Drawn, Interval
from poseseg_jax.coco.groups import group_difference
from poseseg_jax.data.prepared import prepare
from poseseg_jax.data.settings import DataSettings
from poseseg_jax.judging import read_matches
from poseseg_jax.workdir import METRICS_FILE

_log = logging.getLogger(__name__)

Scores = Mapping[str, float | None]


# Fewer pictures than these are not worth an interval.
ENOUGH = 10
TIME = "eval/ms_per_image"
# By the keys of metrics.json.
Differences = Mapping[str, Interval | None]
# By variant and seed.
Draws = Mapping[str, Mapping[int, Drawn]]


@dataclass(frozen=True)
class Row:
    """A variant and what its runs scored.

    Attributes:
      variant: which.
      by_seed: of every finished run, what metrics.json says of what it learned.
      to_baseline: how much better it is; nothing where there is nothing to compare.
      to_controls: likewise, for each of its controls.
    """

    variant: Variant
    by_seed: Mapping[int, Scores]
    to_baseline: Differences
    to_controls: Mapping[str, Differences]

    def values(self, key: str) -> list[float]:
        """A score of every run that has it, seed by seed."""
        found = [self.by_seed[seed].get(key) for seed in sorted(self.by_seed)]
        return [value for value in found if value is not None]

    def spread(self, key: str) -> Point | None:
        """The mean over seeds, and a standard deviation to either side."""
        return over_seeds(self.values(key))


def draw(runs: Sequence[Run], *, resamples: int) -> Draws:
    """Scores finished runs on draws of pictures, by variant and seed.

    Args:
      runs: of the experiment.
      resamples: draws of the bootstrap, the same for every run.
    """
    found: dict[str, dict[int, Drawn]] = {}
    for run in runs:
        if launch.state(run) == "finished" and not run.variant.is_step:
            found.setdefault(run.variant.name, {})[run.seed] = _drawn(run, resamples)
    return found


def rows(runs: Sequence[Run], baseline: str, drawn: Draws) -> list[Row]:
    """A row for every variant, in their order, compared over the same draws.

    Args:
      runs: of the experiment.
      baseline: the variant with which all are compared.
      drawn: what `draw` found.
    """
    finished = [run for run in runs if launch.state(run) == "finished"]
    by_variant: dict[str, dict[int, Scores]] = {}
    for run in finished:
        by_variant.setdefault(run.variant.name, {})[run.seed] = metrics(run)
    variants = {run.variant.name: run.variant for run in runs}
    trusted = trusted_keys(finished)

    def difference(before: str, after: Variant) -> Differences:
        if before not in variants or after.is_step:
            return {}
        found = _difference(drawn, variants[before], after)
        return {key: one for key, one in found.items() if _learned(key, after)} | {
            key: None for key in found if key not in trusted
        }

    return [
        Row(
            variant,
            by_variant.get(variant.name, {}),
            difference(baseline, variant),
            {control: difference(control, variant) for control in variant.controls},
        )
        for variant in variants.values()
    ]


def pictures(runs: Sequence[Run]) -> Mapping[str, int]:
    """How many pictures of the split are in each bucket of crowding."""
    if not runs:
        return {}
    found = crowding.buckets(annotations.load(_truth(runs[0])).pictures)
    return {name: len(image_ids) for name, image_ids in found.items()}


def trusted_keys(runs: Sequence[Run]) -> set[str]:
    """Keys of scores that rest on enough pictures for an interval."""
    counts = pictures(runs)
    few = {f"crowd/{name}/" for name, count in counts.items() if count < ENOUGH}
    keys = [*scoring.keys(), *crowding.keys()]
    return {key for key in keys if not key.startswith(tuple(few))}


def metrics(run: Run) -> Scores:
    """What metrics.json of a finished run says of what it learned."""
    found = json.loads((run.workdir / METRICS_FILE).read_text())
    return {key: v for key, v in found.items() if _learned(key, run.variant)}


def _learned(key: str, variant: Variant) -> bool:
    """Whether a variant learned what a score is about."""
    return not set(scoring.TASKS) & set(key.split("/")) - set(variant.tasks)


def _drawn(run: Run, resamples: int) -> Drawn:
    _log.info("Resampling the pictures of %s", run.label)
    matches = read_matches(run.workdir, _truth(run))
    return bootstrap.drawn(matches, resamples=resamples)


def _truth(run: Run) -> Path:
    return _annotations(config_lib.parse(run.config).data)


@functools.cache
def _annotations(settings: DataSettings) -> Path:
    return prepare(settings).val_annotations


def _difference(drawn: Draws, before: Variant, after: Variant) -> Differences:
    """In pairs where both are the same trained networks."""
    old, new = drawn.get(before.name, {}), drawn.get(after.name, {})
    if before == after or not old or not new:
        return {}
    networks = [one.of or one.name for one in (before, after)]
    is_paired = networks[0] == networks[1]
    if is_paired:
        both = old.keys() & new.keys()
        old, new = ({seed: one[seed] for seed in both} for one in (old, new))
        if not both:
            return {}
    groups = [[of_seed[seed] for seed in sorted(of_seed)] for of_seed in (old, new)]
    return group_difference(*groups, paired=is_paired).by_key
