"""Grids at work: with runs that take moments, and do what they are told."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from experiments import launch, provenance, schedule
from experiments.grid import Variant
from tests.test_grid import QUESTION, runs_of

# What stands in for poseseg_jax.main: notes its times, and leaves what a run leaves.
_RUN = """
import json, os, pathlib, sys, time
told = json.loads(sys.argv[1])
workdir = pathlib.Path(told["workdir"])
begun = time.time()
if not told["is_evaluation"]:
    (workdir / "config.json").write_text(json.dumps(told["config"]))
with (workdir / "begun").open("a") as file:
    file.write("x")
if told["name"] == "bad" and not (workdir.parents[1] / "mended").exists():
    sys.exit("It is broken.")
time.sleep(told["seconds"])
(workdir / "times").write_text(json.dumps([begun, time.time(), os.getpid()]))
steps = told["config"]["train"]["num_steps"]
(workdir / "metrics.json").write_text(json.dumps({"train/steps": steps}))
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    def command(run):
        told = {
            "workdir": str(run.workdir),
            "config": run.config,
            "name": run.variant.name,
            "is_evaluation": bool(run.variant.of),
            "seconds": 60 if run.variant.name == "long" else 0.3,
        }
        return ["python", "-c", _RUN, json.dumps(told)]

    monkeypatch.setattr(launch, "command", command)
    monkeypatch.setattr(provenance, "device", lambda variables: "a CPU")


def grid(folder, *variants, seeds=1):
    experiment = QUESTION.__class__(
        **{
            **vars(QUESTION),
            "variants": lambda config: list(variants),
            "baseline": variants[0].name,
        }
    )
    return runs_of(experiment, folder, seeds=seeds)


def variant(name, **fields):
    return Variant(name, {"optim.ema": 0.5 + len(name) / 100}, **fields)


def run_all(runs, jobs=1):
    schedule.run_all(runs, schedule.places(jobs, [], runs[0].workdir))


def begun(runs):
    paths = [run.workdir / "begun" for run in runs]
    return [len(path.read_text()) if path.exists() else 0 for path in paths]


def test_all_are_run_once_and_not_again(tmp_path):
    runs = grid(tmp_path, variant("a"), variant("bb"), seeds=2)
    run_all(runs)
    assert [launch.state(run) for run in runs] == ["finished"] * 4
    run_all(runs)
    assert begun(runs) == [1] * 4


@pytest.mark.parametrize("jobs", [1, 2])
def test_so_many_are_at_work_at_a_time(jobs, tmp_path):
    runs = grid(tmp_path, variant("a"), variant("bb"), variant("ccc"))
    run_all(runs, jobs)
    times = [json.loads((run.workdir / "times").read_text()) for run in runs]
    at_once = [sum(b <= start < e for b, e, _ in times) for start, _, _ in times]
    assert max(at_once) == jobs


def test_a_failed_run_stops_no_other_and_is_tried_again(tmp_path):
    runs = grid(
        tmp_path,
        variant("bad"),
        variant("after it", after="bad"),
        variant("after that", after="after it"),
        variant("fine"),
    )
    run_all(runs)
    states = [launch.state(run) for run in runs]
    assert states == ["failed", "new", "new", "finished"]
    assert launch.failure(runs[0]) == "exit code 1: It is broken."
    (tmp_path / "mended").touch()
    run_all(runs)
    assert [launch.state(run) for run in runs] == ["finished"] * 4
    assert begun(runs) == [2, 1, 1, 1]
    assert not launch.failure(runs[0])


def test_a_run_waits_for_what_it_needs(tmp_path):
    runs = grid(tmp_path, variant("a"), variant("bb", after="a"))
    run_all(runs, jobs=2)
    (_, end, _), (start, _, _) = (
        json.loads((run.workdir / "times").read_text()) for run in runs
    )
    assert end <= start


def test_an_evaluation_is_done_again_when_its_network_is_another(tmp_path):
    runs = grid(tmp_path, variant("a"), variant("bb", of="a"))
    run_all(runs)
    run_all(runs)
    assert begun(runs) == [1, 1]
    shutil.rmtree(runs[0].workdir)
    assert [launch.state(run) for run in runs] == ["new", "new"]
    run_all(runs)
    (runs[0].workdir / "metrics.json").write_text('{"train/steps": 9999}')
    assert [launch.state(run) for run in runs] == ["finished", "new"]
    run_all(runs)
    assert [launch.state(run) for run in runs] == ["finished"] * 2
    assert begun(runs) == [1, 2]  # the same network again is no other


