"""What can go wrong with a run, case by case: how it is made, and how it is met.

`python -m tests.faults` makes every fault, and writes the table of docs/survival.md
from what is said of it.
"""

import contextlib
import json
import logging
import multiprocessing
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from poseseg_jax import command, stored, train, training
from poseseg_jax.interruption import Interrupted
from poseseg_jax.logbook import Logbook
from poseseg_jax.speed import RATES
from tests import tiny_run
from tests.tiny_run import Ground, assert_same_state, read_lines, read_state

DOCS = Path(__file__).resolve().parents[1] / "docs" / "survival.md"
ERRORS = (ValueError, FloatingPointError, OSError, Interrupted)
SAVED = 2  # the step of the checkpoint from which most cases start
LARGE = 20  # steps, for what takes a while to be noticed


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes:
      name: what it is.
      happens: makes it in a run; returns what is said. It fails unless what `then` says
        is so.
      then: what is so afterwards.
    """

    name: str
    happens: Callable[[Ground, Path], str]
    then: str


# How they are made --------------------------------------------------------------------


def message_of(call: Callable[..., object], *arguments: object) -> str:
    """What an error says, as the command does."""
    try:
        call(*arguments)
    except ERRORS as error:
        if isinstance(error, Interrupted):
            return f"{error} (exit code {error.exit_code})"
        return command.in_words(error)
    raise AssertionError("nothing happened")


@contextlib.contextmanager
def at_step(step: int, do: Callable[[], object]) -> Iterator[None]:
    """Has something done when a run has made that many steps in this process."""
    steps = iter(range(1, 10**6))

    def advance(logbook: Logbook) -> None:
        del logbook
        if next(steps) == step:
            do()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Logbook, "advance", advance)
        yield


@contextlib.contextmanager
def largest_file(num_bytes: int) -> Iterator[None]:
    """Leaves no room for more in any file, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def heard() -> Iterator[list[str]]:
    """What is logged as a warning meanwhile."""
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())
    logging.getLogger("poseseg_jax").addHandler(handler)
    try:
        yield said
    finally:
        logging.getLogger("poseseg_jax").removeHandler(handler)


def assert_ends_as_undisturbed(ground: Ground, workdir: Path) -> None:
    """Goes on to the end; then everything is as in the finished run."""
    train.run(ground.config(), workdir)
    states = (read_state(run, ground.config())[0] for run in (workdir, ground.finished))
    assert_same_state(*states)
    one, other = map(numbers, (workdir, ground.finished))
    assert one == other


