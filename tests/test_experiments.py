"""An experiment from the command line to its report, with real runs."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from experiments import readme, runner
from poseseg_jax.workdir import occupied
from tests import documented, tiny_run

# What is another number each time.
_TIMES = ("train/seconds", "eval/seconds", "eval/ms_per_image")


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground:
        yield ground


def command(ground, output, *more) -> list[str]:
    """Pose alone, masks alone and both, of four steps each."""
    return [
        *("-m", "experiments.multi_task", f"--output={output}", "--preset=tiny"),
        *("--seeds=1", *ground.flags(), *more),
    ]


def run(ground, output, *more):
    return subprocess.run(
        [sys.executable, *command(ground, output, *more)],
        env=ground.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def scores(output: Path) -> list[dict[str, str]]:
    with (output / "results.csv").open() as file:
        lines = list(csv.DictReader(file))
    return [{k: v for k, v in line.items() if k not in _TIMES} for line in lines]


def test_a_grid_killed_in_the_middle_goes_on_to_the_same_table(ground, tmp_path):
    dry = run(ground, tmp_path / "dry", "--dry_run")
    assert dry.returncode == 0, dry.stderr
    assert "| masks only | 0 | 4 | new |" in dry.stdout
    assert "3 runs are left: 12 steps, 96 pictures" in dry.stdout
    assert not (tmp_path / "dry").exists()

    killed = tmp_path / "killed"
    runner = subprocess.Popen(
        [sys.executable, *command(ground, killed)],
        env=ground.environment(),
        stderr=subprocess.DEVNULL,
    )
    second = killed / "runs/pose only/seed0/checkpoints"
    while not second.exists() and runner.poll() is None:
        time.sleep(0.1)
    os.kill(runner.pid, signal.SIGKILL)
    assert runner.wait() == -signal.SIGKILL
    first = killed / "runs/both/seed0"
    stamps = {path: path.stat().st_mtime_ns for path in first.rglob("*.json")}

    done = run(ground, killed)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{killed}/report.md tells what came out.\n"
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    undisturbed = run(ground, tmp_path / "undisturbed", "--jobs=1")
    assert undisturbed.returncode == 0, undisturbed.stderr
    lines = scores(killed)
    assert lines == scores(tmp_path / "undisturbed")
    assert [line["state"] for line in lines] == ["finished"] * 3
    report = (killed / "report.md").read_text()
    assert "3 of 3 runs are finished" in report
    assert f"--output={killed}" in report

    part = run(ground, killed, "--only=pose only")
    assert part.returncode == 0, part.stderr
    assert (killed / "report.md").read_text() == report
    assert scores(killed) == lines
    posed = next(line for line in lines if line["variant"] == "pose only")
    assert not posed["segm/AP"]  # which it did not learn

    other = run(ground, killed, "--config.optim.ema=0.5")
    assert other.returncode == 1
    assert "holds a run of another config (optim.ema" in other.stderr


def test_a_variant_with_a_comma_in_its_name_can_be_asked_for_alone(tmp_path):
    words = ["--preset=tiny", "--seeds=1", "--dry_run", f"--output={tmp_path / 'x'}"]
    wanted = ["--only=one long run, 80 % removed", "--only=nothing, stage 40"]
    done = documented.run("experiments.feedback_transfer", *words, *wanted)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if "| new |" in line]
    assert [row.split(" | ")[0] for row in rows] == [
        "| one long run, 80 % removed",
        "| nothing, stage 40",
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ["--config=configs/full.py", "--preset="]),
        (["--preset=tiny"], ["--config=configs/full.py:tiny", "--preset=tiny"]),
        (["--preset", "tiny"], ["--config=configs/full.py:tiny", "--preset=tiny"]),
        (["-preset=tiny"], ["--config=configs/full.py:tiny", "--preset=tiny"]),
        (
            ["--config", "configs/bias70.py", "--preset=tiny", "--seeds=1"],
            ["--config=configs/bias70.py:tiny", "--preset=tiny", "--seeds=1"],
        ),
        (
            ["--config=configs/full.py:tiny", "--config.optim.ema=0"],
            ["--config=configs/full.py:tiny", "--preset=tiny", "--config.optim.ema=0"],
        ),
    ],
)
def test_a_preset_is_that_of_the_config_however_it_is_typed(given, expected):
    assert runner.preset_set(["x", *given]) == ["x", *expected]


def test_two_presets_are_refused():
    with pytest.raises(SystemExit, match="name two presets"):
        runner.preset_set(["x", "--config=configs/full.py:tiny", "--preset=big"])


def test_a_grid_has_one_runner_at_a_time(ground, tmp_path):
    with occupied(tmp_path / "runs"):
        done = run(ground, tmp_path)
    assert done.returncode == 1
    assert "is in use by another run" in done.stderr


def test_what_an_experiment_sets_itself_cannot_be_set(ground, tmp_path):
    done = run(ground, tmp_path, "--config.data.labels=masks")
    assert done.returncode == 1
    assert "--config.data.labels cannot be set: multi_task sets it" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", readme.NAMES)
def test_every_script_says_what_it_takes(name):
    flags = documented.flags_of(f"experiments.{name}")
    assert flags >= {"output", "preset", "seeds", "jobs", "gpus", "dry_run", "config"}


def test_the_page_is_what_the_reports_say():
    assert readme.PAGE.read_text() == readme.page(), "python -m experiments.readme"


def test_every_script_is_on_the_page():
    scripts = {
        path.stem
        for path in readme.FOLDER.glob("*.py")
        if "command.run(" in path.read_text() or "runner.main(EXP" in path.read_text()
    }
    packages = {path.parent.name for path in readme.FOLDER.glob("*/__init__.py")}
    listed = {*readme.NAMES, *readme.OTHERS}
    assert scripts - {"runner", "readme"} | packages == listed
