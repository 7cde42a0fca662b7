"""The folder of a run: whose it is, who is at work in it, whether it is finished."""

import fcntl
import json
import logging
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from poseseg_jax import layout
from poseseg_jax.disk import full_disk_explained, is_full, write_whole
from poseseg_jax.fields import Change, differences

_log = logging.getLogger(__name__)

CONFIG_FILE = "config.json"
METRICS_FILE = "metrics.json"
LOCK_FILE = ".lock"

# What may differ when a run goes on: it changes nothing of what has been learned.
_FREE = (
    "train.num_steps",
    "train.log_every",
    "profile",
    "checkpoint",
    "eval",
    "decode",
)
# Where the data lie, and who reads them. That they are the same data is seen when the
# run goes on: a checkpoint says which ones it has learned from.
_PLACES = ("data.root", "data.train_annotations", "data.train_images")
_PLACES += ("data.val_annotations", "data.val_images", "data.download")
_FREE += ("data.num_workers", "data.prepared_dir", *_PLACES)
# An ancestor may be moved: a checkpoint says which step of it was used.
_FREE += ("init.workdir",)
# After a change of these, a run is evaluated again.
_SCORED = ("eval", "decode", *_PLACES)
# After a change of these only, its old scores are its own: they say when it is, how
# fast, on which copy of the data, and what is drawn.
_SCORED_ALIKE = ("eval.every_steps", "eval.batch_size", "eval.overlays", "eval.worst")
_SCORED_ALIKE += _PLACES
_AGAIN = "Make room, and give the same command again."


