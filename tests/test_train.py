"""A run leaves what it promised, goes on where it stopped, and says why it cannot."""

import json
import subprocess
import sys

import cv2
import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from pycocotools.coco import COCO

from poseseg_jax import config as config_lib
from poseseg_jax import judging, train, train_step, training
from poseseg_jax.data.prepared import prepare
from poseseg_jax.speed import RATES
from tests import tiny_run
from tests.tiny_run import NUM_STEPS, NUM_TRAIN, SIZE, all_files, read_lines, read_state

BUCKETS = [f"people_{n}" for n in ("1", "2", "3-4", "5-7", "8+")]
BUCKETS += [f"overlap_{o}" for o in ("0.0-0.1", "0.1-0.3", "0.3-0.5", "0.5-1.0")]
NAMES = {"keypoints": ["AP", "AP50", "AP75", "AP_M", "AP_L", "AR"]}
NAMES["segm"] = [*NAMES["keypoints"], "AP_S"]


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground:
        yield ground


class Killed(BaseException):
    """What no part of a run catches."""


def run_and_die(monkeypatch, config, workdir, owner, name):
    """Runs until something that has this name is called."""

    def die(*arguments, **options):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, die)
        with pytest.raises(Killed):
            train.run(config, workdir)


def test_a_run_leaves_every_file_that_was_promised(ground):
    workdir = ground.finished
    config = json.loads((workdir / "config.json").read_text())
    assert config == json.loads(json.dumps(ground.config()))
    assert list(workdir.glob("events.out.tfevents.*"))
    steps = {path.name for path in (workdir / "checkpoints").iterdir()}
    assert steps == {"2", "4"}
    losses = [line for line in read_lines(workdir) if "loss/total" in line]
    assert [line["step"] for line in losses] == [1, 2, 3, 4]
    for line in losses:
        assert all(np.isfinite(value) for value in line.values())
        terms = ("heatmap", "person", "short", "mid", "long", "body")
        assert {f"loss/{term}" for term in terms} < line.keys()
    shown = ("per_picture.csv", "crowd.png", "worst.png")
    assert all((workdir / name).stat().st_size for name in shown)
    assert len(list((workdir / "overlays").iterdir())) == 2


def test_metrics_have_the_promised_names_and_are_shares_or_null(ground):
    metrics = json.loads((ground.finished / "metrics.json").read_text())
    scores = {f"{task}/{name}" for task, names in NAMES.items() for name in names}
    scores |= {f"crowd/{bucket}/{task}/AP" for bucket in BUCKETS for task in NAMES}
    assert metrics.keys() == scores | {
        *("train/steps", "train/seconds", "eval/ms_per_image")
    }
    assert metrics["train/steps"] == NUM_STEPS
    assert metrics["train/seconds"] > 0
    values = [metrics[name] for name in scores]
    assert all(value is None or 0 <= value <= 1 for value in values)
    assert None in values, "no picture of the four shows eight people"
    last = read_lines(ground.finished)[-1]
    assert last == {"step": NUM_STEPS} | {name: metrics[name] for name in scores}


@pytest.mark.parametrize("task", NAMES)
def test_pycocotools_loads_the_results(ground, task):
    truth = COCO(prepare(settings(ground).data).val_annotations)
    found = truth.loadRes(str(ground.finished / f"results_{task}.json"))
    people = found.loadAnns(found.getAnnIds())
    assert {person["image_id"] for person in people} == set(truth.getImgIds())
    assert len({person["score"] for person in people}) > 1


def test_overlays_are_pictures_of_the_validation_split(ground):
    paths = sorted((ground.finished / "overlays").iterdir())
    names = {path.stem for path in (ground.drawn / "val2017").iterdir()}
    assert len(paths) == 2
    for path in paths:
        assert path.suffix == ".png"
        assert path.stem in names
        assert cv2.imread(str(path)).std() > 0


def without_rate(line):
    return {k: v for k, v in line.items() if k not in RATES}


