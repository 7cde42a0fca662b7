"""What a run says of itself: metrics.jsonl, TensorBoard, and a line on the terminal."""

import json
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import UInt8

from poseseg_jax import layout
from poseseg_jax.bars import bar
from poseseg_jax.disk import write_whole
from poseseg_jax.events import Events

_log = logging.getLogger(__name__)


class Logbook:
    """Scalars and pictures of a run, by step. Use it as a context manager.

    A run that goes on from a step forgets what was written after it, so that no step is
    there twice. A line is written at once and at one go.

    Args:
      workdir: where metrics.jsonl and the TensorBoard events go.
      first_step: where the run starts, or goes on.
      num_steps: where it ends; for the progress bar.
    """

    def __init__(self, workdir: Path, *, first_step: int, num_steps: int):
        self._path = workdir / layout.LOG
        self._first_step, self._last_step = first_step, num_steps
        _forget(self._path, lambda entry: entry["step"] > first_step)
        # TensorBoard hides what it has of this step and of all after it.
        self._events = Events(workdir, first_step=first_step + 1)
        # In a pipe there are plain lines instead.
        self._bar = bar("step", total=num_steps, done=first_step)

    def __enter__(self) -> "Logbook":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        self._events.close()

    def advance(self) -> None:
        """One more step is done."""
        self._bar.update()

    def scalars(self, step: int, values: Mapping[str, float | None]) -> None:
        """Writes named numbers; None is null in the file and absent in TensorBoard."""
        line = {"step": step, **values}
        if step == self._first_step:  # evaluated again: nothing else of it was left
            again = line.keys()
            _forget(self._path, lambda old: old["step"] == step and old.keys() == again)
        # Without a buffer, which would be written again where there is no room.
        rest = f"{json.dumps(line)}\n".encode()
        with self._path.open("ab", buffering=0) as file:
            while rest:
                rest = rest[file.write(rest) :]
        for name, value in values.items():
            if value is not None and math.isfinite(value):
                self._events.scalar(step, name, value)
        self._events.flush()
        if self._bar.disable:
            _log.info("step %d of %d  %s", step, self._last_step, _in_words(values))
        else:
            self._bar.set_postfix_str(_in_words(values))

    def picture(self, step: int, name: str, image: UInt8[np.ndarray, "H W 3"]) -> None:
        """Shows an RGB picture in TensorBoard."""
        self._events.picture(step, name, image)
        self._events.flush()


class Silence(Logbook):
    """What all hosts but the first write: nothing."""

    def __init__(self, workdir: Path, *, first_step: int, num_steps: int):
        del workdir, first_step, num_steps

    def __exit__(self, *_: object) -> None:
        pass

    def advance(self) -> None:
        pass

    def scalars(self, step: int, values: Mapping[str, float | None]) -> None:
        pass

    def picture(self, step: int, name: str, image: UInt8[np.ndarray, "H W 3"]) -> None:
        pass


def _forget(path: Path, is_stale: Callable[[dict[str, Any]], bool]) -> None:
    if not path.exists():
        return
    text = path.read_text(errors="replace")
    lines = text.splitlines()
    kept = [line for line in lines if not is_stale(_entry(line))]
    if kept != lines or not text.endswith("\n"):
        write_whole(path, "".join(f"{line}\n" for line in kept))


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
        return {**entry, "step": entry["step"] + 0}
    except (ValueError, KeyError, TypeError):
        return {"step": math.inf}  # cut off while it was written: gone


def _in_words(values: Mapping[str, float | None]) -> str:
    """Without the numbers by crowding and of a network's early stages: too many."""
    hidden = ("crowd/", "/stage")
    shown = {k: v for k, v in values.items() if not any(part in k for part in hidden)}
    return "  ".join(
        f"{name} {'-' if value is None else format(value, '.4g')}"
        for name, value in shown.items()
    )
