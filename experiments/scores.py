"""What the runs of an experiment scored, and by how much that differs."""

import functools
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments import launch
from experiments.grid import Run, Variant
from poseseg_jax import config as config_lib
from poseseg_jax.coco import bootstrap
from poseseg_jax.coco.bootstrap import Drawn, Interval
from poseseg_jax.coco.groups import group_difference
from poseseg_jax.data.prepared import prepare
from poseseg_jax.judging import read_matches
from poseseg_jax.workdir import METRICS_FILE

_log = logging.getLogger(__name__)

Scores = Mapping[str, float | None]


@dataclass(frozen=True)
class Row:
    """A variant and what its runs scored.

    Attributes:
      variant: which.
      by_seed: metrics.json of every finished run.
      to_baseline, to_control: how much better it is, by the keys of metrics.json; none
        where there is nothing to compare.
    """

    variant: Variant
    by_seed: Mapping[int, Scores]
    to_baseline: Mapping[str, Interval | None]
    to_control: Mapping[str, Interval | None]

    def values(self, key: str) -> list[float]:
        """A score of every run that has it, seed by seed."""
        found = [self.by_seed[seed].get(key) for seed in sorted(self.by_seed)]
        task_free = [value for value in found if value is not None]
        return task_free if self.counts(key) else []

    def counts(self, key: str) -> bool:
        """Whether the variant learned what a score is about."""
        return not {"keypoints", "segm"} & set(key.split("/")) - set(self.variant.tasks)

    def mean(self, key: str) -> float | None:
        """Over the seeds; None without a value."""
        values = self.values(key)
        return float(np.mean(values)) if values else None

    def deviation(self, key: str) -> float | None:
        """The standard deviation over the seeds; None of less than two."""
        values = self.values(key)
        return float(np.std(values, ddof=1)) if len(values) > 1 else None


def rows(runs: Sequence[Run], baseline: str, *, resamples: int) -> list[Row]:
    """A row for every variant, in their order, compared over the same draws.

    Args:
      runs: of the experiment.
      baseline: the variant with which all are compared.
      resamples: draws of the bootstrap.
    """
    finished = [run for run in runs if launch.state(run) == "finished"]
    drawn: dict[str, dict[int, Drawn]] = {}
    metrics: dict[str, dict[int, Scores]] = {}
    for run in finished:
        name = run.variant.name
        metrics.setdefault(name, {})[run.seed] = _metrics(run)
        if not run.variant.is_step:
            drawn.setdefault(name, {})[run.seed] = _drawn(run, resamples)
    found = []
    for variant in {run.variant.name: run.variant for run in runs}.values():
        compare = functools.partial(_difference, drawn, after=variant)
        found.append(
            Row(
                variant,
                metrics.get(variant.name, {}),
                compare(before=baseline),
                compare(before=variant.control),
            )
        )
    return found


def _metrics(run: Run) -> Scores:
    return json.loads((run.workdir / METRICS_FILE).read_text())


def _drawn(run: Run, resamples: int) -> Drawn:
    _log.info("drawing pictures of %s", run.label)
    matches = read_matches(run.workdir, _truth(json.dumps(run.config)))
    return bootstrap.drawn(matches, resamples=resamples)


@functools.cache
def _truth(config: str) -> Path:
    settings = config_lib.parse(json.loads(config))
    return prepare(settings.data).val_annotations


def _difference(
    drawn: Mapping[str, Mapping[int, Drawn]], *, before: str, after: Variant
) -> Mapping[str, Interval | None]:
    """In pairs where both are the same trained networks, over the seeds of both."""
    old, new = drawn.get(before, {}), drawn.get(after.name, {})
    if before == after.name or not old or not new:
        return {}
    is_paired = after.of == before
    if is_paired:
        old = {seed: old[seed] for seed in old if seed in new}
    groups = [[of_seed[seed] for seed in sorted(of_seed)] for of_seed in (old, new)]
    return group_difference(*groups, paired=is_paired).by_key
