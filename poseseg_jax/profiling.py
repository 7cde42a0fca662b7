"""What the devices do in a step, in a file that others' programs show."""

import logging
from pathlib import Path
from typing import Any

import jax

_log = logging.getLogger(__name__)

FOLDER = "profile"
# Of those that this process makes: the first compile, and fill the loader's buffers.
_FIRST, _LAST = 3, 7


class Profile:
    """A trace of a few steps, written into the workdir. A context manager.

    Args:
      workdir: of the run.
      wanted: whether there is to be one.
    """

    def __init__(self, workdir: Path, *, wanted: bool):
        self._folder = workdir / FOLDER
        self._wanted, self._is_running = wanted, False
        self._steps = 0

    def __enter__(self) -> "Profile":
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()  # the run was shorter

    def before_step(self) -> None:
        """One more step is about to be made."""
        self._steps += 1
        if self._wanted and self._steps == _FIRST:
            jax.profiler.start_trace(self._folder)
            self._is_running = True

    def after_step(self, made: Any) -> None:
        """One more step is made; `made` is of it, and may still be under way."""
        if self._is_running and self._steps == _LAST:
            jax.block_until_ready(made)
            self._stop()

    def _stop(self) -> None:
        if self._is_running:
            self._is_running = False
            jax.profiler.stop_trace()
            _log.info(
                "A trace of %d steps is in %s: look at it with `pip install xprof` and "
                "`xprof --logdir=%s`, or open its *.trace.json.gz at ui.perfetto.dev.",
                self._steps - _FIRST + 1,
                self._folder,
                self._folder,
            )
