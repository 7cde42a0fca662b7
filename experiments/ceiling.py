"""What runs could reach at most: a perfect network with each of their configs."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from experiments import perfect, provenance
from experiments.grid import Run
from poseseg_jax import config as config_lib
from poseseg_jax.coco import annotations
from poseseg_jax.coco.scoring import TASKS
from poseseg_jax.data.prepared import prepare
from poseseg_jax.disk import write_whole

_log = logging.getLogger(__name__)

# By variant, task.
Ceilings = dict[str, dict[str, float | None]]


def ceilings(runs: Sequence[Run], path: Path) -> Ceilings:
    """AP of ground truth through targets and decoder, for every variant.

    Args:
      runs: of the experiment.
      path: of a file that remembers what the same code has measured before. Of code
        that no commit holds, nothing is remembered.
    """
    commit = provenance.commit()
    may_remember = provenance.is_exact(commit)
    known = json.loads(path.read_text()) if may_remember and path.exists() else {}
    found: Ceilings = {}
    for run in (run for run in runs if run.seed == 0):
        what = perfect.case_of(run.config)
        key = f"{commit}: {what!r}"
        if key not in known:
            _log.info("measuring the ceiling of %s", run.variant.name)
            truth = prepare(config_lib.parse(run.config).data).val_annotations
            scores = perfect.measure(what, annotations.load(truth).pictures, truth)
            known[key] = {task: scores[f"{task}/AP"] for task in TASKS}
            if may_remember:
                write_whole(path, json.dumps(known, indent=2) + "\n")
        found[run.variant.name] = known[key]
    return found
