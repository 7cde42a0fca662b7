"""Whether a run needs more and more of the host's memory.

    python -m tests.memory --steps=2000

A tiny run that logs, saves and evaluates on the way, and says four times how much
memory its process holds, and how much it has held at most. One loader process works
beside it, as in a real run. What is held goes up and down, so the most of the run's one
half is compared with the most of the other.
"""

import argparse
import os
import resource
import sys
import tempfile
from pathlib import Path

from poseseg_jax import logbook, train
from tests import tiny_run

STOPS = 4
MOST_GROWTH = 0.05  # of the most that it holds in the first half


def resident() -> int:
    """Bytes of memory that this process holds."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def peak() -> int:
    """The most that it ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Watch:
    """Stands where a run counts its steps."""

    def __init__(self, steps: int):
        self.every = steps // STOPS
        self.step = 0
        self.held: list[int] = []

    def advance(self) -> None:
        """One more step is done."""
        self.step += 1
        if self.step % self.every == 0:
            self.held.append(resident())
            print(
                f"step {self.step}: {self.held[-1] / 2**20:.1f} MiB held, "
                f"{peak() / 2**20:.1f} MiB at most",
                flush=True,
            )


def measure(folder: Path, steps: int) -> list[int]:
    """Trains and gives the bytes held after each quarter of the steps."""
    ground = tiny_run.Ground(folder)
    data = {**ground.config()["data"], "num_workers": 1}
    config = ground.config(
        data=data,
        train={
            "num_steps": steps,
            "batch_size": 4,
            "image_size": 33,
            "log_every": 5,
        },
        checkpoint={"every_steps": max(steps // 80, 1)},
        eval={"every_steps": max(steps // 16, 1), "batch_size": 4},
    )
    watch = Watch(steps)
    advance = logbook.Logbook.advance
    try:
        logbook.Logbook.advance = lambda self: watch.advance()
        train.run(config, folder / "run")
    finally:
        logbook.Logbook.advance = advance
    return watch.held


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser("tests.memory", description=__doc__)
    parser.add_argument("--steps", type=int, default=2000, help="of the run")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memory-") as folder:
        held = measure(Path(folder), given.steps)
    half = len(held) // 2
    growth = max(held[half:]) / max(held[:half]) - 1
    print(f"{100 * growth:+.1f} % from the first half's most to the second's")
    sys.exit(growth > MOST_GROWTH)


if __name__ == "__main__":
    main()
