"""Files of checkpoints as the file system sees them: what is broken, and the metrics.

Orbax, which writes all the rest, is checkpoint.py's.
"""

import contextlib
import errno
import itertools
import json
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from poseseg_jax import layout
from poseseg_jax.disk import may_pass, write_whole

_log = logging.getLogger(__name__)

Metrics = Mapping[str, float | None]
_BROKEN = "broken_checkpoints"


class BrokenCheckpoint(ValueError):
    """A checkpoint that cannot be read, or that does not hold what was written."""


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Says of which checkpoint an error in reading is.

    Args:
      path: of the checkpoint.

    Raises:
      OSError: if it may be whole, but could not be read now.
      BrokenCheckpoint: for every other error inside of the `with`.
    """
    try:
        yield
    # Orbax and what lies below it fail in many ways, by the byte that is wrong.
    except Exception as error:
        if may_pass(error):
            raise OSError(
                errno.EIO,
                f"{path} could not be read now ({_first_line(error)}). Give the "
                "command again. If it is said again and again, and memory and "
                f"drive are in order, move {path} away",
            ) from error
        raise BrokenCheckpoint(
            f"{path} cannot be read ({_first_line(error)})."
        ) from error


def quality(metrics: Metrics | None, name: str) -> float:
    """A metric by which checkpoints compare; without one, worse than all."""
    value = (metrics or {}).get(name)
    return -math.inf if value is None or math.isnan(value) else float(value)


def add_metrics(path: Path, metrics: Metrics) -> None:
    """Writes them into a checkpoint that is there, which stays whole meanwhile."""
    file = path / layout.METRICS_OF_CHECKPOINT
    file.parent.mkdir(exist_ok=True)
    write_whole(file, json.dumps(dict(metrics)))


def forget_broken_metrics(directory: Path, *, may_remove: bool) -> None:
    """Removes broken metrics, at which Orbax would stop before it reads anything.

    Args:
      directory: of all checkpoints.
      may_remove: whether they are this process' own.

    Raises:
      ValueError: naming them, if they may not be removed.
    """
    for path in layout.metrics_of_checkpoints(directory):
        try:
            json.loads(path.read_bytes())
        except ValueError as error:
            if not may_remove:
                raise ValueError(f"{path} cannot be read; remove it.") from error
            _log.warning("%s cannot be read: the score is forgotten.", path)
            path.unlink()


def set_aside(directory: Path, steps: Sequence[int]) -> None:
    """Moves checkpoints out of the way of those that a run will write.

    Args:
      directory: of all checkpoints; they go to `broken_checkpoints` beside it.
      steps: which.
    """
    for step in steps:
        folder = directory.with_name(_BROKEN)
        folder.mkdir(exist_ok=True)
        names = (f"{step}.{n}" if n else f"{step}" for n in itertools.count())
        place = next(folder / name for name in names if not (folder / name).exists())
        (directory / str(step)).rename(place)
        _log.warning("It is moved to %s.", place)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
