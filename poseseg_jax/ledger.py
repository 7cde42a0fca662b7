"""What the steps report, kept until it is logged, and how long they took.

JAX gives back a step before it is computed. So three things are done to measure what is
true: the clock stops when the reports have come from the device, which they do after
the last step is done; a thread waits for every step and notes when it was done; and no
more than two steps are under way, as the host would otherwise take one batch after the
other ahead of the device, and wait for data that nobody needs yet.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import numpy as np
from jaxtyping import Float

from poseseg_jax.structs import Array

T = TypeVar("T")


@dataclass(frozen=True)
class Closed:
    """Of the steps between two log lines.

    Attributes:
      means: of every term of the loss.
      steps: how many they were.
      seconds: that they took.
      waited: seconds of these in which the device had nothing to do, as the next batch
        was not there yet.
    """

    means: dict[str, float]
    steps: int
    seconds: float
    waited: float


def _title(name: str) -> str:
    """As which a report is logged."""
    return name if name == "gradient_norm" else f"loss/{name}"


class Ledger:
    """Reports of the steps since it was last closed, left on the device until then.

    Args:
      step: after which it begins, or goes on.
      place: what `place` said of the ledger that it goes on from.
    """

    def __init__(self, step: int, place: dict[str, Any] | None = None):
        self._step = step
        self._reports: list[dict[str, Any]] = place["reports"] if place else []
        self._before = place["seconds"] if place else 0.0
        self._waited = place["waited"] if place else 0.0
        self._opened: float | None = time.monotonic()
        self._watcher = ThreadPoolExecutor(1)
        self._done: Future[float] | None = None  # when the last step was

    def add(self, report: dict[str, Float[Array, ""]]) -> None:
        """The loss terms of one more step, and the norm of its gradient.

        The step may still be under way. Waits until the one before it is done.
        """
        self._step += 1
        self._reports.append(report)
        before = self._done
        self._done = self._watcher.submit(_when_done, report)
        if before is not None:
            before.result()

    def awaited(self, take: Callable[[], T]) -> T:
        """What `take` gives: the next batch.

        Its time counts as waiting from when the last step was done: until then the
        device was busy.
        """
        start = time.monotonic()
        taken = take()
        end = time.monotonic()
        if self._done is None:
            self._waited += end - start
        elif self._done.done():
            self._waited += max(0.0, end - max(start, self._done.result()))
        return taken

    def close(self) -> Closed:
        """What there is to say of the steps since it was last closed.

        Raises:
          FloatingPointError: naming the first step with a report that is not finite.
        """
        reports = self._fetched()
        means = {
            _title(name): float(np.mean([report[name] for report in reports]))
            for name in reports[0]
        }
        closed = Closed(means, len(reports), self._seconds(), self._waited)
        self._reports, self._before, self._waited = [], 0.0, 0.0
        self._opened = time.monotonic()
        return closed

    def place(self) -> dict[str, Any]:
        """What it takes to go on from here, as JSON can hold it.

        Raises:
          FloatingPointError: as `close` does.
        """
        reports = self._fetched()
        seconds = self._seconds()
        return {"reports": reports, "seconds": seconds, "waited": self._waited}

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Does not count the time inside of the `with`: something else is done."""
        self._before = self._seconds()
        self._opened = None
        yield
        self._opened = time.monotonic()

    def _seconds(self) -> float:
        running = 0.0 if self._opened is None else time.monotonic() - self._opened
        return self._before + running

    def _fetched(self) -> list[dict[str, float]]:
        """The reports as numbers, all of them finite."""
        fetched = [
            {name: float(value) for name, value in report.items()}
            for report in jax.device_get(self._reports)
        ]
        first = self._step - len(fetched) + 1
        for step, report in enumerate(fetched, first):
            broken = {k: v for k, v in report.items() if not np.isfinite(v)}
            if broken:
                raise FloatingPointError(f"Not finite at step {step}: {broken}.")
        return fetched


def _when_done(report: dict[str, Any]) -> float:
    jax.block_until_ready(report)
    return time.monotonic()