def numbers(workdir: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl, without the rates, which are those of the day."""
    return [
        {k: v for k, v in line.items() if k not in RATES}
        for line in read_lines(workdir)
    ]


def steps_of(workdir: Path) -> list[int]:
    """The checkpoints that are there."""
    folder = workdir / "checkpoints"
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit())


def _by_signal(
    number: signal.Signals, step: int, *, goes_on: bool = True
) -> Callable[[Ground, Path], str]:
    def happens(ground: Ground, folder: Path) -> str:
        workdir = folder / "run"
        with at_step(step, lambda: os.kill(os.getpid(), number)):
            said = message_of(train.run, ground.config(), workdir)
        assert steps_of(workdir)[-1] == step
        if goes_on:
            assert_ends_as_undisturbed(ground, workdir)
        return said

    return happens


# XLA takes a minute for it, and meanwhile Python cannot call a handler.
_COMPILING = """
import os, signal, threading, time
import jax
import jax.numpy as jnp
from poseseg_jax.interruption import Interruption

jax.config.update("jax_platforms", "cpu")

def program(x):
    for _ in range(5000):
        x = jnp.sin(x @ x)
    return x

def tell():
    for _ in range(2):
        time.sleep(1.0)
        print("signal", flush=True)
        for _ in range(2):  # as `timeout` does: that counts once
            os.kill(os.getpid(), signal.SIGTERM)

lowered = jax.jit(program).lower(jnp.ones((64, 64)))
with Interruption() as interruption:
    print("compiling", flush=True)
    threading.Thread(target=tell, daemon=True).start()
    lowered.compile()
    print("compiled", flush=True)
"""


def _twice(ground: Ground, folder: Path) -> str:
    del ground, folder
    done = subprocess.run(
        [sys.executable, "-c", _COMPILING], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["compiling", "signal", "signal"], done.stdout
    assert done.returncode == 143
    return f"{done.stderr.strip().splitlines()[-1]} (exit code {done.returncode})"


def _in_use(ground: Ground, folder: Path) -> str:
    """By a process that is killed then."""
    workdir = ground.copy(folder / "run")
    program = (
        "import sys, time\nfrom pathlib import Path\n"
        "from poseseg_jax.workdir import occupied\n"
        "with occupied(Path(sys.argv[1])):\n"
        "    print('there', flush=True)\n    time.sleep(60)\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(workdir)], stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    with other.stdout:
        assert other.stdout.readline() == b"there\n"
        said = message_of(train.run, ground.config(), workdir)
        assert str(other.pid) in said
        other.kill()
        other.wait()
    assert train.run(ground.config(), workdir)  # the lock is gone with it
    return said.replace(str(other.pid), "4711")


def _unwritable(ground: Ground, folder: Path) -> str:
    place = folder / "theirs"
    place.mkdir(mode=0o555)
    with _nobody():
        said = message_of(train.run, ground.config(), place / "run")
    assert not list(place.iterdir())
    return said


@contextlib.contextmanager
def _nobody() -> Iterator[None]:
    """Root may write everywhere; nobody may not."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def _other_config(ground: Ground, folder: Path) -> str:
    workdir = ground.copy(folder / "run", step=SAVED)
    before = tiny_run.all_files(workdir)
    config = ground.config(optim={"learning_rate": 0.5})
    said = message_of(train.run, config, workdir)
    assert tiny_run.all_files(workdir) == before
    return said


def _other_data(ground: Ground, folder: Path) -> str:
    workdir = ground.copy(folder / "run", step=SAVED)
    root = folder / "coco"
    shutil.copytree(ground.drawn, root)
    (annotations,) = (root / "annotations").glob("*train2017.json")
    content = json.loads(annotations.read_text())
    content["images"].pop()
    kept = {image["id"] for image in content["images"]}
    content["annotations"] = [
        one for one in content["annotations"] if one["image_id"] in kept
    ]
    annotations.write_text(json.dumps(content))
    before = (workdir / "config.json").read_bytes()
    data = {**ground.config()["data"], "root": str(root)}
    said = message_of(train.run, ground.config(data=data), workdir)
    assert (workdir / "config.json").read_bytes() == before
    return re.sub(r"[0-9a-f]{12}", "0123456789ab", said)


def _broken(*steps: int) -> Callable[[Ground, Path], str]:
    """Of these checkpoints, the middle byte of the largest file is another."""

    def happens(ground: Ground, folder: Path) -> str:
        workdir = ground.copy(folder / "run")
        (workdir / "metrics.json").unlink()
        for step in steps:
            spoil(workdir / "checkpoints" / str(step))
        with heard() as said:
            if SAVED in steps:
                before = tiny_run.all_files(workdir / "checkpoints")
                words = message_of(train.run, ground.config(), workdir)
                assert tiny_run.all_files(workdir / "checkpoints") == before
                return _without_reason(words)
            assert_ends_as_undisturbed(ground, workdir)
        assert [p.name for p in (workdir / "broken_checkpoints").iterdir()] == ["4"]
        return _without_reason("\n".join(said))

    return happens


def _without_reason(words: str) -> str:
    """It depends on what the byte was."""
    return re.sub(r"read \(.*\)\.", "read (...).", words)


def spoil(folder: Path) -> None:
    """Changes a byte of the largest file."""
    path = max((p for p in folder.rglob("*") if p.is_file()), key=_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def _size(path: Path) -> int:
    return path.stat().st_size


def _full_for_a_checkpoint(ground: Ground, folder: Path) -> str:
    workdir = ground.copy(folder / "run", step=SAVED)
    with largest_file(30_000):
        said = message_of(train.run, ground.config(), workdir)
    assert steps_of(workdir) == [SAVED]
    assert_ends_as_undisturbed(ground, workdir)
    return re.sub(r"\(.*\); [\d.]+ GB", "(...); 0.0 GB", said)


def _full_for_a_line(ground: Ground, folder: Path) -> str:
    workdir = ground.copy(folder / "run", step=SAVED)

    with contextlib.ExitStack() as meanwhile:

        def fill() -> None:
            size = _size(workdir / "metrics.jsonl")
            meanwhile.enter_context(largest_file(size + 20))

        with at_step(1, fill):
            said = message_of(train.run, ground.config(), workdir)
    last = (workdir / "metrics.jsonl").read_text().splitlines()[-1]
    assert last.startswith('{"step": 3, ')
    assert len(last) == 20
    assert_ends_as_undisturbed(ground, workdir)
    return re.sub(r"\(.*\); [\d.]+ GB", "(...); 0.0 GB", said)


def _no_shared_memory(ground: Ground, folder: Path) -> str:
    workdir = folder / "run"
    begin = training.Training._next_batch

    def next_batch(training: Any) -> Any:
        with largest_file(4096):
            return begin(training)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.Training, "_next_batch", next_batch)
        said = message_of(train.run, _with_a_worker(ground), workdir)
    assert not steps_of(workdir)
    assert not (workdir / "metrics.jsonl").exists()
    return said


def _with_a_worker(ground: Ground, **changes: Any) -> dict[str, Any]:
    data = {**ground.config()["data"], "num_workers": 1}
    return ground.config(data=data, **changes)


def _worker_killed(ground: Ground, folder: Path) -> str:
    workdir = folder / "run"

    def kill() -> None:
        (worker,) = multiprocessing.active_children()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)

    train_of = {**ground.config()["train"], "num_steps": LARGE}
    with at_step(2, kill):
        config = _with_a_worker(ground, train=train_of)
        said = message_of(train.run, config, workdir)
    saved = steps_of(workdir)[-1]
    assert 2 <= saved < LARGE
    assert not multiprocessing.active_children()
    train.run(ground.config(train={**train_of, "num_steps": saved + 1}), workdir)
    losses = [n["step"] for n in numbers(workdir) if "loss/total" in n]
    assert losses == [*range(1, saved + 2)]
    assert numbers(workdir)[:2] == numbers(ground.finished)[:2]
    return re.sub(r"Step \d+", "Step 5", said)


