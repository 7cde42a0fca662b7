"""One run as a process of its own: the command that anybody could type, and its end."""

import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from experiments import provenance
from experiments.grid import Changes, Run
from poseseg_jax import workdir as workdir_lib
from poseseg_jax.disk import write_whole
from poseseg_jax.fields import differences

RECORD_FILE = "run.json"
LOG_FILE = "log.txt"
# What is asked of Linux (PR_SET_PDEATHSIG, SIGTERM) holds for what comes instead, too.
_TIED = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)

State = Literal["finished", "begun", "failed", "new"]


@dataclass(frozen=True)
class Place:
    """Where a process runs.

    Attributes:
      variables: of its environment, beside this one's: names and values.
      sharing: how many runs share the processors.
    """

    variables: tuple[tuple[str, str], ...]
    sharing: int = 1

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
        value = ",".join(str(one) for one in value)
    return f"{name}={value}"


def state(run: Run) -> State:
    """How far a run has come. An evaluation is only as finished as its network.

    Raises:
      ValueError: if its folder holds a run of another config, naming the fields.
    """
    has_config = not run.variant.of and _has_config(run)
    if _is_evaluated(run) if run.variant.of else has_config and _is_trained(run):
        return "finished"
    if failure(run):
        return "failed"
    return "begun" if has_config else "new"


def failure(run: Run) -> str:
    """Why a run failed, in its own last words; "" if it has not."""
    return _record(run).get("failed", "")


def starts(run: Run) -> list[dict[str, Any]]:
    """Commit, versions and device of every start of a run, the first one first."""
    return _record(run).get("starts", [])


def _has_config(run: Run) -> bool:
    path = run.workdir / workdir_lib.CONFIG_FILE
    if not path.exists():
        return False
    changes = differences(json.loads(path.read_text()), _plain(run.config))
    may_differ = workdir_lib.changes_nothing
    wrong = [f"{k}: {v}" for k, v in changes.items() if not may_differ(k, v)]
    if wrong:
        raise ValueError(
            f"{run.workdir} holds a run of another config ({'; '.join(wrong)}). Take "
            "another --output, or give the command that was given before."
        )
    return True


def _is_trained(run: Run) -> bool:
    return workdir_lib.final_metrics(run.workdir, run.steps) is not None


def _is_evaluated(run: Run) -> bool:
    has_scores = (run.workdir / workdir_lib.METRICS_FILE).exists()
    return has_scores and _record(run).get("evaluated") == _evaluated(run)


def _evaluated(run: Run) -> dict[str, Any]:
    """Which network an evaluation was of, and how it was asked."""
    assert run.source is not None
    files = [
        run.source / name
        for name in (workdir_lib.CONFIG_FILE, workdir_lib.METRICS_FILE)
    ]
    content = [path.read_bytes() if path.exists() else b"" for path in files]
    network = hashlib.sha256(b"\0".join(content)).hexdigest()
    return {"network": network, "changes": _plain(run.variant.changes)}


def start(run: Run, place: Place) -> "Process":
    """Starts a run, or goes on with it."""
    run.workdir.mkdir(parents=True, exist_ok=True)
    words = command(run)
    begun = {
        "commit": provenance.commit(),
        "versions": provenance.versions(),
        "device": provenance.device(place.variables),
        "sharing": place.sharing,
    }
    record: dict[str, Any] = {"command": shlex.join(words)}
    record["starts"] = [*starts(run), begun]
    if run.variant.of:
        # What an evaluation before this one has left is not its own.
        (run.workdir / workdir_lib.METRICS_FILE).unlink(missing_ok=True)
        record["evaluated"] = _evaluated(run)
    _write(run, record)
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
        self._log_before = self._log.tell()
        self._process = subprocess.Popen(
            tied(words),
            env=place.environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            # Ctrl-C is for this program, which tells its runs itself.
            start_new_session=True,
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
        if code:
            ended = f"exit code {code}" if code > 0 else signal.Signals(-code).name
            _write(self.run, _record(self.run) | {"failed": ended + self._last_words()})
        return True

    def ask_to_end(self) -> None:
        """Asks it to save and end."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Until it has ended."""
        self._process.wait()
        self._log.close()

    def _last_words(self) -> str:
        """Of this start; the log may hold others."""
        with (self.run.workdir / LOG_FILE).open(errors="replace") as file:
            file.seek(self._log_before)
            lines = file.read().strip().splitlines()
        return f": {lines[-1][-500:]}" if lines else ", and it said nothing"


def tied(words: list[str]) -> list[str]:
    """A command that Linux ends, as by `kill`, when the process that started it dies.

    A runner that is killed itself could not tell its runs.
    """
    if sys.platform != "linux":
        return words
    return [sys.executable, "-c", _TIED, *words]


def _record(run: Run) -> dict[str, Any]:
    path = run.workdir / RECORD_FILE
    return json.loads(path.read_text()) if path.exists() else {}


def _write(run: Run, record: Mapping[str, Any]) -> None:
    write_whole(run.workdir / RECORD_FILE, json.dumps(record, indent=2) + "\n")


def _plain(values: Changes) -> dict[str, Any]:
    """As JSON gives it back."""
    return json.loads(json.dumps(dict(values)))
