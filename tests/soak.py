"""A run that is killed over and over ends as one that nobody disturbed.

    python -m tests.soak --kills=200

Kills a tiny run at random moments: in its start, in steps, in saves, in evaluations;
mostly by SIGKILL, which cannot be prepared for, sometimes by SIGTERM. After the last
kill it may finish, and everything that it leaves is compared with what an undisturbed
run leaves: every array of its state and the loader's place to the last bit, every
number of metrics.jsonl but the rates, and the results.

Each life is a process of its own, forked from one that has imported everything and
started nothing: imports are most of what a start costs.
"""

import argparse
import collections
import contextlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import jax

from poseseg_jax import command, train
from poseseg_jax.checkpoint import Checkpoints
from poseseg_jax.interruption import Interrupted
from poseseg_jax.speed import RATES
from tests import tiny_run
from tests.test_logbook import shown
from tests.tiny_run import assert_same_state, read_lines, read_state

FOREVER = 10**6
AT_START = 0.25  # share of kills that may come before the first step
BY_TERM = 0.2  # share of kills by SIGTERM
WITH_WORKER = 0.1  # share of lives with a loader process
STEPS_FOR = 1.5  # seconds in which others come, from the first new log line on
PATIENCE = 120.0
ENOUGH = 50  # kills, of which one at least has to meet a save


@dataclass
class Tally:
    """What the kills met."""

    kills: collections.Counter = field(default_factory=collections.Counter)
    met: collections.Counter = field(default_factory=collections.Counter)


class Soak:
    """One run and its lives."""

    def __init__(self, folder: Path, seed: int):
        self.ground = tiny_run.Ground(folder)
        self.workdir = folder / "run"
        self.random = random.Random(seed)
        self.tally = Tally()
        self.start_takes = 5.0

    def config(self, *, num_steps: int, num_workers: int = 0) -> dict[str, dict]:
        """Small pictures, many saves; steps and workers may differ between lives."""
        data = {**tiny_run.CHANGES["data"], "num_workers": num_workers}
        data["prepared_dir"] = str(self.ground.folder / "prepared")
        return self.ground.config(
            data=data,
            train={"num_steps": num_steps, "batch_size": 4, "image_size": 33},
            checkpoint={"every_steps": 3},
            eval={"every_steps": 40, "batch_size": 4, "overlays": 1},
        )

    def live(self, workdir: Path, **config: int) -> int:
        """Starts a process that trains; returns its id."""
        process = os.fork()
        if process:
            return process
        code = 70
        try:
            output = os.open(self.ground.folder / "log", os.O_WRONLY | os.O_CREAT)
            os.lseek(output, 0, os.SEEK_END)
            os.dup2(output, 1)
            os.dup2(output, 2)
            sys.stdin.close()
            tiny_run.configure(self.ground.folder)
            train.run(self.config(**config), workdir)
            code = 0
        except Interrupted as stop:
            code = stop.exit_code
        except BaseException:  # whatever it is, the log says it
            traceback.print_exc()
        finally:
            os._exit(code)
        raise AssertionError

    def kill_once(self) -> None:
        """One life, ended from outside."""
        num_workers = int(self.random.random() < WITH_WORKER)
        before = self._progress()
        began = time.monotonic()
        process = self.live(self.workdir, num_steps=FOREVER, num_workers=num_workers)
        if self.random.random() < AT_START:
            time.sleep(self.random.uniform(0, self.start_takes))
        else:
            _wait_until(lambda: self._progress() > before, process)
            if not num_workers:
                self.start_takes = time.monotonic() - began
            time.sleep(self.random.uniform(0, STEPS_FOR))
        by = signal.SIGTERM if self.random.random() < BY_TERM else signal.SIGKILL
        os.kill(process, by)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        # SIGTERM before training has begun ends a program as any other.
        assert code in ((-9,) if by == signal.SIGKILL else (143, -15)), code
        self._count(by, num_workers)

    def finish(self, workdir: Path, num_steps: int) -> None:
        """A life to its natural end."""
        process = self.live(workdir, num_steps=num_steps)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0

    def latest_step(self) -> int:
        """Of the run's checkpoints."""
        return max((int(p.name) for p in self._checkpoints("[0-9]*")), default=0)

    def _checkpoints(self, pattern: str) -> list[Path]:
        found = (self.workdir / "checkpoints").glob(pattern)
        return [path for path in found if path.name.isdigit() == (pattern == "[0-9]*")]

    def _count(self, by: signal.Signals, num_workers: int) -> None:
        self.tally.kills[by.name] += 1
        if self._checkpoints("*.orbax-checkpoint-tmp*"):
            self.tally.met["saves"] += 1
        if list(self.workdir.glob("*.unfinished")):
            self.tally.met["writes of another file"] += 1
        if num_workers:
            self.tally.met["lives with a loader process"] += 1

    def _progress(self) -> float:
        with contextlib.suppress(FileNotFoundError):
            status = (self.workdir / "metrics.jsonl").stat()
            return status.st_mtime_ns
        return 0


