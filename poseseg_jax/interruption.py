"""A run that is asked to end: by Ctrl-C, by `kill`, by a job scheduler.

Python tells a program of a signal when it comes back from whatever it is doing, which
may be the compilation of a network. Here a thread is told at once, so that it can say
what will happen, and end the program if it is asked a second time.
"""

import logging
import os
import signal
import threading
import time
from types import TracebackType
from typing import Any

_log = logging.getLogger(__name__)

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Seconds: `timeout` and some schedulers tell a process and then its whole group, so
# that it hears of one and the same wish twice.
_SAME = 0.3


class Interrupted(Exception):
    """The run was asked to end.

    Attributes:
      signal: by which one.
    """

    def __init__(self, by: signal.Signals, words: str = ""):
        super().__init__(words or f"Interrupted by {by.name}.")
        self.signal = by

    @property
    def exit_code(self) -> int:
        """What a shell calls a program that ended by that signal: 130 or 143."""
        return 128 + self.signal


class Interruption:
    """Inside of its `with`, the first signal is noted, and the second ends the program.

    Outside of the main thread, which alone may ask for signals, it does nothing.
    """

    def __init__(self) -> None:
        # Each is told in its own way, and the run has to hear of it from the first.
        self._heard: signal.Signals | None = None  # by the watcher
        self._noted: signal.Signals | None = None  # by Python's handler
        self._before: dict[signal.Signals, Any] = {}
        self._wakeup = -1

    @property
    def asked(self) -> int:
        """The number of the signal that asked the run to end; 0 if none has."""
        return int(self._by or 0)

    @property
    def _by(self) -> signal.Signals | None:
        return self._heard or self._noted

    def check(self) -> None:
        """Raises Interrupted if the run was asked to end."""
        self.heed(self.asked)

    def heed(self, asked: int) -> None:
        """Raises Interrupted if this run was asked to end, or its part on another host.

        Args:
          asked: as the property, of whichever of them.
        """
        if asked:
            raise Interrupted(signal.Signals(asked))

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():
            told, self._telling = os.pipe()
            os.set_blocking(self._telling, False)
            self._watcher = threading.Thread(
                target=self._watch, args=(told,), daemon=True
            )
            self._watcher.start()
            self._wakeup = signal.set_wakeup_fd(self._telling)
            # Called as well: late in a compilation, but often before the watcher.
            self._before = {
                number: signal.signal(number, self._note) for number in SIGNALS
            }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._before:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._telling)  # the watcher reads the end of it
        self._watcher.join()

    def _watch(self, told: int) -> None:
        """Reads the number of every signal, a byte each."""
        first = 0.0
        while byte := os.read(told, 1):
            if byte[0] not in SIGNALS:
                continue
            by = signal.Signals(byte[0])
            if self._heard is not None:
                if time.monotonic() - first < _SAME:
                    continue
                _log.warning("%s again: ending at once, nothing is saved.", by.name)
                os._exit(128 + by)
            self._heard, first = by, time.monotonic()
            _log.warning(
                "%s: it will end as soon as it can, and save. Once more, and it ends "
                "at once.",
                by.name,
            )
        os.close(told)

    def _note(self, number: int, frame: Any) -> None:
        """Python's handler, between two instructions of the main thread."""
        del frame
        self._noted = self._noted or signal.Signals(number)
