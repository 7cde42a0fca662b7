"""Two processes on this machine are two hosts: they are as good as one, and agree."""

import json
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from jax.errors import JaxRuntimeError

from poseseg_jax import hosts
from poseseg_jax.speed import RATES
from tests import documented, tiny_run
from tests.tiny_run import read_lines, read_state


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground:
        yield ground


def free_port():
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        return listening.getsockname()[1]


def run_on_two(ground, workdirs, *flags, meanwhile=lambda processes: None):
    """Exit codes, and all that was said, of the processes of a run."""
    coordinator = f"localhost:{free_port()}"
    processes = []
    for index, workdir in enumerate(workdirs):
        command = [sys.executable, "-m", "poseseg_jax.main"]
        command += ["--config=configs/full.py:tiny", f"--workdir={workdir}"]
        command += [*ground.flags(), *flags, f"--coordinator={coordinator}"]
        command += ["--num_processes=2", f"--process_id={index}"]
        processes.append(
            subprocess.Popen(
                command,
                cwd=documented.REPOSITORY,
                env=ground.environment(JAX_PLATFORMS="cpu", JAX_NUM_CPU_DEVICES="1"),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    try:
        meanwhile(processes)
        said = [process.communicate(timeout=200)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], said


def numbers(workdir):
    """metrics.jsonl without what is another number in every run."""
    return [
        {key: value for key, value in line.items() if key not in RATES}
        for line in read_lines(workdir)
    ]


def test_two_hosts_are_as_good_as_one(ground, tmp_path):
    """They end a run that one host began. Only the first has its workdir."""
    workdir, nothing = tmp_path / "run", tmp_path / "nothing"
    ground.copy(workdir, step=2)
    # Of four pictures, each host has two, and one blank that fills the batch.
    codes, said = run_on_two(ground, [workdir, nothing], "--config.eval.batch_size=6")
    assert codes == [0, 0], said
    assert not nothing.exists()
    assert "Going on from step 2." in said[0]
    assert "loss/total" not in said[1]
    alone, together = numbers(ground.finished), numbers(workdir)
    assert together[:2] == alone[:2]
    for line, expected in zip(together[2:4], alone[2:4], strict=True):
        assert line == pytest.approx(expected, rel=1e-4)
    assert together[4].keys() == alone[4].keys()
    for one, other in zip(found(workdir), found(ground.finished), strict=True):
        assert one["image_id"] == other["image_id"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-3)
    # One host reads what two have written.
    (state, place), (expected, its_place) = (
        read_state(run, ground.config()) for run in (workdir, ground.finished)
    )
    assert place["loader"] == its_place["loader"]
    for leaf, other in zip(
        *map(jax.tree.leaves, (state.ema, expected.ema)), strict=True
    ):
        np.testing.assert_allclose(leaf, other, atol=1e-3)


def found(workdir):
    return json.loads((workdir / "results_keypoints.json").read_text())


def test_all_end_when_the_first_may_not_begin(ground):
    workdirs = [ground.finished, ground.finished]
    codes, said = run_on_two(ground, workdirs, "--config.optim.learning_rate=0.5")
    assert codes == [1, 1]
    refusal = "holds a run of another config"
    assert refusal in said[0].splitlines()[-1]
    assert said[1].splitlines()[-1].startswith("Process 0: ValueError")
    assert refusal in said[1]


def test_a_signal_to_one_host_ends_all_after_the_same_step(ground, tmp_path):
    def ask_the_second(processes):
        while not (tmp_path / "checkpoints" / "2").exists():
            assert all(process.poll() is None for process in processes)
            time.sleep(0.05)
        processes[1].send_signal(signal.SIGTERM)

    codes, said = run_on_two(
        ground,
        [tmp_path, tmp_path],
        "--config.train.num_steps=100000",
        meanwhile=ask_the_second,
    )
    assert codes == [143, 143], said
    last = max(int(path.name) for path in (tmp_path / "checkpoints").iterdir())
    for words in said:
        assert f"Interrupted by SIGTERM. Step {last} is saved in {tmp_path}" in words


ALONE = [hosts.Unshared("ValueError: a broken picture"), JaxRuntimeError("no peer\n.")]


@pytest.mark.parametrize("error", ALONE, ids=lambda error: type(error).__name__)
def test_a_host_that_fails_alone_does_not_wait_for_the_others(
    monkeypatch, capsys, error
):
    codes = []
    with pytest.raises(type(error)), hosts.leaving_at_once():
        raise error
    monkeypatch.setattr(hosts, "count", lambda: 2)
    monkeypatch.setattr("os._exit", codes.append)
    with hosts.leaving_at_once():
        raise error
    assert codes == [1]
    first, then = capsys.readouterr().err.splitlines()
    assert str(error).splitlines()[0] in first
    assert "The same command goes on from the last checkpoint." in then


@pytest.mark.parametrize(("num_processes", "process_id"), [(0, -1), (2, 2), (2, -1)])
def test_numbers_that_make_no_sense_are_refused(num_processes, process_id):
    with pytest.raises(ValueError, match=f"--num_processes is {num_processes} and"):
        hosts.join("localhost:1", num_processes, process_id)


def test_one_host_asks_nobody():
    assert hosts.gathered({"a": 1}) == [{"a": 1}]
    assert hosts.largest(3) == 3
    assert hosts.told(lambda: "done") == hosts.together(lambda: "done") == "done"
    assert (hosts.count(), hosts.index(), hosts.is_first()) == (1, 0, True)
