"""Every command starts, says what it takes, and complains in words."""

import configparser
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pytest

from tests import commands, documented, tiny_run
from tests.documented import REPOSITORY

# What scripts rely on; every other command has to list some flag at least.
PROMISED = {
    "poseseg_jax.main": {"config", "workdir"},
    "poseseg_jax.data.inspect": {
        *("config", "output", "split", "pictures", "seed", "image_ids"),
    },
    "poseseg_jax.evaluate": {
        *("workdir", "annotations", "images", "output", "step"),
        *("bootstrap", "flip", "scales", "set"),
    },
    "poseseg_jax.export": {
        *("workdir", "output", "format", "step", "flip", "scales", "set"),
        "platforms",
    },
    "poseseg_jax.predict": {
        *("workdir", "output", "step", "flip", "scales", "set", "min_score"),
        *("draw", "max_side", "maps", "every", "batch_size", "square"),
    },
    "poseseg_jax.data.bias": {
        *("annotations", "output", "seed", "reductions", "count"),
        *("controls", "on_error"),
    },
    "poseseg_jax.data.synthetic": {"output", "num_train", "num_val", "seed"},
}


# Flags that libraries define, of no concern to who uses a command of ours.
OTHERS = {"verbosity", "only_check_args", "pdb", "logtostderr", "jax_platforms"}

# Modules that do something when they are run.
COMMANDS = [
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
    for folder in documented.PACKAGES
    for path in sorted((REPOSITORY / folder).rglob("*.py"))
    if '__name__ == "__main__"' in path.read_text()
]


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground:
        yield ground


def assert_in_words(done, *words):
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "Traceback" not in done.stderr, said
    for word in words:
        assert word in said


def test_all_that_was_promised_can_be_started():
    assert set(COMMANDS) >= PROMISED.keys()


@pytest.mark.parametrize("module", COMMANDS)
def test_every_command_says_what_it_takes(module):
    done = documented.help_of(module)
    assert (done.returncode, done.stderr) == (0, "")
    assert documented.flags_of(module) >= PROMISED.get(module, set())
    assert documented.flags_of(module)
    assert not documented.flags_of(module) & OTHERS
    assert "None" not in done.stdout
    name = module.removesuffix(".__main__")
    assert f"python -m {name}" in done.stdout.partition("lags:")[0], "an example"
    assert what_it_does(done.stdout).endswith((".", "?"))


def what_it_does(text):
    """The first line of a help that is not how argparse begins its own."""
    parts = text.split("\n\n")
    return parts[1 if text.startswith("usage:") else 0].splitlines()[0]


def test_without_a_name_the_commands_are_listed():
    done = documented.run("poseseg_jax")
    assert (done.returncode, done.stderr) == (0, "")
    named = set(re.findall(r"python -m (poseseg_jax[\w.]+)", done.stdout))
    ours = {name.removesuffix(".__main__") for name in COMMANDS}
    assert named == {name for name in ours if name.startswith("poseseg_jax.")}
    for name in named:  # and what each does
        assert f"{name}\n      " in done.stdout


def test_the_version_is_said_from_one_place():
    done = documented.run("poseseg_jax", "--version")
    assert (done.returncode, done.stderr) == (0, "")
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    first, *rest = done.stdout.splitlines()
    assert first == f"poseseg_jax {setup['metadata']['version']}"
    assert f"jax {metadata.version('jax')}" in rest
    assert rest[-1].startswith("devices: ")


@pytest.mark.parametrize("word", ["--vresion", "train"])
def test_what_the_list_of_commands_does_not_know_is_refused_in_words(word):
    assert_in_words(documented.run("poseseg_jax", word), word.removeprefix("--"))


def test_a_misspelt_command_is_refused_in_words():
    """All that can be wrong with a config: tests/test_config_flag.py."""
    done = documented.run("poseseg_jax.main")
    assert_in_words(done, "--workdir has to be given", "--config has to be given")
    assert_in_words(documented.run("poseseg_jax.main", "--sede=1"), "'sede'")


LACKING = """
from configs import base

def get_config(preset=""):
    config = base.get_config("tiny")
    with config.unlocked():
        del config[preset]
    return config
"""


@pytest.mark.parametrize("group", ["optim", "eval"])
def test_a_config_that_lacks_a_group_is_refused_in_words(tmp_path, group):
    (tmp_path / "lacking.py").write_text(LACKING)
    words = [f"--config={tmp_path / 'lacking.py'}:{group}", f"--workdir={tmp_path}/run"]
    status, said = commands.run("poseseg_jax.main", *words)
    assert (status, said) == (
        1,
        f"config lacks ['{group}']; every field is in configs/base.py.",
    )