def _diverges(ground: Ground, folder: Path) -> str:
    """Step 3 goes much too far, step 4 computes with what came of it."""
    workdir = ground.copy(folder / "run", step=SAVED)
    optim = {**ground.config()["optim"], "learning_rate": 1e30}
    config = ground.config(optim=optim)
    (workdir / "config.json").write_text(json.dumps(config))
    said = message_of(train.run, config, workdir)
    assert steps_of(workdir) == [SAVED]
    assert [line["step"] for line in read_lines(workdir)] == [1, 2, 3]
    assert "nan" in said
    return re.sub(r"{.*}", "{'total': nan, ...}", said)


def _checkpoints_gone(ground: Ground, folder: Path) -> str:
    workdir = ground.copy(folder / "run", step=SAVED)
    shutil.rmtree(workdir / "checkpoints")
    before = (workdir / "metrics.jsonl").read_bytes()
    said = message_of(train.run, ground.config(), workdir)
    assert (workdir / "metrics.jsonl").read_bytes() == before
    return said


def _unread(ground: Ground, folder: Path) -> str:
    workdir = ground.copy(folder / "run", step=SAVED)

    def fail(*_: object) -> str:
        raise OSError(5, "Input/output error")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "checksum", fail)
        said = message_of(train.run, ground.config(), workdir)
    assert steps_of(workdir) == [SAVED]
    assert not (workdir / "broken_checkpoints").exists()
    assert_ends_as_undisturbed(ground, workdir)
    return said


def _half_a_line(ground: Ground, folder: Path) -> str:
    workdir = ground.copy(folder / "run", step=SAVED)
    path = workdir / "metrics.jsonl"
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[: SAVED + 1])[:-30])
    with heard() as said:
        assert_ends_as_undisturbed(ground, workdir)
    assert path.read_bytes().startswith(b"".join(whole[:SAVED]))
    return "\n".join(said)


