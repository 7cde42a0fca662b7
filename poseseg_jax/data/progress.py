"""How far a long work is: a bar on a terminal, a line now and then elsewhere."""

import logging
import time
from types import TracebackType

from poseseg_jax.bars import bar

_log = logging.getLogger(__name__)

LINE_EVERY_S = 30.0


class Progress:
    """Counts what is done. Use it as a context manager.

    Args:
      what: the work, for the bar and the lines.
      total: units of it.
      done: units that need no doing any more.
      unit: "B" for bytes, which are shown as MB and GB.
    """

    def __init__(self, what: str, *, total: int, done: int = 0, unit: str):
        self._what, self._total, self._done, self._unit = what, total, done, unit
        self._first, self._start = done, time.monotonic()
        self._said = self._start
        self._bar = bar(unit, total=total, done=done, what=what, stays=False)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def advance(self, units: int = 1) -> None:
        """So much more is done."""
        self._done += units
        self._first = min(self._first, self._done)  # something has to be done again
        self._bar.update(units)
        now = time.monotonic()
        if self._bar.disable and now - self._said >= LINE_EVERY_S:
            self._said = now
            _log.info("%s", self._in_words(now - self._start))

    def _in_words(self, seconds: float) -> str:
        rate = (self._done - self._first) / seconds
        left = (self._total - self._done) / rate / 60 if rate else float("inf")
        done, total = (self._amount(n) for n in (self._done, self._total))
        return (
            f"{self._what}: {done} of {total}, {self._amount(rate)} per second, "
            f"{left:.0f} min left"
        )

    def _amount(self, units: float) -> str:
        return gigabytes(units) if self._unit == "B" else f"{units:.0f}"


def gigabytes(size: float) -> str:
    """A number of bytes for readers: in GB, or in MB below one."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
