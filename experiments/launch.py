"""One run as a process of its own: the command that anybody could type, and its end."""

import ctypes
import dataclasses
import functools
import importlib.metadata
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from experiments.grid import Changes, Run
from poseseg_jax import workdir as workdir_lib
from poseseg_jax.disk import write_whole
from poseseg_jax.fields import differences

REPOSITORY = Path(__file__).resolve().parents[1]
RECORD_FILE = "run.json"
LOG_FILE = "log.txt"
_PACKAGES = ("jax", "flax", "optax", "numpy", "pycocotools")
# Where the data lie and how many processes read them changes nothing of a result.
_PLACES = ("data.prepared_dir", "data.num_workers")
_PR_SET_PDEATHSIG = 1  # of Linux' prctl

State = Literal["finished", "begun", "failed", "new"]


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a process runs.

    Attributes:
      variables: of its environment, beside this one's: names and values.
    """

    variables: tuple[tuple[str, str], ...]

    @property
    def environment(self) -> dict[str, str]:
        """Of a process there."""
        return {**os.environ, **dict(self.variables)}


def command(run: Run) -> list[str]:
    """What runs it, to be typed in the repository's root."""
    if run.variant.of:
        changes = [f"--set={flag(n, v)}" for n, v in run.variant.changes.items()]
        program = ["poseseg_jax.evaluate", f"--workdir={run.source}"]
        program += [f"--output={run.workdir}", *changes]
    else:
        program = ["poseseg_jax.main", f"--config={run.file}"]
        program += [f"--workdir={run.workdir}"]
        program += [f"--config.{flag(n, v)}" for n, v in run.changes.items()]
    return ["python", "-m", *program]


def flag(name: str, value: Any) -> str:
    """A field as the command line takes it."""
    if isinstance(value, tuple | list):
        value = ",".join(str(one) for one in value) + ("," if len(value) == 1 else "")
    return f"{name}={value}"


def state(run: Run) -> State:
    """How far a run has come.

    Raises:
      ValueError: if its folder holds a run of another config, naming the fields.
    """
    record = _record(run)
    if run.variant.of:
        is_done = (run.workdir / workdir_lib.METRICS_FILE).exists()
        same = record.get("changes") == _plain(run.variant.changes)
        return "finished" if is_done and same else "new"
    path = run.workdir / workdir_lib.CONFIG_FILE
    if path.exists():
        _check_same(run, json.loads(path.read_text()))
        if workdir_lib.final_metrics(run.workdir, run.steps) is not None:
            return "finished"
    if record.get("failed"):
        return "failed"
    return "begun" if path.exists() else "new"


def failure(run: Run) -> str:
    """Why a run failed, in its own last words; "" if it has not."""
    return _record(run).get("failed", "")


def record(run: Run) -> dict[str, Any]:
    """What is known of how a run came about: command, commit, versions, device."""
    return _record(run)


def _check_same(run: Run, old: Mapping[str, Any]) -> None:
    changes = differences(old, _plain(run.config))
    wrong = [f"{k}: {v}" for k, v in changes.items() if not k.startswith(_PLACES)]
    if wrong:
        raise ValueError(
            f"{run.workdir} holds a run of another config ({'; '.join(wrong)}). Take "
            "another --output, or give the command that was given before."
        )


def start(run: Run, place: Place) -> "Process":
    """Starts a run, or goes on with it."""
    run.workdir.mkdir(parents=True, exist_ok=True)
    words = command(run)
    about = {
        "command": shlex.join(words),
        "changes": _plain(run.variant.changes),
        "commit": _commit(),
        "versions": _versions(),
        "device": _device(place),
    }
    write_whole(run.workdir / RECORD_FILE, json.dumps(about, indent=2) + "\n")
    return Process(run, [sys.executable, *words[1:]], place)


class Process:
    """A run at work.

    Args:
      run: which one.
      words: the command.
      place: where it runs.
    """

    def __init__(self, run: Run, words: list[str], place: Place):
        self.run, self.place = run, place
        self._start = time.monotonic()
        self._log = (run.workdir / LOG_FILE).open("a")
        self._process = subprocess.Popen(
            words,
            env=place.environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            # Ctrl-C is for this program, which tells its runs itself.
            start_new_session=True,
            preexec_fn=end_with_parent,
        )

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self._start

    def is_over(self) -> bool:
        """Whether it has ended, and what came of it is written down."""
        code = self._process.poll()
        if code is None:
            return False
        self._log.close()
        about = _record(self.run)
        if code:
            about["failed"] = f"exit code {code}: {_last_words(self.run)}"
        write_whole(self.run.workdir / RECORD_FILE, json.dumps(about, indent=2) + "\n")
        return True

    def end(self) -> None:
        """Asks it to save and end, and waits until it has."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        self._log.close()


def end_with_parent() -> None:
    """Asks Linux to end this process, as by `kill`, when the one that started it dies.

    The runner could not tell its runs if it was killed itself.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _last_words(run: Run) -> str:
    lines = (run.workdir / LOG_FILE).read_text(errors="replace").strip().splitlines()
    return lines[-1][-500:] if lines else "it said nothing"


def _record(run: Run) -> dict[str, Any]:
    path = run.workdir / RECORD_FILE
    return json.loads(path.read_text()) if path.exists() else {}


def _plain(values: Changes) -> dict[str, Any]:
    """As JSON gives it back."""
    return json.loads(json.dumps(dict(values)))


def _versions() -> dict[str, str]:
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), **found}


@functools.cache
def _device(place: Place) -> str:
    """What JAX finds there; asked by a process that leaves it again."""
    program = "import jax; print(jax.devices()[0].device_kind)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=place.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    kind = done.stdout.strip()
    return f"a CPU with {os.cpu_count()} cores" if kind == "cpu" else kind


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    commit = git("rev-parse", "--short=10", "HEAD")
    if not commit:
        return "unknown: not a git repository"
    changed = git("status", "--porcelain", "--untracked-files=no")
    return f"{commit}, with changes" if changed else commit
