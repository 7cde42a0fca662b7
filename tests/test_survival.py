"""A run outlives what ends it, and does no work twice that it need not do."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import jax
import pytest

from poseseg_jax import train, training
from poseseg_jax.interruption import SIGNALS, Interrupted, Interruption
from tests import documented, faults, tiny_run
from tests.tiny_run import NUM_STEPS, read_state


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground, tiny_run.remembering():
        yield ground


@contextlib.contextmanager
def compilations():
    """Counts them, by how many steps were made before and by what is compiled."""
    counted, steps = Counter(), [0]

    def listen(event, seconds, **details):
        if event == "/jax/core/compile/backend_compile_duration":
            counted[steps[0], details["fun_name"]] += 1

    def advance(logbook):
        steps[0] += 1

    jax.monitoring.register_event_duration_secs_listener(listen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.Logbook, "advance", advance)
        try:
            yield counted
        finally:
            jax.monitoring.unregister_event_duration_listener(listen)


@pytest.fixture(scope="module")
def undisturbed(ground, tmp_path_factory):
    """A run that is evaluated on the way, and what was compiled in it."""
    workdir = tmp_path_factory.mktemp("undisturbed")
    with compilations() as counted:
        train.run(often_scored(ground), workdir)
    return workdir, counted


def often_scored(ground):
    return ground.config(
        train={**ground.config()["train"], "num_steps": 6},
        eval={**ground.config()["eval"], "every_steps": 3},
    )


def test_nothing_is_compiled_after_it_was_needed_first(undisturbed):
    """The step before step 1, saves at step 2, evaluation at step 3; then nothing."""
    _, counted = undisturbed
    assert counted[0, "jit(_step)"] == 1
    assert not [(step, name) for step, name in counted if step > 3]
    names = Counter(name for _, name in counted.elements())
    assert names["jit(_step)"] == names["jit(detect)"] == 1


def test_an_interrupted_evaluation_is_made_up_for(
    ground, undisturbed, tmp_path, monkeypatch
):
    """It comes where it would have been, between the same lines."""
    begin = training.Training.evaluate

    def evaluate(training, logbook):
        os.kill(os.getpid(), signal.SIGTERM)
        return begin(training, logbook)

    with monkeypatch.context() as patch:
        patch.setattr(training.Training, "evaluate", evaluate)
        with pytest.raises(Interrupted, match="Step 3 is saved"):
            train.run(often_scored(ground), tmp_path)
    assert faults.steps_of(tmp_path) == [2, 3]

    def unhurried(training, logbook):
        assert training.step == 6 or training._ledger._opened is None
        return begin(training, logbook)

    monkeypatch.setattr(training.Training, "evaluate", unhurried)
    with compilations() as counted:
        train.run(often_scored(ground), tmp_path)
    assert faults.numbers(tmp_path) == faults.numbers(undisturbed[0])
    states = (
        read_state(run, often_scored(ground), step=6)[0]
        for run in (tmp_path, undisturbed[0])
    )
    tiny_run.assert_same_state(*states)
    # What is restored fits the program that was compiled for the first state.
    assert not [name for _, name in counted if name in ("jit(_step)", "jit(detect)")]


def test_a_run_ends_when_asked_in_its_last_scoring(ground, tmp_path, monkeypatch):
    """The log has said so. What is left to do is done when it goes on."""
    workdir = ground.copy(tmp_path / "run", step=2)
    judge = train.judging.judge

    def interrupted(*given):
        os.kill(os.getpid(), signal.SIGTERM)
        return judge(*given)

    with monkeypatch.context() as patch:
        patch.setattr(train.judging, "judge", interrupted)
        with pytest.raises(Interrupted, match=f"Step {NUM_STEPS} is saved"):
            train.run(ground.config(), workdir)
    assert not (workdir / "metrics.json").exists()
    metrics = train.run(ground.config(), workdir)
    assert metrics["train/steps"] == NUM_STEPS
    assert faults.numbers(workdir) == faults.numbers(ground.finished)


def test_data_that_were_moved_are_the_same_data(ground, tmp_path):
    workdir, root = ground.copy(tmp_path / "run", step=2), tmp_path / "new" / "coco"
    shutil.copytree(ground.drawn, root)
    data = {**ground.config()["data"], "root": str(root)}
    metrics = train.run(ground.config(data=data), workdir)
    assert metrics["train/steps"] == NUM_STEPS
    assert faults.numbers(workdir) == faults.numbers(ground.finished)
    assert f'"{root}"' in (workdir / "config.json").read_text()


def test_outside_of_a_run_signals_mean_what_they_meant():
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interruption() as interruption:
        interruption.check()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted, match="SIGINT") as caught:
            interruption.check()
    assert caught.value.exit_code == 130
    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_command_that_is_asked_to_end_saves_and_says_how_to_go_on(ground, tmp_path):
    """As a scheduler asks: every process of the job, loader processes as well."""
    workdir = tmp_path / "run"
    command = [sys.executable, "-m", "poseseg_jax.main"]
    command += ["--config=configs/full.py:tiny", f"--workdir={workdir}"]
    command += [*ground.flags(), "--config.data.num_workers=1"]
    command += ["--config.train.num_steps=100000"]
    training = subprocess.Popen(
        command,
        cwd=documented.REPOSITORY,
        env=ground.environment(JAX_NUM_CPU_DEVICES="1"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while not (workdir / "checkpoints" / "2").exists():
            assert training.poll() is None, "it ended before it was asked to"
            time.sleep(0.02)
        os.killpg(training.pid, signal.SIGTERM)
        _, said = training.communicate(timeout=200)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(training.pid, signal.SIGKILL)
    assert training.returncode == 143, said
    assert "Traceback" not in said
    assert "SIGTERM: it will end as soon as it can, and save." in said
    last = faults.steps_of(workdir)[-1]
    assert said.splitlines()[-1] == (
        f"Interrupted by SIGTERM. Step {last} is saved in {workdir}; the same command "
        "goes on from there."
    )
