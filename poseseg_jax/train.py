"""Training: build, restore, loop."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poseseg_jax import (
    beginning,
    devices,
    endings,
    hosts,
    judging,
)
from poseseg_jax import config as config_lib
from poseseg_jax.config import Settings
from poseseg_jax.data.prepared import Prepared, prepare
from poseseg_jax.interruption import Interrupted, Interruption
from poseseg_jax.logbook import Logbook, Silence
from poseseg_jax.profiling import Profile
from poseseg_jax.released import is_released
from poseseg_jax.shared_checkpoints import SharedCheckpoints
from poseseg_jax.training import Training
from poseseg_jax.workdir import (
    CONFIG_FILE,
    allowed_changes,
    claim,
    final_metrics,
    needs_evaluation,
    occupied,
)

_log = logging.getLogger(__name__)

__all__ = ["Interrupted", "run", "use_every_core"]

Scores = judging.Scores


def use_every_core(config: Mapping[str, Any]) -> None:
    """Makes a CPU the devices that suit a run of this config alone; see devices.py.

    Raises:
      ValueError: for a config that makes no sense.
    """
    settings = config_lib.parse(config)
    part = settings.train.batch_size // settings.optim.accumulate_steps
    devices.use_every_core(part, settings.eval.batch_size)


def run(config: Mapping[str, Any], workdir: Path) -> Scores:
    """Trains, or goes on training, and evaluates at the end.

    Where there are several hosts, all of them call it; see hosts.py.

    Args:
      config: as of configs/; every check on it is made first.
      workdir: of the run. One that holds checkpoints of the same config is continued; a
        finished one just gives its metrics. Only the first host needs it.

    Returns:
      The final metrics, as in metrics.json.

    Raises:
      ValueError: for a config that makes no sense, a workdir of another config, in use
        or with a network to give away, broken data, or checkpoints of which none can
        be read.
      FloatingPointError: if a loss is no longer finite.
      Interrupted: by SIGINT or SIGTERM, after the state was saved.
      ChildProcessError: likewise, if a loader process was killed.
      OSError: if the disk is full.
    """
    settings = config_lib.parse(config)
    hosts.told(lambda: _look_at_beginning(settings, workdir))
    with hosts.first_inside(occupied(workdir)):
        num_steps = settings.train.num_steps
        finished = hosts.told(lambda: _finished(config, workdir, num_steps))
        if finished is not None:
            _log.info("%s is finished.", workdir)
            return finished
        parts = settings.optim.accumulate_steps
        devices.check_split("train", settings.train.batch_size, parts=parts)
        devices.check_split("eval", settings.eval.batch_size)
        prepared = hosts.together(lambda: prepare(settings.data))
        _check_enough(prepared, settings)
        _log.info("%s", prepared.trained_on(settings.data))
        judged, metrics = _train(config, settings, prepared, workdir)
        hosts.told(lambda: judging.write(workdir, judged, metrics, prepared, settings))
        return metrics


def _look_at_beginning(settings: Settings, workdir: Path) -> None:
    """Before anything is made. Who goes on has begun already."""
    if is_released(workdir):
        raise ValueError(
            f"{workdir} holds a network to give away, and is left as it is. Train in "
            "another --workdir; --config.init.workdir begins with what such a network "
            "knows."
        )
    if not os.access(workdir / CONFIG_FILE, os.R_OK):
        beginning.check(settings)


def _check_enough(prepared: Prepared, settings: Settings) -> None:
    pictures, batch_size = len(prepared.train), settings.train.batch_size
    if batch_size > pictures:
        raise ValueError(
            f"train.batch_size is {batch_size}, and there are {pictures} pictures to "
            "train on: a batch would hold some of them twice. Give it "
            f"{pictures} or less, or give more data."
        )


def _finished(
    config: Mapping[str, Any], workdir: Path, num_steps: int
) -> Scores | None:
    """The metrics of a run that has nothing left to do."""
    changes = allowed_changes(workdir, config)
    metrics = final_metrics(workdir, num_steps)
    if metrics is None or needs_evaluation(changes):
        return None
    claim(workdir, config)
    return metrics


def _train(
    config: Mapping[str, Any], settings: Settings, prepared: Prepared, workdir: Path
) -> tuple[judging.Judged, Scores]:
    with (
        Interruption() as interruption,
        SharedCheckpoints(workdir, keep=settings.checkpoint.keep) as checkpoints,
        Training(settings, prepared, checkpoints, interruption) as training,
        endings.explained(
            workdir, save=training.save_progress, latest_step=checkpoints.latest_step
        ),
        _logbook(workdir, training.step, settings.train.num_steps) as logbook,
        _profile(workdir, settings) as profile,
    ):
        hosts.told(lambda: claim(workdir, config))
        training.loop(logbook, profile)
        judged = training.evaluate(logbook)
        training.save(judged.scores)  # again, as it may be the best
        training.heed()
        return judged, judged.scores | {
            "train/steps": training.step,
            "train/seconds": round(training.seconds, 1),
            "eval/ms_per_image": training.ms_per_image,
        }


def _logbook(workdir: Path, first_step: int, num_steps: int) -> Logbook:
    kind = Logbook if hosts.is_first() else Silence
    return kind(workdir, first_step=first_step, num_steps=num_steps)


def _profile(workdir: Path, settings: Settings) -> Profile:
    return Profile(workdir, wanted=settings.profile and hosts.is_first())