def test_an_evaluation_killed_at_its_start_is_not_the_one_before(tmp_path):
    first = grid(tmp_path, variant("a"), variant("long", of="a"))
    runs = grid(tmp_path, variant("a"), variant("long", of="a"))
    runs[1].workdir.mkdir(parents=True)
    (runs[1].workdir / "metrics.json").write_text('{"train/steps": 1}')
    run_all(first[:1])
    process = launch.start(runs[1], schedule.places(1, [], tmp_path)[0])
    process.ask_to_end()
    process.wait()
    assert launch.state(runs[1]) == "new"


def test_a_failed_evaluation_is_a_failed_run(tmp_path):
    runs = grid(tmp_path, variant("a"), variant("bad", of="a"))
    run_all(runs)
    assert [launch.state(run) for run in runs] == ["finished", "failed"]
    assert launch.failure(runs[1]) == "exit code 1: It is broken."


def test_every_start_of_a_run_is_remembered(tmp_path):
    runs = grid(tmp_path, variant("bad"))
    run_all(runs)
    (tmp_path / "mended").touch()
    run_all(runs)
    about = launch.starts(runs[0])
    assert len(about) == 2
    keys = {"commit", "versions", "device", "sharing"}
    assert all(one.keys() >= keys for one in about)


def test_a_moved_ancestor_is_the_same(tmp_path):
    run_all(grid(tmp_path / "here", variant("a"), variant("bb", after="a")))
    (tmp_path / "here").rename(tmp_path / "there")
    runs = grid(tmp_path / "there", variant("a"), variant("bb", after="a"))
    assert [launch.state(run) for run in runs] == ["finished"] * 2


def test_a_folder_of_another_config_is_refused_before_anything_is_run(tmp_path):
    run_all(grid(tmp_path, variant("a")))
    other = Variant("a", {"optim.ema": 0.9})
    runs = grid(tmp_path, variant("bb"), other)
    with pytest.raises(ValueError, match=r"optim\.ema: 0\.51 -> 0\.9"):
        run_all(runs)
    assert begun(runs) == [0, 1]


def test_interrupted_it_ends_its_runs(tmp_path, monkeypatch):
    runs = grid(tmp_path, variant("long"))

    def interrupt(seconds):
        if begun(runs) == [1]:
            raise KeyboardInterrupt
        time.sleep(seconds)

    monkeypatch.setattr(schedule, "_sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_all(runs)
    assert launch.state(runs[0]) == "begun"
    assert not launch.failure(runs[0])


_STARTER = """
import subprocess, sys, time
from experiments.launch import tied
program = "import time; print('ready', flush=True); time.sleep(60)"
words = tied([sys.executable, "-c", program])
child = subprocess.Popen(words, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_runs_end_with_a_runner_that_is_killed():
    starter = subprocess.Popen(
        [sys.executable, "-c", _STARTER], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    with starter.stdout:
        child = int(starter.stdout.readline())
    os.kill(starter.pid, signal.SIGKILL)
    starter.wait()
    for _ in range(100):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the run is still there")


@pytest.mark.parametrize(
    ("jobs", "gpus", "message"),
    [
        (0, [], "--jobs is 0"),
        (2, ["0", "1"], "--jobs=2 and --gpus=0,1 do not go together"),
    ],
)
def test_places_that_there_cannot_be_are_refused(jobs, gpus, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        schedule.places(jobs, gpus, tmp_path)


def test_every_gpu_is_a_place_and_cores_are_shared(tmp_path):
    gpus = schedule.places(1, ["2", "5"], tmp_path)
    seen = [place.environment["CUDA_VISIBLE_DEVICES"] for place in gpus]
    assert seen == ["2", "5"]
    jobs = schedule.places(4, [], tmp_path)
    cores = {place.environment["JAX_NUM_CPU_DEVICES"] for place in jobs}
    assert (len(jobs), cores) == (4, {"1"})  # which every batch divides over
    assert {place.sharing for place in jobs} == {4}
    assert {place.sharing for place in gpus} == {1}


def test_several_jobs_do_not_crowd_on_a_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "device", lambda variables: "NVIDIA A100")
    with pytest.raises(ValueError, match="JAX finds NVIDIA A100: give --gpus"):
        schedule.places(2, [], tmp_path)
