"""Training: build, restore, loop."""

import dataclasses
import functools
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from poseseg_jax import (
    ancestor,
    endings,
    evaluate,
    exhibits,
    going_on,
    inference,
    judging,
    train_step,
)
from poseseg_jax import config as config_lib
from poseseg_jax.checkpoint import Checkpoints
from poseseg_jax.config import Settings
from poseseg_jax.data import pipeline
from poseseg_jax.data.pipeline import TrainBatches
from poseseg_jax.data.prepared import Prepared, prepare
from poseseg_jax.disk import full_disk_explained
from poseseg_jax.interruption import Interrupted, Interruption
from poseseg_jax.ledger import Ledger
from poseseg_jax.logbook import Logbook
from poseseg_jax.models import pretrained
from poseseg_jax.structs import Batch, TrainState
from poseseg_jax.workdir import (
    allowed_changes,
    claim,
    final_metrics,
    keeps_scores,
    occupied,
)

_log = logging.getLogger(__name__)

__all__ = ["Interrupted", "run", "use_every_core"]

Scores = judging.Scores


def use_every_core(batch_size: int) -> None:
    """Makes a CPU several devices, to be called before anything asks JAX for one.

    XLA keeps little more than one core busy with the small layers of a laptop's
    network; split over a device per core, a step takes two thirds of the time on two.
    Each device gets at least two pictures. Accelerators are not concerned, and who has
    said how many devices the CPU shall be is heeded.
    """
    said = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if said or "JAX_NUM_CPU_DEVICES" in os.environ:
        return
    most = min(os.cpu_count() or 1, max(batch_size // 2, 1))
    cores = max(n for n in range(1, most + 1) if batch_size % n == 0)
    jax.config.update("jax_num_cpu_devices", cores)


def run(config: Mapping[str, Any], workdir: Path) -> Scores:
    """Trains, or goes on training, and evaluates at the end.

    Args:
      config: as of configs/; every check on it is made first.
      workdir: of the run. One that holds checkpoints of the same config is continued; a
        finished one just gives its metrics.

    Returns:
      The final metrics, as in metrics.json.

    Raises:
      ValueError: for a config that makes no sense, a workdir of another config or in
        use, broken data, or checkpoints of which none can be read.
      FloatingPointError: if a loss is no longer finite.
      Interrupted: by SIGINT or SIGTERM, after the state was saved.
      ChildProcessError: likewise, if a loader process was killed.
      OSError: if the disk is full.
    """
    settings = config_lib.parse(config)
    with occupied(workdir):
        changes = allowed_changes(workdir, config)
        finished = final_metrics(workdir, settings.train.num_steps)
        if finished and keeps_scores(changes):
            claim(workdir, config)
            _log.info("%s is finished.", workdir)
            return finished
        _check_split("train", settings.train.batch_size)
        _check_split("eval", settings.eval.batch_size)
        prepared = prepare(settings.data)
        judged, metrics = _train(config, settings, prepared, workdir)
        with full_disk_explained(workdir, "Make room, and give the command again."):
            judging.write(workdir, judged, metrics, prepared, settings)
        return metrics


def _train(
    config: Mapping[str, Any], settings: Settings, prepared: Prepared, workdir: Path
) -> tuple[judging.Judged, Scores]:
    with (
        Interruption() as interruption,
        Checkpoints(workdir, keep=settings.checkpoint.keep) as checkpoints,
        _Training(settings, prepared, checkpoints, interruption) as training,
        endings.explained(
            workdir, save=training.save_progress, latest_step=checkpoints.latest_step
        ),
        Logbook(
            workdir, first_step=training.step, num_steps=settings.train.num_steps
        ) as logbook,
    ):
        claim(workdir, config)
        training.loop(logbook)
        judged = training.evaluate(logbook)
        training.save(judged.scores)  # again, as it may be the best
        return judged, judged.scores | {
            "train/steps": training.step,
            "train/seconds": round(training.seconds, 1),
        }


class _Training:
    """One run between its first and its last step. A context manager."""

    def __init__(
        self,
        settings: Settings,
        prepared: Prepared,
        checkpoints: Checkpoints,
        interruption: Interruption,
    ):
        self._settings, self._prepared = settings, prepared
        self._checkpoints, self._interruption = checkpoints, interruption
        self._mesh = Mesh(jax.devices(), ("data",))
        self._shard = NamedSharding(self._mesh, PartitionSpec("data"))
        init, self._train_step = self._programs()
        self._make_detect()
        self._loader = _loader(settings, prepared)
        self._state = jax.jit(init, out_shardings=self._everywhere)()
        self._owes_scores = False  # of a step at which evaluation was interrupted
        self.step, self.seconds = 0, 0.0
        self._ledger = Ledger(0)
        if checkpoints.latest_step() is None:
            _log.info("%s is empty: starting anew.", checkpoints.directory)
            self._begin()
        else:
            self._restore()
        self._first_step = self.step

    @property
    def _everywhere(self) -> NamedSharding:
        return NamedSharding(self._mesh, PartitionSpec())

    def __enter__(self) -> "_Training":
        return self

    def __exit__(self, *_: object) -> None:
        self._loader.close()

    def loop(self, logbook: Logbook) -> None:
        """Steps until the end, with what is due after each."""
        settings = self._settings
        if self._owes_scores:
            with self._ledger.paused():
                self._score(logbook)
        while self.step < settings.train.num_steps:
            self._interruption.check()
            start = time.monotonic()
            self._train_on(self._next_batch())
            logbook.advance()
            if self._due(settings.train.log_every, settings.checkpoint.every_steps):
                means, steps, seconds = self._ledger.close()
                rate = steps * settings.train.batch_size / seconds
                logbook.scalars(self.step, {**means, "pictures_per_second": rate})
            self.seconds += time.monotonic() - start
            is_last = self.step == settings.train.num_steps
            with self._ledger.paused():
                if self._due(settings.eval.every_steps) and not is_last:
                    self._score(logbook)
                elif self._due(settings.checkpoint.every_steps):
                    self.save(None)

    def _next_batch(self) -> Batch:
        try:
            return jax.device_put(next(self._loader), self._shard)
        except ChildProcessError:
            # Who asked the run to end may have told its loader processes as well.
            self._interruption.check()
            raise

    def _train_on(self, batch: Batch) -> None:
        self._state, report = self._train_step(self._state, batch)
        self.step += 1
        self._ledger.add(report)

    def _due(self, *every: int) -> bool:
        """Whether one of these intervals is over; at the end all are."""
        is_last = self.step == self._settings.train.num_steps
        return is_last or any(n > 0 and self.step % n == 0 for n in every)

    def _score(self, logbook: Logbook) -> None:
        """Evaluates on the way. If that is interrupted, it is done on going on."""
        self._owes_scores = True
        scores = self.evaluate(logbook).scores
        self._owes_scores = False
        if self._due(self._settings.checkpoint.every_steps):
            self.save(scores)

    def evaluate(self, logbook: Logbook) -> judging.Judged:
        """Scores of the averaged parameters on the validation split."""
        variables = {"params": self._state.ema, "batch_stats": self._state.batch_stats}
        found = evaluate.run_split(
            self._detect, variables, self._prepared, self._settings
        )
        judged = judging.judge(found, self._prepared.val_annotations)
        logbook.scalars(self.step, judged.scores)
        count = min(4, self._settings.eval.overlays)
        for image_id, picture in exhibits.overlays(found, self._prepared, count):
            logbook.picture(self.step, f"val/{image_id}", picture)
        return judged

    def _programs(self) -> tuple[Callable[[], TrainState], train_step.Step]:
        """The state before the first step, and the step, compiled when called."""
        teacher = ancestor.teacher(self._settings)
        init, step = train_step.build(self._settings, teacher and teacher.settings)
        step = jax.jit(step, donate_argnums=0)
        if teacher:
            _log.info("Learning from the maps of step %d, too.", teacher.step)
            # An argument: as constants, they would be compiled into the program.
            variables = jax.device_put(teacher.variables, self._everywhere)
            step = functools.partial(step, ancestor=variables)
        return init, step

    def _begin(self) -> None:
        """Takes over what was learned before this run, where the config says so."""
        settings, state = self._settings, self._state
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        if settings.model.pretrained:
            variables, report = pretrained.load_backbone(
                settings.model.pretrained, variables, settings=settings.model
            )
            _log.info("%s: %s", settings.model.pretrained, report)
        elif ancestor.gives_parameters(settings.init):
            variables, report = ancestor.inherit(variables, settings=settings)
            _log.info("Begins with %s.", report)
        else:
            return
        variables = jax.device_put(variables, self._everywhere)
        self._state = dataclasses.replace(
            state, **variables, ema=jax.tree.map(jnp.copy, variables["params"])
        )

    def save(self, metrics: Scores | None) -> None:
        """Writes a checkpoint, with the metrics of its state if there are some."""
        place = {
            "loader": self._loader.get_state(),
            "data": self._prepared.identity,
            "ledger": self._ledger.place(),
            "owes_scores": self._owes_scores,
            "seconds": self.seconds,
        }
        self._checkpoints.save(self.step, self._state, place, metrics=metrics)

    def save_progress(self) -> None:
        """Writes a checkpoint, if anything was learned since it was last known."""
        if self.step > self._first_step:
            self.save(None)

    def _restore(self) -> None:
        self.step, self._state, place = self._checkpoints.restore_latest(self._state)
        assert isinstance(place, dict)
        if place["data"] != self._prepared.identity:
            raise ValueError(
                f"{self._checkpoints.directory.parent} has learned from other data "
                f"({place['data']}, and now {self._prepared.identity}): give it back "
                "what data.root or the files of `data` named, or take another --workdir"
            )
        self._loader.set_state(place["loader"])
        going_on.warn_of_another_rate(
            self._checkpoints.directory.parent, self._settings, self.step
        )
        self._ledger = Ledger(self.step, place["ledger"])
        self._owes_scores = place["owes_scores"]
        self.seconds = place["seconds"]
        _log.info("Going on from step %d.", self.step)

    def _make_detect(self) -> None:
        detect = inference.make_detect(self._settings)

        def interruptible(variables: Any, images: Any) -> Any:
            self._interruption.check()
            return detect(variables, jax.device_put(images, self._shard))

        self._detect = interruptible


def _check_split(group: str, batch_size: int) -> None:
    devices = jax.device_count()
    if batch_size % devices:
        raise ValueError(
            f"{group}.batch_size {batch_size} does not divide over {devices} devices."
        )


def _loader(settings: Settings, prepared: Prepared) -> TrainBatches:
    return pipeline.train_batches(
        prepared.train,
        image_size=settings.train.image_size,
        max_people=settings.data.max_people,
        augment=settings.augment,
        batch_size=settings.train.batch_size,
        seed=settings.train.seed,
        num_workers=settings.data.num_workers,
    )