def _clock_set_back(ground: Ground, folder: Path) -> str:
    workdir = ground.copy(folder / "run", step=SAVED)
    first = {path.name for path in workdir.glob("events.*")}
    with pytest.MonkeyPatch.context() as patch, heard() as said:
        patch.setattr("time.time", lambda: 1e9)
        assert_ends_as_undisturbed(ground, workdir)
    names = sorted(path.name for path in workdir.glob("events.*"))
    assert set(names[:-1]) == first
    seconds = read_state(workdir, ground.config())[1]["seconds"]
    assert 0 < seconds < 1e4
    return "\n".join(said)


FAULTS = [
    Fault(
        "SIGTERM, as a job scheduler sends it",
        _by_signal(signal.SIGTERM, 3),
        "the step is finished and saved; going on ends as an undisturbed run",
    ),
    Fault(
        "SIGINT, as Ctrl-C sends it",
        _by_signal(signal.SIGINT, 1, goes_on=False),
        "the same",
    ),
    Fault("a second signal", _twice, "the process ends at once, also in a compilation"),
    Fault(
        "another run is at work in the workdir",
        _in_use,
        "it is not touched; a lock ends with its process, also when that is killed",
    ),
    Fault("a workdir that may not be written", _unwritable, "nothing is written"),
    Fault(
        "a workdir of another config",
        _other_config,
        "nothing is changed; every field that differs is named",
    ),
    Fault("the data have changed", _other_data, "nothing is changed"),
    Fault(
        "the checkpoints are gone: pruned, or their drive is not mounted",
        _checkpoints_gone,
        "nothing is changed; the log is kept",
    ),
    Fault(
        "a checkpoint cannot be read now: memory, drive, open files",
        _unread,
        "nothing is moved; the same command ends as an undisturbed run",
    ),
    Fault(
        "a byte of the latest checkpoint is flipped",
        _broken(4),
        "the run goes on from the one before, and ends as an undisturbed one",
    ),
    Fault(
        "a byte of every checkpoint is flipped",
        _broken(SAVED, 4),
        "they stay where they are",
    ),
    Fault(
        "the disk is full when a checkpoint is written",
        _full_for_a_checkpoint,
        "earlier checkpoints stay; the same command ends as an undisturbed run",
    ),
    Fault(
        "the disk is full when metrics.jsonl gets a line",
        _full_for_a_line,
        "half a line, which is taken back; the same command ends as an undisturbed run",
    ),
    Fault(
        "no room in shared memory for loader processes",
        _no_shared_memory,
        "the run ends before its first step",
    ),
    Fault(
        "a loader process is killed",
        _worker_killed,
        "what was learned is saved; the same command goes on, with no step missing",
    ),
    Fault(
        "a loss that is not finite",
        _diverges,
        "the checkpoint before stays the last, and the log ends before it",
    ),
    Fault(
        "the last line of metrics.jsonl is cut off",
        _half_a_line,
        "it is taken back and written again; the run ends as an undisturbed one",
    ),
    Fault(
        "the clock is set back while the run is down",
        _clock_set_back,
        "durations are not of that clock, TensorBoard's files keep their order; the "
        "run ends as an undisturbed one",
    ),
]


def said_of(fault: Fault, ground: Ground, folder: Path) -> str:
    """What is said of a fault, without what depends on the day."""
    words = fault.happens(ground, folder).replace(f"{folder}/", "")
    words = re.sub(r" on [\w.-]+\)", " on node7)", words)
    return words.strip()


def row(fault: Fault, said: str) -> str:
    """Its line in the table."""
    lines = [line.strip().replace("|", r"\|") for line in said.splitlines()]
    words = "<br>".join(f"`{line}`" for line in lines) or "nothing"
    return f"| {fault.name} | {words} | {fault.then} |"


def main() -> None:
    """The command."""
    rows = ["| What goes wrong | What is said | Then |", "|---|---|---|"]
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        base = Path(name)
        with tiny_run.ground_in(base) as ground, tiny_run.remembering():
            for number, fault in enumerate(FAULTS):
                folder = base / str(number)
                folder.mkdir()
                rows.append(row(fault, said_of(fault, ground, folder)))
                print(rows[-1], flush=True)
    words = DOCS.read_text()
    before, begin, rest = words.partition("<!-- faults -->")
    _, end, after = rest.partition("<!-- end of faults -->")
    assert end, "no place for the table"
    table = "\n".join(rows)
    DOCS.write_text(f"{before}{begin}\n\n{table}\n\n{end}{after}")


if __name__ == "__main__":
    main()