def settings(ground, **changes):
    return config_lib.parse(ground.config(**changes))


def test_the_same_command_again_only_reports(ground, monkeypatch):
    before = all_files(ground.finished)
    monkeypatch.delattr(train, "prepare")
    metrics = train.run(ground.config(), ground.finished)
    assert metrics == json.loads((ground.finished / "metrics.json").read_text())
    assert all_files(ground.finished) == before


def test_what_cannot_be_begun_is_refused_before_anything_is_made(ground, tmp_path):
    with pytest.raises(ValueError, match=r"there is no file none\.safetensors"):
        train.run(
            ground.config(model={"pretrained": "none.safetensors"}), tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()


def test_no_batch_is_larger_than_the_training_data(ground, tmp_path):
    larger = ground.config(train={"batch_size": NUM_TRAIN + 4})
    message = f"batch_size is {NUM_TRAIN + 4}, and there are {NUM_TRAIN} pictures"
    with pytest.raises(ValueError, match=message):
        train.run(larger, tmp_path)
    assert not (tmp_path / "checkpoints").exists()


def assert_ends_alike(workdir, ground):
    (state, place), (expected, its_place) = (
        read_state(run, ground.config()) for run in (workdir, ground.finished)
    )
    tiny_run.assert_same_state(state, expected)
    assert place["loader"] == its_place["loader"]
    assert place["seconds"] > 0
    for task in NAMES:
        name = f"results_{task}.json"
        assert (workdir / name).read_bytes() == (ground.finished / name).read_bytes()


@pytest.mark.parametrize("saved", [0, 2])
def test_a_killed_run_ends_as_one_that_was_never_stopped(ground, tmp_path, saved):
    workdir = ground.copy(tmp_path / "run", step=saved)
    before = read_lines(workdir)
    assert [line["step"] for line in before] == [1, 2, 3, 4, 4]
    if not saved:  # killed within its first save: no line is later
        lines = (workdir / "metrics.jsonl").read_text().splitlines(keepends=True)
        (workdir / "metrics.jsonl").write_text("".join(lines[:2]))
    metrics = train.run(ground.config(), workdir)
    assert metrics["train/steps"] == NUM_STEPS
    assert_ends_alike(workdir, ground)
    lines = read_lines(workdir)
    assert lines[:saved] == before[:saved]
    assert lines[saved] != before[saved], "the rate is another one"
    assert [without_rate(line) for line in lines] == [*map(without_rate, before)]


def test_a_finished_run_can_be_given_more_steps(ground, monkeypatch, tmp_path):
    config, workdir = ground.config(), tmp_path / "run"
    short = ground.config(train={"num_steps": 2}, eval={"overlays": 0})
    assert train.run(short, workdir)["train/steps"] == 2
    # Killed when all but the last evaluation's files is there.
    run_and_die(monkeypatch, config, workdir, judging, "write")
    assert train.run(config, workdir)["train/steps"] == NUM_STEPS
    assert_ends_alike(workdir, ground)
    names = [(line["step"], "loss/total" in line) for line in read_lines(workdir)]
    losses = [(step, True) for step in (1, 2, 3, 4)]
    assert names == [*losses[:2], (2, False), *losses[2:], (4, False)]


def test_another_end_of_a_cosine_is_warned_of(ground, monkeypatch, tmp_path, caplog):
    workdir = ground.copy(tmp_path / "run", step=2)
    optim = {**ground.config()["optim"], "schedule": "cosine"}
    written = json.dumps(ground.config(optim=optim))
    (workdir / "config.json").write_text(written)
    longer = ground.config(optim=optim, train={"num_steps": 40})
    run_and_die(monkeypatch, longer, workdir, training.Training, "loop")
    assert "learning rate goes on with 0.00298 at step 2, where it was 0.0015" in (
        caplog.text
    )


OTHERS = [
    ("optim", "learning_rate", 0.5),
    ("train", "seed", 7),
    ("data", "reduction", 70),
    ("model", "neck_channels", 16),
]


@pytest.mark.parametrize(("group", "field", "value"), OTHERS)
def test_a_workdir_of_another_config_is_refused(ground, group, field, value):
    before = all_files(ground.finished)
    was = ground.config()[group][field]
    with pytest.raises(ValueError, match=f"{group}.{field}: {was} -> {value}"):
        train.run(ground.config(**{group: {field: value}}), ground.finished)
    assert all_files(ground.finished) == before


def test_without_data_three_ways_to_give_some_are_named(ground, tmp_path):
    with pytest.raises(ValueError, match="no data") as caught:
        train.run(ground.config(data={"root": ""}), tmp_path)
    for way in ("data.root=DIR", "data.download=True", ":tiny"):
        assert way in str(caught.value)


def test_a_run_that_never_began_does_not_claim_its_workdir(
    ground, monkeypatch, tmp_path
):
    with pytest.raises(ValueError, match="no data"):
        train.run(ground.config(data={"root": ""}), tmp_path)
    assert not (tmp_path / "config.json").exists()
    run_and_die(monkeypatch, ground.config(), tmp_path, training.Training, "loop")
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["data"]["root"] == "embedded"


def test_a_loss_that_is_not_finite_ends_the_run(ground, tmp_path):
    config = ground.config(optim={"learning_rate": 1e30}, train={"log_every": 100})
    with pytest.raises(FloatingPointError, match=r"step 2: {'.*nan") as caught:
        train.run(config, tmp_path)
    for term in ("total", "heatmap", "short"):
        assert term in str(caught.value)
    assert not list((tmp_path / "checkpoints").iterdir())
    assert not (tmp_path / "metrics.json").exists()


def test_the_loss_falls_on_one_repeated_batch(ground):
    tiny = settings(ground)
    # Placed as in a run, where this program has been compiled already.
    mesh = Mesh(jax.devices(), ("data",))
    everywhere = NamedSharding(mesh, PartitionSpec())
    init, step = train_step.build(tiny)
    state = jax.jit(init, out_shardings=everywhere)()
    step = jax.jit(step, donate_argnums=0)
    batch = next(training._loader(tiny, prepare(tiny.data)))
    batch = jax.device_put(batch, NamedSharding(mesh, PartitionSpec("data")))
    totals = []
    for _ in range(30):
        state, report = step(state, batch)
        totals.append(float(report["total"]))
    assert int(state.step) == 30
    assert max(totals[-5:]) < 0.75 * totals[0]


ON_EIGHT = """
import json, sys
from pathlib import Path
import jax
from poseseg_jax import train
config, workdir = json.loads(sys.argv[1]), Path(sys.argv[2])
assert jax.device_count() == 8
put = jax.device_put
def watched(values, place):
    there = put(values, place)
    if hasattr(there, "image"):
        print({shard.data.shape for shard in there.image.addressable_shards})
    return there
jax.device_put = watched
try:
    train.run({**config, "train": {**config["train"], "batch_size": 6}}, workdir)
except ValueError as error:
    print(error)
train.run(config, workdir)
"""


def test_eight_devices_are_as_good_as_one(ground, tmp_path):
    config = ground.config(train={"num_steps": 2}, eval={"batch_size": 8})
    flags = "--xla_force_host_platform_device_count=8"
    done = subprocess.run(
        [sys.executable, "-c", ON_EIGHT, json.dumps(config), str(tmp_path)],
        env=ground.environment(JAX_PLATFORMS="cpu", XLA_FLAGS=flags),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    refusal, *shards = done.stdout.splitlines()
    assert "batch_size 6 does not divide over 8 devices" in refusal
    assert shards == [f"{{(1, {SIZE}, {SIZE}, 3)}}"] * 2
    first, second, scores = map(without_rate, read_lines(tmp_path))
    expected = [without_rate(line) for line in read_lines(ground.finished)]
    assert first == pytest.approx(expected[0], rel=1e-4)
    assert second == pytest.approx(expected[1], rel=1e-4)
    assert scores.keys() == expected[-1].keys()