@contextmanager
def occupied(workdir: Path) -> Iterator[None]:
    """Makes the workdir, and keeps other runs out of it inside of the `with`.

    The operating system keeps the lock, and ends it with the process, also when that is
    killed: nobody ever has to remove one.

    Raises:
      ValueError: if another run is at work in it, naming its process; if it cannot be
        made or written.
      NoRoom: where the disk is full, now or inside of the `with`.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = os.open(workdir / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if is_full(error):
            with full_disk_explained(workdir, _AGAIN):
                raise
        raise ValueError(
            f"{workdir} cannot be written ({error.strerror}: {error.filename}). Give "
            "a --workdir in which this user may make files."
        ) from None
    try:
        _take(lock, workdir)
        with full_disk_explained(workdir, _AGAIN):
            os.truncate(lock, 0)
            own = f"process {os.getpid()} on {socket.gethostname()}\n"
            os.write(lock, own.encode())
            try:
                yield
            finally:
                os.truncate(lock, 0)
    finally:
        os.close(lock)


def _take(lock: int, workdir: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(
            f"{workdir} is in use by another run ({_holder(lock)}). Wait "
            "for its end, end it, or give this one a --workdir of its own."
        ) from None
    except OSError as error:
        _log.warning(
            "%s: this file system has no locks (%s): see to it yourself that no other "
            "run is at work there.",
            workdir,
            error.strerror,
        )


def holder(workdir: Path) -> str:
    """Who is at work in a workdir; "" if nobody is, or if nobody can tell."""
    try:
        lock = os.open(workdir / LOCK_FILE, os.O_RDONLY)
    except OSError:
        return ""
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(lock)
    except OSError:
        return ""
    finally:
        os.close(lock)
    return ""


def _holder(lock: int) -> str:
    said = os.read(lock, 200).decode(errors="replace").strip()
    return said or "just starting"


def allowed_changes(workdir: Path, config: Mapping[str, Any]) -> dict[str, Change]:
    """What differs between a run and a config with which it may go on, by field.

    Raises:
      ValueError: if something differs that shaped the parameters of that run; if it
        has taken more steps than the config asks for; if it is not finished, and its
        checkpoints are gone.
    """
    path = workdir / CONFIG_FILE
    if not path.exists():
        return {}
    new, old = json.loads(json.dumps(config)), _read(path)
    steps = layout.checkpoint_steps(workdir)
    lost = 0 if steps else _steps_lost(workdir, old)
    if not (steps or lost or (workdir / METRICS_FILE).exists()):
        return {}
    changes = differences(old, new)
    wrong = [f"{k}: {v}" for k, v in changes.items() if not _is_free(k, v)]
    if wrong:
        raise ValueError(
            f"{workdir} holds a run of another config; take another --workdir, or "
            "give it back what it had: " + "; ".join(wrong)
        )
    num_steps, trained = new["train"]["num_steps"], max([lost, *steps])
    if num_steps < trained:
        raise ValueError(
            f"{workdir} has trained for {trained} steps, and train.num_steps is "
            f"{num_steps}: no step is taken back. Give it {trained} or more, or take "
            "another --workdir."
        )
    if lost and (needs_evaluation(changes) or not final_metrics(workdir, num_steps)):
        raise ValueError(
            f"{workdir} has learned for {lost} steps, and its checkpoints are gone. "
            f"Put {workdir / layout.CHECKPOINTS} back, or take another --workdir."
        )
    return changes


def changes_nothing(name: str, change: Change) -> bool:
    """Whether a finished run with this change of a field would be the same, surely."""
    is_moved_ancestor = name == "init.workdir" and _is_free(name, change)
    return is_moved_ancestor or name in ("data.num_workers", "data.prepared_dir")


def _is_free(name: str, change: Change) -> bool:
    """Whether a run may go on with this change of a field."""
    if name == "init.workdir" and not (change.old and change.new):
        return False  # an ancestor that comes or goes was not moved
    return name.startswith(_FREE)


def _steps_lost(workdir: Path, config: Mapping[str, Any]) -> int:
    """How far a run without checkpoints has come; 0 if it never saved one.

    A line of the very step of the first save may be written, and the save not be done.
    """
    metrics = read_metrics(workdir)
    logged = _last_logged(workdir / layout.LOG)
    logged = logged if logged > config["checkpoint"]["every_steps"] else 0
    return max(metrics.get("train/steps", 0), metrics.get("eval/step", 0), logged)


def _last_logged(path: Path) -> int:
    """The largest step of a log; 0 if there is none."""
    found = [0]
    for line in path.read_text(errors="replace").splitlines() if path.exists() else ():
        with suppress(ValueError, KeyError, TypeError):  # cut off while it was written
            found.append(int(json.loads(line)["step"]))
    return max(found)


def needs_evaluation(changes: Mapping[str, Change]) -> bool:
    """Whether a finished run with these changes is evaluated again.

    That is so after some that change no score, too: they change what is drawn.
    """
    return any(name.startswith(_SCORED) for name in changes)


def claim(workdir: Path, config: Mapping[str, Any]) -> None:
    """Writes the config into the workdir.

    The metrics of a run that is evaluated again are removed; those of its checkpoints,
    by which one may be the best, where the new config would not have given them.

    Raises:
      ValueError: as `allowed_changes` does.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    changes = allowed_changes(workdir, config)
    for name, change in changes.items():
        _log.info("The run goes on with another %s: %s", name, change)
    if needs_evaluation(changes):
        (workdir / METRICS_FILE).unlink(missing_ok=True)
    again = [n for n in changes if n.startswith(_SCORED)]
    if not all(name.startswith(_SCORED_ALIKE) for name in again):
        for path in layout.metrics_of_checkpoints(workdir / layout.CHECKPOINTS):
            path.unlink()
    text = json.dumps(json.loads(json.dumps(config)), indent=2) + "\n"
    write_whole(workdir / CONFIG_FILE, text)


def final_metrics(workdir: Path, num_steps: int) -> dict[str, float | None] | None:
    """The metrics of a run's end after `num_steps` or more; None before.

    Raises:
      ValueError: as of `read_metrics`.
    """
    metrics = read_metrics(workdir)
    # Absent also where something else than the run's own end was evaluated since.
    return metrics if metrics.get("train/steps", 0) >= num_steps else None


def read_metrics(folder: Path) -> dict[str, Any]:
    """What metrics.json says; {} where there is none.

    Args:
      folder: a workdir, or where an evaluation has written.

    Raises:
      ValueError: naming the file, if it cannot be read.
    """
    path = folder / METRICS_FILE
    return _read(path) if path.exists() else {}


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError(f"it holds {found!r:.60}")
        return found
    except ValueError as error:
        raise ValueError(
            f"{path} cannot be read ({error}). Remove it, and give the same command "
            "again."
        ) from None
