"""Runs through a grid: a few at a time, each once what it needs is there."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path

from experiments import launch, provenance
from experiments.grid import Run
from experiments.launch import Place, Process
from poseseg_jax.workdir import holder

_log = logging.getLogger(__name__)

_LOOK_EVERY = 0.2  # seconds
_sleep = time.sleep


def places(jobs: int, gpus: Sequence[str], compiled: Path) -> list[Place]:
    """Where runs may be at work at the same time.

    Args:
      jobs: how many on this machine's processors. Of several, each is one device to
        JAX, and a batch is not split.
      gpus: instead, a run at a time on each of these (CUDA_VISIBLE_DEVICES).
      compiled: folder in which runs of the same shapes share what was compiled.

    Raises:
      ValueError: for no jobs at all, for several jobs and GPUs, and for several jobs
        where there is a GPU, which one alone would fill.
    """
    shared = ("JAX_COMPILATION_CACHE_DIR", str(compiled.resolve()))
    if gpus:
        if jobs != 1:
            raise ValueError(
                f"--jobs={jobs} and --gpus={','.join(gpus)} do not go together: there "
                "is one job on each GPU."
            )
        return [Place((shared, ("CUDA_VISIBLE_DEVICES", gpu))) for gpu in gpus]
    if jobs < 1:
        raise ValueError(f"--jobs is {jobs}; expected 1 or more.")
    if jobs == 1:
        return [Place((shared,))]
    place = Place((shared, ("JAX_NUM_CPU_DEVICES", "1")), sharing=jobs)
    kind = provenance.device(place.variables)
    if "CPU" not in kind:
        raise ValueError(
            f"--jobs={jobs} is for a CPU, and JAX finds {kind}: give --gpus=0,1 for a "
            "run at a time on each of two, or set JAX_PLATFORMS=cpu."
        )
    return [place] * jobs


def run_all(runs: Sequence[Run], free: Sequence[Place]) -> None:
    """Runs what is not finished. A failed run does not stop the others.

    Runs that need one that failed are not begun. If this is interrupted, those at work
    save and end first.

    Args:
      runs: in an order in which each comes after what it needs.
      free: where they may run.

    Raises:
      ValueError: if a folder holds a run of another config; before anything is begun.
    """
    _Grid(runs, free).work()


class _Grid:
    def __init__(self, runs: Sequence[Run], free: Sequence[Place]):
        self._free = list(free)
        self._count = len(runs)
        self._finished = {r.workdir for r in runs if launch.state(r) == "finished"}
        self._waiting = [r for r in runs if r.workdir not in self._finished]
        self._working: list[Process] = []
        self._failed: set[Path] = set()  # or never begun, as what they need failed
        self._waited_for: set[str] = set()

    def work(self) -> None:
        """Until nothing is left that could be run."""
        _log.info("%d of %d runs are finished.", len(self._finished), self._count)
        try:
            while self._waiting or self._working:
                self._see_who_is_over()
                self._give_up()
                if not self._start_next():
                    _sleep(_LOOK_EVERY)
        finally:
            if self._working:
                _log.info("Ending %d runs, which save first.", len(self._working))
            for process in self._working:
                process.ask_to_end()
            for process in self._working:
                process.wait()

    def _see_who_is_over(self) -> None:
        for process in [one for one in self._working if one.is_over()]:
            self._working.remove(process)
            self._free.append(process.place)
            run = process.run
            is_finished = launch.state(run) == "finished"
            (self._finished if is_finished else self._failed).add(run.workdir)
            ended = f"{len(self._finished) + len(self._failed)}/{self._count}"
            words = f"{process.seconds:.0f} s" if is_finished else launch.failure(run)
            _log.info("[%s] %s: %s", ended, run.label, words)

    def _give_up(self) -> None:
        for run in [one for one in self._waiting if one.source in self._failed]:
            self._waiting.remove(run)
            self._failed.add(run.workdir)
            _log.warning("%s is not run: %s failed.", run.label, run.source)

    def _start_next(self) -> bool:
        for run in self._waiting if self._free else ():
            is_ready = run.source is None or run.source in self._finished
            if is_ready and not self._is_held(run):
                self._waiting.remove(run)
                if launch.state(run) == "finished":  # by who held it
                    self._finished.add(run.workdir)
                else:
                    _log.info("%s: see %s", run.label, run.workdir / launch.LOG_FILE)
                    self._working.append(launch.start(run, self._free.pop(0)))
                return True
        return False

    def _is_held(self, run: Run) -> bool:
        """Whether a run that outlived a runner before this one is still ending."""
        by = holder(run.workdir)
        if by and by not in self._waited_for:
            self._waited_for.add(by)
            _log.info("Waiting for %s, which is at work in %s", by, run.workdir)
        return bool(by)
