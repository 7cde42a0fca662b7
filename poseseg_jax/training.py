"""A run between its first and its last step: the loop, and what is due after a step."""

import logging
import time
from typing import Any

from poseseg_jax import (
    ancestor,
    beginning,
    devices,
    evaluate,
    going_on,
    hosts,
    inference,
    judging,
)
from poseseg_jax.config import Settings
from poseseg_jax.data import pipeline
from poseseg_jax.data.pipeline import TrainBatches
from poseseg_jax.data.prepared import Prepared
from poseseg_jax.interruption import Interruption
from poseseg_jax.ledger import Ledger
from poseseg_jax.logbook import Logbook
from poseseg_jax.profiling import Profile
from poseseg_jax.shared_checkpoints import SharedCheckpoints
from poseseg_jax.speed import Speed
from poseseg_jax.structs import Batch
from poseseg_jax.watching import Watch

_log = logging.getLogger(__name__)


class Training:
    """One run between its first and its last step. A context manager.

    Args:
      settings: of the run.
      prepared: its data.
      checkpoints: from the latest of which it goes on, if there is one.
      interruption: what it looks at to know whether it was asked to end.
    """

    def __init__(
        self,
        settings: Settings,
        prepared: Prepared,
        checkpoints: SharedCheckpoints,
        interruption: Interruption,
    ):
        self._settings, self._prepared = settings, prepared
        self._checkpoints, self._interruption = checkpoints, interruption
        self._detect = self._make_detect()
        self._loader = _loader(settings, prepared)
        self._speed = Speed(settings)
        self._watch = Watch(prepared, settings)
        self._state = beginning.state(settings)
        self._owes_scores = False  # of a step at which evaluation was interrupted
        self.step, self.seconds = 0, 0.0
        self.ms_per_image: float | None = None  # of the last evaluation
        self._ledger = Ledger(0)
        if checkpoints.latest_step() is None:
            _log.info("%s is empty: starting anew.", checkpoints.directory)
            if said := prepared.beyond(settings.data.max_people):
                _log.info("%s", said)
            self._settled = beginning.settled(settings)
            self._state = beginning.take_over(self._state, self._settled)
        else:
            self._restore()
        self._train_step = beginning.step(self._settled)
        self._first_step = self.step

    def __enter__(self) -> "Training":
        return self

    def __exit__(self, *_: object) -> None:
        self._loader.close()

    def loop(self, logbook: Logbook, profile: Profile) -> None:
        """Steps until the end, with what is due after each."""
        settings = self._settings
        if self._owes_scores:
            with self._ledger.paused():
                self._score(logbook)
        if self.step < settings.train.num_steps:
            first = self._next_line()
            _log.info("Compiling the step; the first line is that of step %d.", first)
        while self.step < settings.train.num_steps:
            self.heed()
            start = time.monotonic()
            batch = self._ledger.awaited(self._next_batch)
            profile.before_step()
            self._train_on(batch)
            profile.after_step(self._state)
            logbook.advance()
            if self._due(settings.train.log_every, settings.checkpoint.every_steps):
                closed = self._ledger.close()
                rates = self._speed.rates(closed)
                logbook.scalars(self.step, {**closed.means, **rates})
            self.seconds += time.monotonic() - start
            is_last = self.step == settings.train.num_steps
            with self._ledger.paused():
                if self._due(settings.eval.every_steps) and not is_last:
                    self._score(logbook)
                elif self._due(settings.checkpoint.every_steps):
                    self.save(None)

    def heed(self) -> None:
        """Ends the run if it was asked to end.

        Several hosts do so together, and ask each other at the lines of the log only:
        it makes them wait for their devices.
        """
        if hosts.count() == 1:
            self._interruption.check()
        elif self._due(self._settings.train.log_every):
            self._interruption.heed(hosts.largest(self._interruption.asked))

    def _next_batch(self) -> Batch:
        try:
            batch = next(self._loader)
        except (ChildProcessError, ValueError, OSError) as error:
            if hosts.count() > 1:  # the others are in the next step already
                raise hosts.Unshared(f"{type(error).__name__}: {error}") from error
            if isinstance(error, ChildProcessError):
                # Who asked the run to end may have told its loader processes as well.
                self._interruption.check()
            raise
        return devices.put(batch)

    def _train_on(self, batch: Batch) -> None:
        self._state, report = self._train_step(self._state, batch)
        self.step += 1
        self._ledger.add(report)

    def _next_line(self) -> int:
        """The next step of which the log will tell."""
        every = (self._settings.train.log_every, self._settings.checkpoint.every_steps)
        ends = [(self.step // steps + 1) * steps for steps in every]
        return min(self._settings.train.num_steps, *ends)

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
        found, self.ms_per_image = evaluate.run_split(
            self._detect, variables, self._prepared, self._settings
        )
        judged = judging.judge(found, self._prepared.val_annotations)
        logbook.scalars(self.step, judged.scores)
        if hosts.is_first():
            for name, picture in self._watch.pictures(found, variables):
                logbook.picture(self.step, name, picture)
        return judged

    def save(self, metrics: judging.Scores | None) -> None:
        """Writes a checkpoint, with the metrics of its state if there are some."""
        place = {
            "loader": self._loader.get_state(),
            "data": self._prepared.identity,
            "ledger": self._ledger.place(),
            "owes_scores": self._owes_scores,
            "ancestor_step": self._settled.init.step,
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
        if hosts.is_first():  # who alone reads the workdir
            workdir = self._checkpoints.directory.parent
            going_on.warn_of_another_rate(workdir, self._settings, self.step)
        self._ledger = Ledger(self.step, place["ledger"])
        self._owes_scores = place["owes_scores"]
        self._settled = ancestor.at_step(self._settings, place["ancestor_step"])
        self.seconds = place["seconds"]
        _log.info("Going on from step %d.", self.step)

    def _make_detect(self) -> inference.Detect:
        detect = inference.make_detect(self._settings)

        def interruptible(variables: Any, images: Any) -> Any:
            self._interruption.heed(hosts.largest(self._interruption.asked))
            return detect(variables, images)

        return interruptible


def _loader(settings: Settings, prepared: Prepared) -> TrainBatches:
    return pipeline.train_batches(
        prepared.train,
        image_size=settings.train.image_size,
        max_people=settings.data.max_people,
        augment=settings.augment,
        seed=settings.train.seed,
        num_workers=settings.data.num_workers,
        labels=settings.data.labels,
        **devices.own_share(settings.train.batch_size),
    )
