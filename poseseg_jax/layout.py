"""Where things lie in the folder of a run, of which several modules know."""

from pathlib import Path

LOG = "metrics.jsonl"
CHECKPOINTS = "checkpoints"  # a folder for each step, with its number as name
METRICS_OF_CHECKPOINT = "metrics/metrics"  # below that; Orbax keeps them so


def checkpoint_steps(workdir: Path) -> list[int]:
    """Steps of which there seems to be a checkpoint, ascending."""
    folders = (workdir / CHECKPOINTS).glob("*")
    return sorted(int(path.name) for path in folders if path.name.isdigit())


def metrics_of_checkpoints(checkpoints: Path) -> list[Path]:
    """The metrics of all checkpoints in their folder, where there are some."""
    return sorted(checkpoints.glob(f"[0-9]*/{METRICS_OF_CHECKPOINT}"))
