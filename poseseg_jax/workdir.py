"""The folder of a run: whose it is, and whether it is finished."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poseseg_jax import config as config_lib

CONFIG_FILE = "config.json"
METRICS_FILE = "metrics.json"

# What may differ when a run goes on: it changes nothing of what has been learned.
_FREE = ("train.num_steps", "train.log_every", "checkpoint", "eval", "decode")
_FREE += ("data.num_workers", "data.prepared_dir")
_SCORED = ("eval", "decode")  # after a change of these, old scores are not its own


def claim(workdir: Path, config: Mapping[str, Any]) -> None:
    """Writes the config into the workdir, unless that belongs to another one.

    Scores that the new config would not have given are removed.

    Raises:
      ValueError: if it differs in what shaped the parameters of that run.
    """
    path = workdir / CONFIG_FILE
    new = json.loads(json.dumps(config))
    learned = [p for p in (workdir / "checkpoints").glob("*") if p.name.isdigit()]
    if path.exists() and (learned or (workdir / METRICS_FILE).exists()):
        changes = config_lib.differences(json.loads(path.read_text()), new)
        wrong = [f"{k}: {v}" for k, v in changes.items() if not k.startswith(_FREE)]
        if wrong:
            raise ValueError(
                f"{workdir} holds a run of another config; take another --workdir, or "
                "give it back what it had: " + "; ".join(wrong)
            )
        if any(name.startswith(_SCORED) for name in changes):
            (workdir / METRICS_FILE).unlink(missing_ok=True)
    workdir.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(json.dumps(new, indent=2) + "\n")
    unfinished.replace(path)


def final_metrics(workdir: Path, num_steps: int) -> dict[str, float | None] | None:
    """The metrics of a run's end after `num_steps` or more; None before."""
    path = workdir / METRICS_FILE
    metrics = json.loads(path.read_text()) if path.exists() else {}
    # Absent also where something else than the run's own end was evaluated since.
    return metrics if metrics.get("train/steps", 0) >= num_steps else None
