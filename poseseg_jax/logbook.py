"""What a run says of itself: metrics.jsonl, TensorBoard, and a line on the terminal."""

import json
import logging
import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import absl.logging
import jax
import numpy as np
from jaxtyping import Float, UInt8
from tensorboardX import SummaryWriter
from tqdm import tqdm

from poseseg_jax.structs import Array

_log = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"


def speak() -> None:
    """Lets this program's own lines through, and silences what Orbax and TFDS narrate.

    What they have to say that matters comes as an error.
    """
    absl.logging.set_verbosity(absl.logging.ERROR)
    logging.getLogger("poseseg_jax").setLevel(logging.INFO)


class Logbook:
    """Scalars and pictures of a run, by step. Use it as a context manager.

    A run that goes on from a step forgets what was written after it, so that no step is
    there twice.

    Args:
      workdir: where metrics.jsonl and the TensorBoard events go.
      first_step: where the run starts, or goes on.
      num_steps: where it ends; for the progress bar.
    """

    def __init__(self, workdir: Path, *, first_step: int, num_steps: int):
        self._path = workdir / METRICS_FILE
        self._first_step = first_step
        _forget(self._path, lambda entry: entry["step"] > first_step)
        self._lines = self._path.open("a")
        # TensorBoard hides what it has of this step and of all after it.
        self._events = SummaryWriter(str(workdir), purge_step=first_step + 1)
        # A bar redraws its line; in a pipe there are plain lines instead.
        self._bar = tqdm(
            total=num_steps,
            initial=first_step,
            unit="step",
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> "Logbook":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        self._lines.close()
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
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()
        for name, value in values.items():
            if value is not None and math.isfinite(value):
                self._events.add_scalar(name, value, step)
        if self._bar.disable:
            _log.info("step %d  %s", step, _in_words(values))
        else:
            self._bar.set_postfix_str(_in_words(values))

    def picture(self, step: int, name: str, image: UInt8[np.ndarray, "H W 3"]) -> None:
        """Shows an RGB picture in TensorBoard."""
        self._events.add_image(name, image, step, dataformats="HWC")


class Ledger:
    """Reports of the steps since it was last closed, left on the device until then."""

    def __init__(self, step: int):
        self._step = step
        self._reports: list[dict[str, Float[Array, ""]]] = []
        self._opened = time.monotonic()

    def add(self, report: dict[str, Float[Array, ""]]) -> None:
        """The loss terms of one more step."""
        self._step += 1
        self._reports.append(report)

    def close(self) -> tuple[dict[str, float], int, float]:
        """Means of the terms, the number of steps, and the seconds that they took.

        Raises:
          FloatingPointError: naming the first step with a term that is not finite.
        """
        reports = jax.device_get(self._reports)
        first = self._step - len(reports) + 1
        for step, report in enumerate(reports, first):
            broken = {k: float(v) for k, v in report.items() if not np.isfinite(v)}
            if broken:
                raise FloatingPointError(
                    f"The loss is not finite at step {step}: {broken}. Nothing after "
                    "the last checkpoint is saved; try a lower optim.learning_rate."
                )
        means = {
            f"loss/{name}": float(np.mean([report[name] for report in reports]))
            for name in reports[0]
        }
        seconds = time.monotonic() - self._opened
        self._reports = []
        self.start_clock()
        return means, len(reports), seconds

    def start_clock(self) -> None:
        """Forgets the time since the last step: something else was done in it."""
        self._opened = time.monotonic()


def _forget(path: Path, is_stale: Callable[[dict[str, Any]], bool]) -> None:
    if not path.exists():
        return
    lines = path.read_text().splitlines()
    kept = [line for line in lines if not is_stale(_entry(line))]
    path.write_text("".join(f"{line}\n" for line in kept))


def _entry(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
        return {**entry, "step": entry["step"]}
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
