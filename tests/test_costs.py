"""What a grid takes, reckoned by hand."""

import dataclasses
import json

import pytest

from experiments import costs
from tests.test_grid import QUESTION, runs_of

# Of two seeds: 800 and 400 steps, two pictures in each.
STEPS = 2 * (800 + 400)
PEAK = costs.speed.PEAKS["NVIDIA H100 80GB HBM3"]


@pytest.fixture
def finished(monkeypatch):
    """Workdirs of the runs that are; a step takes 1e14 operations."""
    done = set()
    monkeypatch.setattr(
        costs.launch,
        "state",
        lambda run: "finished" if run.workdir in done else "new",
    )
    monkeypatch.setattr(costs.speed, "step_flops", lambda settings: 1e14)
    return done


def grid(folder, **changes):
    experiment = dataclasses.replace(QUESTION, **changes)
    return runs_of(experiment, folder, seeds=2, train__batch_size=2)


def finish(run, finished, *, seconds, sharing=1):
    finished.add(run.workdir)
    run.workdir.mkdir(parents=True)
    record = {"starts": [{"sharing": sharing}]}
    (run.workdir / "run.json").write_text(json.dumps(record))
    (run.workdir / "metrics.json").write_text(json.dumps({"train/seconds": seconds}))


def test_every_run_has_a_line(finished, tmp_path):
    runs = grid(tmp_path)
    finish(runs[0], finished, seconds=1)
    rows = costs.table(runs).splitlines()[2:6]
    assert rows == [
        "| one | 0 | 800 | finished |",
        "| two | 0 | 400 | new |",
        "| one | 1 | 800 | new |",
        "| two | 1 | 400 | new |",
    ]


def test_operations_are_those_of_all_steps_that_are_left(finished, tmp_path):
    said = costs.table(grid(tmp_path))
    assert f"4 runs are left: {STEPS:,} steps, {2 * STEPS:,} pictures" in said
    assert f"{STEPS * 1e14:.2g} operations" in said
    minutes = STEPS * 1e14 / (0.4 * PEAK) / 60
    assert f"({minutes:.0f} min of one NVIDIA H100 80GB HBM3 at 40 %" in said
    assert "is known once a run is finished" in said


def test_where_operations_are_not_counted_steps_are(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(costs.speed, "step_flops", lambda settings: None)
    assert "2,400 steps, 4,800 pictures.\n" in costs.table(grid(tmp_path))


def test_the_rest_takes_what_a_step_took(finished, tmp_path):
    """80 s for 800 steps, and 1,600 steps are left."""
    runs = grid(tmp_path)
    finish(runs[0], finished, seconds=80.0)
    said = costs.table(runs)
    assert "3 runs are left: 1,600 steps" in said
    assert "A step took 0.100 s in 1 finished run, one run at a time" in said
    assert "3 min for the rest" in said


@pytest.mark.parametrize(
    ("sharing", "words"),
    [
        # 1,200 steps are left: of 0.2 s each, two at a time.
        ((2, 2), "A step took 0.200 s in 2 finished runs, 2 runs at a time"),
        ((2, 1), "A step took 0.200 s in 1 finished run, one run at a time"),
    ],
)
def test_a_step_is_told_with_how_many_ran_at_a_time(finished, tmp_path, sharing, words):
    runs = grid(tmp_path)
    finish(runs[0], finished, seconds=160.0, sharing=sharing[0])
    finish(runs[1], finished, seconds=80.0, sharing=sharing[1])
    said = costs.table(runs)
    assert words in said
    whole, shared = "4 min for the rest in that way", "2 min for the rest in that way"
    assert (shared if sharing == (2, 2) else whole) in said


def test_runs_that_shared_do_not_slow_down_those_that_ran_alone(finished, tmp_path):
    runs = grid(tmp_path)
    finish(runs[0], finished, seconds=8000.0, sharing=2)
    finish(runs[2], finished, seconds=80.0)
    assert "A step took 0.100 s in 1 finished run" in costs.table(runs)


def test_of_a_finished_grid_nothing_is_left(finished, tmp_path):
    runs = grid(tmp_path)
    for run in runs:
        finish(run, finished, seconds=10.0)
    assert costs.table(runs).endswith("\n\nNothing is left to run.\n")


@pytest.mark.parametrize(
    ("by_seed", "said"),
    [(("train.seed",), ""), (("train.seed", "data.order_seed"), "2 prepared copies")],
)
def test_data_are_prepared_once_for_each_order(finished, tmp_path, by_seed, said):
    text = costs.table(grid(tmp_path, by_seed=by_seed))
    assert ("prepared copies" in text) == bool(said)
    assert said in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "less than a second"),
        (1.6, "2 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "120 min"),
        (7200, "2 h"),
        (36_000_000, "10,000 h"),
    ],
)
def test_durations_are_in_the_unit_that_one_thinks_in(seconds, words):
    assert costs._duration(seconds) == words
