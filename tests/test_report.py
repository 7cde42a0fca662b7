"""Reports of experiments: what stands in them is what ran."""

import csv
import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from experiments import (
    feedback_transfer,
    launch,
    outcome,
    pictures,
    ran,
    report,
    scores,
    tables,
)
from experiments.grid import ALL_PICTURES, CROWDS, Experiment, Variant
from experiments.outcome import Outcome
from experiments.pretended import Habits, detect
from poseseg_jax import judging
from poseseg_jax.charts import lines
from poseseg_jax.coco import annotations
from poseseg_jax.coco.bootstrap import Interval
from tests import tiny_run
from tests.test_grid import runs_of

COMMAND = "python -m experiments.made_up --output=o"
# How small people may be to be found: the second sees more, the third as many.
SEES = {"usual": 300.0, "better": 5.0, "the same": 300.0, "not run": 1.0}
EXPERIMENT = Experiment(
    name="made_up",
    title="Eyes",
    question="Do good eyes help?",
    expected="They should.",
    baseline="usual",
    variants=lambda config: [
        Variant(name, {"optim.ema": 0.5 + i / 10}, at=i, series=("eyes",))
        for i, name in enumerate(SEES)
    ],
    about=ALL_PICTURES,
    along="eyes",
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground:
        yield ground.drawn / "annotations/person_keypoints_train2017.json"


@pytest.fixture(scope="module")
def told(drawn, tmp_path_factory):
    """A report of pretended detectors, two seeds each, one of which failed."""
    output = tmp_path_factory.mktemp("report")
    runs = runs_of(EXPERIMENT, output / "runs", seeds=2)
    pictures = annotations.load(drawn).pictures
    for run in runs:
        if run.variant.name != "not run":
            pretend(run, pictures, drawn)
    failed = runs[-1].workdir
    failed.mkdir(parents=True)
    (failed / launch.RECORD_FILE).write_text(json.dumps({"failed": "It broke."}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scores, "_truth", lambda run: drawn)
        patch.setattr(report, "_RESAMPLES", 100)
        text = report.write(EXPERIMENT, runs, output, command=COMMAND)
        again = report.write(EXPERIMENT, runs, output, command=COMMAND)
    assert text == again == (output / "report.md").read_text()
    return runs, output, text


def pretend(run, pictures, truth):
    seed = run.seed if run.variant.name != "the same" else run.seed + 10
    habits = Habits(half_side=SEES[run.variant.name])
    found = detect(pictures, habits, seed=seed)
    run.workdir.mkdir(parents=True)
    judging.write_results(run.workdir, found)
    metrics = judging.judge(found, truth).scores | {
        "train/steps": run.steps,
        "eval/ms_per_image": 5.0,
    }
    (run.workdir / "metrics.json").write_text(json.dumps(metrics))
    (run.workdir / "config.json").write_text(json.dumps(run.config))
    start = {"commit": "abc", "device": "a CPU", "sharing": 1}
    start["versions"] = {"python": "3"}
    (run.workdir / launch.RECORD_FILE).write_text(json.dumps({"starts": [start]}))


def table_row(text, heading, name):
    lines = text[text.index(heading) :].splitlines()
    row = next(line for line in lines if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_every_score_of_every_run_is_in_the_csv(told):
    runs, output, _ = told
    with (output / "results.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [(line["variant"], line["seed"]) for line in lines] == [
        (run.variant.name, str(run.seed)) for run in runs
    ]
    for run, line in zip(runs, lines, strict=True):
        if line["state"] == "finished":
            metrics = json.loads((run.workdir / "metrics.json").read_text())
            for key, value in metrics.items():
                assert line[key] == ("" if value is None else str(value))
    assert [line["state"] for line in lines[3::4]] == ["new", "failed"]


def test_the_table_has_mean_deviation_and_difference(told):
    runs, _, text = told
    by_name: dict[str, list[float]] = {}
    for run in runs:
        if launch.state(run) == "finished":
            metrics = json.loads((run.workdir / "metrics.json").read_text())
            by_name.setdefault(run.variant.name, []).append(metrics["keypoints/AP"])
    before, after = (np.array(by_name[name]) * 100 for name in ("usual", "better"))
    cells = table_row(text, "## Scores", "better")
    assert cells[1] == "2"
    assert cells[2] == f"{after.mean():.1f} ± {after.std(ddof=1):.1f}"
    assert cells[3].split()[0] == f"{after.mean() - before.mean():+.1f}"
    assert cells[-1] == "5"
    assert table_row(text, "## Scores", "usual")[3] == "-"


def test_what_is_clear_is_said_and_nothing_else(told):
    _, output, text = told
    summary = json.loads((output / "summary.json").read_text())
    for said in (text, " ".join(summary["outcome"])):
        assert "against `usual`: higher: `better` +" in said
        assert said.index("Keypoints AP, all pictures (0.") < said.index("higher: ")
        assert "1 without a clear difference" in said
        assert "lower" not in said
    assert (summary["runs"], summary["finished"]) == (8, 6)
    steps = f"{EXPERIMENT.tiny_steps:,} steps"
    assert summary["trained"] == f"6 trained for {steps}"
    assert summary["chance"][1] <= summary["chance"][0]


def test_what_did_not_run_is_named(told):
    _, _, text = told
    assert table_row(text, "## Scores", "not run")[1:4] == ["0", "-", "-"]
    assert "**Failed**: not run, seed 1: It broke." in text
    assert "**Not finished**: not run, seed 0" in text
    assert "6 of 8 runs are finished" in text
    assert COMMAND in text


def test_charts_are_there_and_linked(told):
    _, output, text = told
    for name in ("scores", "crowding", "along"):
        assert (output / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"({name}.png)" in text
    assert not (output / "time.png").exists()


def test_a_chart_along_has_the_chains_and_the_long_runs_beside(monkeypatch):
    experiment = feedback_transfer.EXPERIMENT
    runs = runs_of(experiment, Path())
    rows = [
        scores.Row(run.variant, {0: {"segm/AP": 0.01 * n}}, {}, {})
        for n, run in enumerate(runs)
    ]
    score = {row.variant.name: row.spread("segm/AP") for row in rows}
    kept: list[lines.Panel] = []
    monkeypatch.setattr(lines, "lines", lambda panels, **_: kept.extend(panels) or b"")
    pictures._along(experiment, rows)
    (panel,) = [one for one in kept if one.title == "segm, all pictures"]
    begun = {series.name: series.points[1] for series in panel.series}
    control = score["80 % in all stages, stage 1"]
    assert begun == dict.fromkeys(
        ["backbone, 80 % in all stages", "all, 80 % in all stages"], control
    ) | dict.fromkeys(["nothing", "backbone", "all", "all and maps"], score["stage 30"])
    assert all(list(series.points) == [1, 2, 3, 4, 5, 6] for series in panel.series)
    assert list(panel.levels) == [
        "one long run, 80 % removed",
        "one long run, none removed",
    ]


def test_times_of_runs_that_shared_the_processors_are_not_reported(told):
    runs, output, text = told
    timed = dataclasses.replace(EXPERIMENT, against_time=True)
    (output / "one").mkdir()
    rows = [scores.Row(Variant("usual"), {0: {scores.TIME: 5.0}}, {}, {})]
    assert "| ms a picture |" in text
    for sharing in (2, 1):
        (run,) = runs[:1]
        start = launch.starts(run)[0] | {"sharing": sharing}
        (run.workdir / launch.RECORD_FILE).write_text(json.dumps({"starts": [start]}))
        assert ran.ran_alone(runs[:3]) == (sharing == 1)
        said = tables.of_scores(rows, {}, is_alone=sharing == 1)
        assert ("ms a picture" in said) != ("not reported, because runs shared" in said)
    charts = pictures.write(timed, rows, output / "one", has_times=False)
    assert "time" not in charts


def test_crowds_have_their_tables(told):
    runs, _, text = told
    metrics = json.loads((runs[0].workdir / "metrics.json").read_text())
    metrics_1 = json.loads((runs[4].workdir / "metrics.json").read_text())
    values = [m["crowd/people_1/segm/AP"] for m in (metrics, metrics_1)]
    row = table_row(text, "| segm, people |", "usual")
    assert row[1].split(" ± ")[0] == f"{100 * np.mean(values):.1f}"
    assert re.search(r"Pictures by the number of people: \d+ with 1, \d+ with 2", text)


def test_a_report_of_nothing_says_so(tmp_path):
    runs = runs_of(EXPERIMENT, tmp_path / "runs")
    text = report.write(EXPERIMENT, runs, tmp_path, command=COMMAND)
    assert "Nothing that could be compared is finished" in text
    assert not list(tmp_path.glob("*.png"))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["outcome"] == ["No run is finished that could be compared."]


@pytest.mark.parametrize(
    ("interval", "words", "side"),
    [
        (Interval(0.012, 0.004, 0.02), "+1.2 [+0.4, +2.0]", 1),
        (Interval(-0.012, -0.02, -0.004), "-1.2 [-2.0, -0.4]", -1),
        (Interval(0.012, -0.004, 0.02), "+1.2 [-0.4, +2.0]", 0),
        # Draws may lie beside the value: the interval says which side it is.
        (Interval(-0.001, 0.001, 0.02), "-0.1 [+0.1, +2.0]", 1),
        # An end that is not 0 is not written as 0.
        (Interval(-0.0004, -0.001, -0.0001), "-0.04 [-0.10, -0.01]", -1),
        (Interval(0.0004, -0.001, 0.0001), "+0.0 [-0.1, +0.0]", 0),
    ],
)
def test_differences_are_points_with_their_interval(interval, words, side):
    assert outcome.difference(interval) == words
    assert outcome.side(interval) == side
    assert outcome.difference(None) == "-"


def test_words_name_those_that_differ_most_and_count_the_rest():
    far, near = Interval(0.03, 0.02, 0.04), Interval(0.02, 0.01, 0.03)
    none, worse = Interval(0.01, -0.01, 0.03), Interval(-0.02, -0.03, -0.01)
    named = {"near": near, "far": far, "none": none, "worse": worse}
    rows = [
        scores.Row(Variant(name), {0: {}}, {"keypoints/AP": one}, {})
        for name, one in named.items()
    ]
    experiment = dataclasses.replace(EXPERIMENT, about={"crowds": "{}/AP"})
    found = Outcome(experiment, rows, {})
    (said,) = found.sentences()
    assert said == (
        "Keypoints AP, crowds, against `usual`: higher: `far` +3.0 [+2.0, +4.0], "
        "`near` +2.0 [+1.0, +3.0]; lower: `worse` -2.0 [-3.0, -1.0]; 1 without a clear "
        "difference."
    )
    assert found.chance() == (4, 3)


@pytest.mark.parametrize(
    ("count", "score", "said"),
    [
        (11, 0.015, " (11 of them, 1.5 AP: too few to tell much)"),
        (29, 0.5, " (29 of them: too few to tell much)"),
        (30, 0.049, " (4.9 AP: too few to tell much)"),
        (30, 0.05, ""),
    ],
)
def test_few_pictures_and_low_scores_are_said_where_they_are_compared(
    count, score, said
):
    key = "crowd/people_8+/segm/AP"
    rows = [
        scores.Row(Variant("usual"), {0: {key: score}}, {}, {}),
        scores.Row(Variant("other"), {0: {}}, {key: Interval(0.0, -0.1, 0.1)}, {}),
    ]
    experiment = dataclasses.replace(EXPERIMENT, about=CROWDS)
    (sentence,) = Outcome(experiment, rows, {}, {"people_8+": count}).sentences()
    about = "Segm AP, pictures of 8 or more people"
    assert sentence == f"{about}{said}, against `usual`: no clear difference."


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((1, 1), "of one run each"),
        ((3, 3), "over 3 runs each, which are few: if variants made no difference"),
        ((3, 3), "up to 25 in 100"),
        ((4, 5), "over 4 to 5 runs each"),
        ((1, 3), "up to 99 in 100"),
    ],
)
def test_a_report_says_what_its_intervals_are_worth(counts, said):
    rows = [
        scores.Row(Variant(str(i)), {seed: {} for seed in range(count)}, {}, {})
        for i, count in enumerate(counts)
    ]
    assert said in report._worth(rows)


def test_a_report_says_what_each_variant_is(told):
    _, _, text = told
    assert table_row(text, "## Variants", "better")[1] == "`optim.ema=0.6`"
    changes = {"eval.scales": (0.75, 1.0), "eval.flip": True}
    again = Variant("again", changes, of="network", series=("eyes", "ears"))
    assert "| --- | --- |\n" in tables.of_variants([again], trend="")
    made = tables.of_variants([again, Variant("x")], trend="up")
    first, second = made.splitlines()[-2:]
    sets = "network of `network`, `eval.scales=0.75,1`, `eval.flip=True`"
    assert first == f"| again | {sets} | eyes, ears |"
    assert second == "| x | nothing |  |"


def test_controls_come_before_the_baseline():
    better, none = Interval(0.02, 0.01, 0.03), Interval(0.01, -0.01, 0.03)
    row = scores.Row(
        Variant("bias70", controls=("random70",)),
        {0: {}},
        {"segm/AP": none},
        {"random70": {"segm/AP": better}},
    )
    found = Outcome(EXPERIMENT, [row], {})
    first, second = found.sentences()
    assert first == (
        "Segm AP, all pictures, against controls: higher: `bias70` - `random70` +2.0 "
        "[+1.0, +3.0]."
    )
    assert second.endswith("against `usual`: no clear difference.")
    assert found.first() == [first, second]


def test_what_a_variant_did_not_learn_is_neither_scored_nor_compared(
    told, drawn, monkeypatch
):
    def variants(config):
        made = list(EXPERIMENT.variants(config))
        made[1] = dataclasses.replace(made[1], tasks=("keypoints",))
        return made

    monkeypatch.setattr(scores, "_truth", lambda run: drawn)
    _, output, _ = told
    poses = dataclasses.replace(EXPERIMENT, variants=variants)
    runs = runs_of(poses, output / "runs")
    usual, better, *_ = scores.rows(runs, "usual", scores.draw(runs, resamples=10))
    assert better.values("segm/AP") == better.values("crowd/people_1/segm/AP") == []
    assert better.values("keypoints/AP")
    assert better.to_baseline["keypoints/AP"]
    assert not better.to_baseline.get("segm/AP")
    assert usual.values("segm/AP")


def test_few_pictures_have_no_interval(told, drawn, monkeypatch):
    monkeypatch.setattr(scores, "_truth", lambda run: drawn)
    runs, _, _ = told
    counts = scores.pictures(runs)
    better = scores.rows(runs, "usual", scores.draw(runs, resamples=10))[1]
    for bucket, count in counts.items():
        interval = better.to_baseline[f"crowd/{bucket}/keypoints/AP"]
        assert interval is None or count >= 10
    assert any(count < 10 for count in counts.values())
