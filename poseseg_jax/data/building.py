"""Prepared sets are made once, whole or not at all, and looked over before use."""

import logging
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds

from poseseg_jax.data.coco_persons.coco_persons_dataset_builder import (
    Builder,
    CocoPersonsConfig,
)
from poseseg_jax.data.locked import alone
from poseseg_jax.disk import NoRoom, is_full

_log = logging.getLogger(__name__)

_LOCK = ".lock"
_UNFINISHED = "incomplete.*"  # as TFDS calls what it has not renamed yet


def build(config: CocoPersonsConfig, data_dir: Path) -> tuple[Any, Path]:
    """The builder of a prepared set and the set's folder; it is made if need be.

    TFDS writes into a folder of another name and renames it at the end, so what has its
    name was finished. One process builds and others wait for it. What a killed process
    left is removed by the next one that builds anything.

    Raises:
      ValueError: for broken data, a full disk, or a prepared set that is not whole any
        more, naming its folder.
    """
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    folder = data_dir / Builder.name / config.name / str(Builder.VERSION)
    if not folder.is_dir():
        with alone(folder.parent / _LOCK) as is_alone:
            if not folder.is_dir():
                _remove_leftovers(folder.parent.parent, folder.parent, is_alone)
                _make(config, data_dir, folder)
    return _open(config, data_dir, folder), folder


def _make(config: CocoPersonsConfig, data_dir: Path, folder: Path) -> None:
    _log.info("Preparing %s", folder)
    try:
        builder: Any = Builder(config=config, data_dir=os.fspath(data_dir))
        builder.download_and_prepare()
    except (OSError, RuntimeError) as error:
        if is_full(error):
            free = shutil.disk_usage(folder.parent).free
            raise NoRoom(
                f"{folder}: the disk is full ({error}); {free / 1e9:.1f} GB are free "
                "now. Prepared data take about as much room as their pictures. Make "
                "room, or name another place with --config.data.prepared_dir=DIR"
            ) from None
        # Where there are no locks, another process may have been faster.
        if not isinstance(error, OSError) or not folder.is_dir():
            raise
    else:
        _log.info("Prepared; what it holds is told in %s", folder / "report.md")


def _remove_leftovers(sets: Path, mine: Path, is_alone: bool) -> None:
    """Removes what nobody is working on: where the lock is ours, or can be had."""
    for unfinished in sorted(sets.glob(f"*/{_UNFINISHED}")):
        if unfinished.parent == mine:
            _remove(unfinished, is_left=is_alone)
        else:
            with alone(unfinished.parent / _LOCK, wait=False) as is_left:
                _remove(unfinished, is_left=is_left)


def _remove(unfinished: Path, *, is_left: bool) -> None:
    if is_left:
        _log.warning("Removing %s, left by a process that was killed", unfinished)
        shutil.rmtree(unfinished, ignore_errors=True)
    else:
        _log.warning("%s: another process makes it, or left it half made", unfinished)


def _open(config: CocoPersonsConfig, data_dir: Path, folder: Path) -> Any:
    mend = f"Delete it, and it is prepared again: rm -r {shlex.quote(str(folder))}"
    try:
        builder: Any = Builder(config=config, data_dir=os.fspath(data_dir))
        files = builder.info.metadata["files"]
        splits = builder.info.splits
    # TFDS reads several small files here, and each fails in a way of its own.
    except Exception as error:
        raise ValueError(
            f"{folder}: this prepared set cannot be opened ({error!r:.200}). {mend}"
        ) from error
    expected = {Path(path).name for s in splits.values() for path in s.filepaths}
    wrong = [f"{name} is not listed" for name in sorted(expected - files.keys())]
    for name, size in files.items():
        path = folder / name
        if not path.is_file():
            wrong.append(f"{name} is missing")
        elif path.stat().st_size != size:
            wrong.append(f"{name} has {path.stat().st_size} bytes, not {size}")
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ValueError(
            f"{folder}: this prepared data set is not whole: {', '.join(wrong[:3])}"
            f"{more}. {mend}"
        )
    return builder