def test_without_data_three_ways_to_give_some_are_named(tmp_path):
    flags = ["--config=configs/full.py", f"--workdir={tmp_path / 'run'}"]
    done = documented.run("poseseg_jax.main", *flags)
    assert_in_words(done, "data.root=DIR", "data.download=True", ":tiny")


def test_evaluation_of_nothing_is_refused_in_words(tmp_path):
    flags = [f"--workdir={tmp_path / 'none'}"]
    done = documented.run("poseseg_jax.evaluate", *flags)
    assert_in_words(done, f"{tmp_path / 'none'} does not exist", "poseseg_jax.main")
    assert not (tmp_path / "none").exists()


def test_a_command_that_was_killed_goes_on_when_given_again(ground, tmp_path):
    """With a loader process, as by default; it gives what threads give."""
    workdir = tmp_path / "run"
    flags = ["--config=configs/full.py:tiny", f"--workdir={workdir}", *ground.flags()]
    flags.append("--config.data.num_workers=1")
    # One device, as the run that was never stopped: two round differently.
    environment = ground.environment(JAX_NUM_CPU_DEVICES="1")
    kill_when_there_is(workdir / "checkpoints" / "2", flags, environment)
    assert not (workdir / "metrics.json").exists()
    done = documented.run("poseseg_jax.main", *flags, env=environment)
    assert done.returncode == 0, done.stderr
    assert "Going on from step 2." in done.stderr
    assert "Compiling the step; the first line is that of step 3." in done.stderr
    assert "custom data configuration" not in done.stderr  # of TFDS
    assert f"All files are in {workdir}." in done.stdout.splitlines()[0]
    rows = {line.split()[0] for line in done.stdout.splitlines()}
    assert {"AP", "AP_M", "people_1", "overlap_0.5-1.0"} < rows
    states = (
        tiny_run.read_state(run, ground.config())[0]
        for run in (workdir, ground.finished)
    )
    tiny_run.assert_same_state(*states)


def kill_when_there_is(path: Path, flags: list[str], env: dict[str, str]) -> None:
    """Kills a training without a warning; its loader processes end by themselves."""
    training = subprocess.Popen(
        [sys.executable, "-m", "poseseg_jax.main", *flags],
        cwd=REPOSITORY,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while not path.exists():
            assert training.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        others = children_of(training.pid)
        assert others
        training.kill()
        training.wait()
        deadline = time.monotonic() + 20
        while any(map(is_at_work, others)):
            assert time.monotonic() < deadline, "a loader process outlives the training"
            time.sleep(0.05)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(training.pid, signal.SIGKILL)
        training.wait()


def children_of(process: int) -> list[str]:
    """Ids of the processes that a process has started and that are there."""
    threads = Path(f"/proc/{process}/task").glob("*/children")
    return [child for path in threads for child in path.read_text().split()]


def is_at_work(process: str) -> bool:
    """Whether a process is there, and not just its name, which nobody asked for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_evaluate_is_a_command(ground, tmp_path):
    flags = [f"--workdir={ground.finished}", f"--output={tmp_path}", "--step=2"]
    flags += ["--bootstrap=2", "--scales=0.5", "--noflip"]
    flags += ["--set=decode.max_people=1", "--set=eval.overlays=1"]
    env = ground.environment()
    for said in ("JAX_NUM_CPU_DEVICES", "XLA_FLAGS"):
        env.pop(said, None)
    done = documented.run("poseseg_jax.evaluate", *flags, env=env)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^AP +0\.0 \[0\.0, ", done.stdout, re.M)
    assert f"files in {tmp_path}" in done.stderr
    assert f"Evaluating step 2 of {ground.finished}" in done.stderr
    if env["JAX_PLATFORMS"] == "cpu":
        cores = min(os.cpu_count() or 1, 2)  # two pictures each, of a batch of four
        assert f"Devices: {cores}" in done.stderr
    assert done.stdout.startswith("Scores x 100 of step 2 on the run's validation")
    metrics = (tmp_path / "metrics.json").read_text()
    assert '"eval/step": 2' in metrics
    assert '"eval/views": 1' in metrics
    found = json.loads((tmp_path / "results_segm.json").read_text())
    images = [person["image_id"] for person in found]
    assert len(images) == len(set(images)) > 0
    assert len(list((tmp_path / "overlays").iterdir())) == 1


def test_a_scale_that_is_no_number_is_refused_in_words(ground, tmp_path):
    flags = [f"--workdir={ground.finished}", f"--output={tmp_path}", "--scales=1,big"]
    done = documented.run("poseseg_jax.evaluate", *flags)
    assert_in_words(done, "eval.scales is '1,big'", "expected numbers")
