"""What the steps report, kept until it is logged."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from poseseg_jax.structs import Array


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
        self._opened: float | None = time.monotonic()

    def add(self, report: dict[str, Float[Array, ""]]) -> None:
        """The loss terms of one more step, and the norm of its gradient."""
        self._step += 1
        self._reports.append(report)

    def close(self) -> tuple[dict[str, float], int, float]:
        """Means of the reports, the number of steps, and the seconds that they took.

        Raises:
          FloatingPointError: naming the first step with a report that is not finite.
        """
        reports = self._fetched()
        means = {
            _title(name): float(np.mean([report[name] for report in reports]))
            for name in reports[0]
        }
        seconds = self._seconds()
        self._reports, self._before = [], 0.0
        self._opened = time.monotonic()
        return means, len(reports), seconds

    def place(self) -> dict[str, Any]:
        """What it takes to go on from here, as JSON can hold it.

        Raises:
          FloatingPointError: as `close` does.
        """
        return {"reports": self._fetched(), "seconds": self._seconds()}

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