def _wait_until(is_so: Callable[[], bool], process: int) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, "it does not get on"
        assert os.waitpid(process, os.WNOHANG)[0] == 0, "it ended by itself"
        time.sleep(0.003)


def _numbers(workdir: Path) -> list[dict]:
    return [
        {k: v for k, v in line.items() if k not in RATES}
        for line in read_lines(workdir)
    ]


def compare(soak: Soak, undisturbed: Path, num_steps: int) -> None:
    """Fails where the two runs differ."""
    config = soak.config(num_steps=num_steps)
    (state, place), (expected, its_place) = (
        read_state(run, config, step=num_steps) for run in (soak.workdir, undisturbed)
    )
    assert_same_state(state, expected)
    for name in ("loader", "data", "owes_scores"):
        assert place[name] == its_place[name], name
    assert _numbers(soak.workdir) == _numbers(undisturbed)
    for task in ("keypoints", "segm"):
        one, other = (r / f"results_{task}.json" for r in (soak.workdir, undisturbed))
        assert one.read_bytes() == other.read_bytes(), task
    names = [[s[:2] for s in shown(run)] for run in (soak.workdir, undisturbed)]
    missing = collections.Counter(names[1]) - collections.Counter(names[0])
    twice = collections.Counter(names[0]) - collections.Counter(names[1])
    assert not missing, missing
    print(f"TensorBoard: {len(twice)} points are there twice")
    assert not (soak.workdir / "broken_checkpoints").exists()
    with Checkpoints(soak.workdir, create=False) as checkpoints:
        assert checkpoints.latest_step() == num_steps


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser("tests.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of their moments")
    parser.add_argument("--folder", help="where; default: a temporary one")
    given = parser.parse_args()
    folder = Path(given.folder or tempfile.mkdtemp(prefix="soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    command.speak()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    soak = Soak(folder, given.seed)
    began = time.monotonic()
    soak.finish(folder / "warm", 3)  # what it compiles, the others find
    for number in range(1, given.kills + 1):
        soak.kill_once()
        if number % 10 == 0:
            print(
                f"{number} kills, step {soak.latest_step()}, "
                f"{time.monotonic() - began:.0f} s, {dict(soak.tally.met)}",
                flush=True,
            )
    if given.kills >= ENOUGH:
        assert soak.tally.met["saves"], "no kill met a save"
    num_steps = soak.latest_step() + 5
    soak.finish(soak.workdir, num_steps)
    soak.finish(folder / "undisturbed", num_steps)
    jax.config.update("jax_platforms", "cpu")
    compare(soak, folder / "undisturbed", num_steps)
    print(
        f"{sum(soak.tally.kills.values())} kills ({dict(soak.tally.kills)}) on the way "
        f"to step {num_steps}; met: {dict(soak.tally.met)}. The run ends as the "
        f"undisturbed one; {time.monotonic() - began:.0f} s."
    )
    if not given.folder:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
