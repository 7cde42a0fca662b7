"""Scores are those of the averaged parameters, over every picture, once."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from poseseg_jax import config as config_lib
from poseseg_jax import evaluate, inference, judging, train
from poseseg_jax.checkpoint import Checkpoints
from poseseg_jax.coco import scoring
from poseseg_jax.coco.bootstrap import Interval, Intervals
from poseseg_jax.coco.results import Results
from poseseg_jax.data import pipeline
from poseseg_jax.data.prepared import prepare
from poseseg_jax.structs import Instances, Poses
from tests import tiny_run
from tests.tiny_run import (
    NUM_STEPS,
    NUM_TRAIN,
    NUM_VAL,
    all_files,
    read_state,
)

RESULTS = ("results_keypoints.json", "results_segm.json")
STRIDE = 2  # of the masks, input px per cell


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground:
        yield ground


def scores_in(metrics):
    return {name: value for name, value in metrics.items() if "/AP" in name}


def read_metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_evaluation_gives_again_what_training_ended_with(ground, tmp_path):
    before = all_files(ground.finished)
    metrics = evaluate.evaluate(ground.finished, output=tmp_path)
    assert metrics == read_metrics(tmp_path)
    assert scores_in(metrics) == scores_in(read_metrics(ground.finished))
    assert (metrics["eval/step"], metrics["eval/images"]) == (NUM_STEPS, NUM_VAL)
    again = all_files(tmp_path)
    for name in again.keys() - {"metrics.json"}:
        assert again[name] == before[name], name
    assert all_files(ground.finished) == before


ON_TWO = """
import sys
from pathlib import Path
import jax
from poseseg_jax import evaluate
finished, output = map(Path, sys.argv[1:])
try:
    evaluate.evaluate(finished, output=output, changes={"eval.batch_size": 3})
except ValueError as error:
    print(error)
put = jax.device_put
def watched(values, place):
    there = put(values, place)
    if getattr(there, "dtype", "") == "uint8":
        print({shard.data.shape for shard in there.addressable_shards})
    return there
jax.device_put = watched
evaluate.evaluate(finished, output=output)
"""


def test_two_devices_find_what_one_finds(ground, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ON_TWO, str(ground.finished), str(tmp_path)],
        env=ground.environment(JAX_PLATFORMS="cpu", JAX_NUM_CPU_DEVICES="2"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    refusal, *shards = done.stdout.splitlines()
    assert "eval.batch_size 3 does not divide over 2 devices: take 2 or 4" in refusal
    side = config_lib.parse(ground.config()).eval_image_size
    assert shards == [f"{{(2, {side}, {side}, 3)}}"]
    found, expected = map(read_metrics, (tmp_path, ground.finished))
    assert scores_in(found) == pytest.approx(scores_in(expected), abs=1e-3)
    people, alone = (
        json.loads((folder / RESULTS[0]).read_text())
        for folder in (tmp_path, ground.finished)
    )
    assert len(people) == len(alone) > 0
    for one, other in zip(people, alone, strict=True):
        assert one["image_id"] == other["image_id"]
        assert one["keypoints"] == pytest.approx(other["keypoints"], abs=0.02)


def test_a_run_stays_finished_when_it_is_evaluated(ground, monkeypatch, tmp_path):
    workdir = ground.copy(tmp_path / "run")
    was = read_metrics(workdir)
    metrics = evaluate.evaluate(workdir)
    assert metrics.items() >= was.items()
    monkeypatch.delattr(train, "prepare")
    assert train.run(ground.config(), workdir) == metrics


def test_the_workdir_is_the_workdir_by_whatever_name(ground, tmp_path):
    workdir = ground.copy(tmp_path / "run")
    link = tmp_path / "link"
    link.symlink_to(workdir)
    metrics = evaluate.evaluate(workdir, output=link)
    assert metrics["train/steps"] == NUM_STEPS


def test_the_scores_of_another_run_are_left_as_they_are(ground, tmp_path):
    other = ground.copy(tmp_path / "other")
    with pytest.raises(ValueError, match=f"{other} is the workdir of another run"):
        evaluate.evaluate(ground.finished, output=other)
    assert all_files(other) == all_files(ground.finished)


def test_no_scores_pass_for_those_of_another_run(ground, tmp_path):
    """Its checkpoints may be gone, and what it said of itself be there."""
    said = {"train/steps": NUM_STEPS, "train/seconds": 1.0}
    (tmp_path / "metrics.json").write_text(json.dumps(said))
    assert not said.keys() & evaluate.evaluate(ground.finished, output=tmp_path).keys()


def test_metrics_that_cannot_be_read_are_named_before_anything_is_done(
    ground, monkeypatch, tmp_path
):
    workdir = ground.copy(tmp_path / "run")
    (workdir / "metrics.json").write_text("")
    monkeypatch.delattr(evaluate, "run_split")
    with pytest.raises(ValueError, match=f"{workdir}/metrics.json cannot be read"):
        evaluate.evaluate(workdir)


def change(ground, workdir, **fields):
    """A copy of the finished run whose last checkpoint has other values."""
    ground.copy(workdir)
    state, place = read_state(workdir, ground.config())
    for name, factor in fields.items():
        values = jax.tree.map(lambda leaf, by=factor: by * leaf, getattr(state, name))
        state = dataclasses.replace(state, **{name: values})
    # A step that is there already would be left as it is.
    shutil.rmtree(workdir / "checkpoints" / str(NUM_STEPS))
    with Checkpoints(workdir) as checkpoints:
        checkpoints.save(NUM_STEPS, state, place, metrics={"keypoints/AP": 0.0})
    return workdir


@pytest.mark.parametrize(("field", "matters"), [("params", False), ("ema", True)])
def test_only_averaged_parameters_are_evaluated(ground, tmp_path, field, matters):
    evaluate.evaluate(change(ground, tmp_path / "run", **{field: 0.5}))
    for name in RESULTS:
        found = (tmp_path / "run" / name).read_bytes()
        assert (found != (ground.finished / name).read_bytes()) == matters


def test_any_annotation_file_can_be_scored(ground, tmp_path):
    workdir = ground.copy(tmp_path / "run")
    annotations = ground.drawn / "annotations" / "person_keypoints_train2017.json"
    metrics = evaluate.evaluate(
        workdir,
        annotations=annotations,
        images=ground.drawn / "train2017",
        output=tmp_path / "other",
    )
    assert metrics["eval/images"] == NUM_TRAIN
    ids = {picture["id"] for picture in json.loads(annotations.read_text())["images"]}
    for name in RESULTS:
        found = json.loads((tmp_path / "other" / name).read_text())
        assert {person["image_id"] for person in found} == ids
    assert len(list((tmp_path / "other" / "overlays").iterdir())) == 2
    assert all_files(workdir) == all_files(ground.finished)


@pytest.mark.parametrize("given", ["annotations", "images"])
def test_annotations_and_images_come_together(ground, tmp_path, given):
    with pytest.raises(ValueError, match="--annotations and --images together"):
        evaluate.evaluate(ground.finished, **{given: tmp_path})


def test_a_workdir_without_a_run_is_refused_by_its_path(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path}.*Training makes it"):
        evaluate.evaluate(tmp_path)


def perfect_detect(settings, prepared):
    """Says the truth about every picture of the split, and how often it was asked."""
    truths, batch_sizes = {}, []
    people = np.arange(1, settings.data.max_people + 1)
    for batch in pipeline.eval_batches(
        prepared.val,
        image_size=settings.eval_image_size,
        max_people=settings.data.max_people,
        batch_size=1,
    ):
        masks = batch.people[0, ::STRIDE, ::STRIDE] == people[:, None, None]
        labelled = batch.visibility[0] > 0
        # Who has no labelled keypoints is found, for pycocotools, in the box.
        middle = batch.box[0].reshape(-1, 1, 2, 2).mean(axis=2)
        poses = Poses(
            np.where(labelled[..., None], batch.keypoints[0], middle),
            labelled.astype(np.float32),
            np.where(batch.area[0] > 0, 1 - people / 100, 0).astype(np.float32),
        )
        truths[batch.image[0].tobytes()] = Instances(poses, masks.astype(np.float32))
    nobody = jax.tree.map(np.zeros_like, next(iter(truths.values())))

    def detect(variables, images):
        del variables
        batch_sizes.append(len(images))
        found = [truths.get(image.tobytes(), nobody) for image in images]
        return jax.tree.map(lambda *leaves: np.stack(leaves), *found)

    return detect, batch_sizes


def test_the_truth_scores_one_whatever_the_batch_size(ground):
    config = ground.config()
    prepared = prepare(config_lib.parse(config).data)
    found = {}
    for size in (1, 3, 4, 5):
        config["eval"]["batch_size"] = size
        settings = config_lib.parse(config)
        detect, sizes = perfect_detect(settings, prepared)
        found[size], ms_per_image = evaluate.run_split(detect, {}, prepared, settings)
        assert (ms_per_image is None) == (size >= NUM_VAL)
        assert sizes == [size] * -(-NUM_VAL // size)
    assert all(results == found[1] for results in found.values())
    scores = judging.judge(found[1], prepared.val_annotations).scores
    assert scores["keypoints/AP"] == pytest.approx(1)
    assert scores["segm/AP50"] > 0.8
    assert scores["crowd/people_1/keypoints/AP"] == pytest.approx(1)
    assert scores["crowd/people_8+/keypoints/AP"] is None


def test_the_network_finds_the_same_whatever_the_batch_size(ground):
    """Rows that only fill the last batch are nobody's, and change nothing."""
    config = ground.config()
    config["eval"]["batch_size"] = 3
    settings = config_lib.parse(config)
    trained = inference.restore(ground.finished)
    prepared = prepare(settings.data)
    detect = inference.make_detect(settings)
    found, _ = evaluate.run_split(detect, trained.variables, prepared, settings)
    expected = json.loads((ground.finished / RESULTS[0]).read_text())
    assert len(found.keypoints) == len(expected) == len(found.segm)
    for one, other in zip(found.keypoints, expected, strict=True):
        assert one["image_id"] == other["image_id"]
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)
        assert one["keypoints"] == pytest.approx(other["keypoints"], abs=0.1)


def test_nothing_found_scores_zero_and_not_less(ground):
    prepared = prepare(config_lib.parse(ground.config()).data)
    scores = judging.judge(Results([], []), prepared.val_annotations).scores
    assert scores["keypoints/AP"] == scores["segm/AP"] == 0
    assert all(value is None or value == 0 for value in scores.values())


def list_pictures(ground, path):
    """The validation pictures as COCO lists those of test-dev: nobody is annotated."""
    annotations = ground.drawn / "annotations" / "person_keypoints_val2017.json"
    pictures = json.loads(annotations.read_text())["images"]
    categories = [{"supercategory": "x", "id": i, "name": f"{i}"} for i in range(1, 81)]
    path.write_text(json.dumps({"images": pictures, "categories": categories}))
    return path


def test_pictures_without_annotations_get_results_and_no_scores(ground, tmp_path):
    output = tmp_path / "test-dev"
    evaluate.evaluate(ground.finished, output=output, resamples=2)
    metrics = evaluate.evaluate(
        ground.finished,
        annotations=list_pictures(ground, tmp_path / "image_info_test-dev2017.json"),
        images=ground.drawn / "val2017",
        output=output,
        resamples=2,
    )
    for name in RESULTS:
        found = (output / name).read_bytes()
        assert found == (ground.finished / name).read_bytes(), name
    assert metrics["eval/images"] == NUM_VAL
    scores = {key: value for key, value in metrics.items() if "/A" in key}
    assert scores.keys() == scores_in(read_metrics(ground.finished)).keys() | {
        "keypoints/AR",
        "segm/AR",
    }
    assert set(scores.values()) == {None}
    assert "nothing to score" in judging.report(metrics)
    # Nothing is left of the evaluation before.
    assert {path.name for path in output.iterdir()} == {
        *RESULTS,
        "metrics.json",
        "overlays",
    }


def test_averaging_can_be_asked_for_and_is_not_the_run_s_own(ground, tmp_path):
    workdir = ground.copy(tmp_path / "run")
    plain = read_metrics(workdir)
    metrics = evaluate.evaluate(
        workdir, changes={"eval.flip": True, "eval.scales": (0.5,)}
    )
    assert metrics["eval/views"] == 2
    assert "train/steps" in plain
    assert "train/steps" not in metrics
    own = evaluate.evaluate(ground.finished, output=tmp_path / "again")
    assert own["eval/views"] == 1


def test_another_decoder_can_be_asked_for_and_is_not_the_run_s_own(ground, tmp_path):
    before = all_files(ground.finished)
    changes = {"decode.max_people": 1, "eval.batch_size": 2}
    metrics = evaluate.evaluate(ground.finished, output=tmp_path, changes=changes)
    found = json.loads((tmp_path / RESULTS[0]).read_text())
    assert len({person["image_id"] for person in found}) == len(found)
    assert "train/steps" not in metrics
    assert metrics["eval/ms_per_image"] > 0
    assert all_files(ground.finished) == before


def test_the_first_batch_is_left_out_of_the_time_for_a_picture(ground, monkeypatch):
    """It has the program to be compiled, and nothing to be done beside it."""
    config = ground.config()
    config["eval"]["batch_size"] = 1
    settings = config_lib.parse(config)
    prepared = prepare(settings.data)
    truth, sizes = perfect_detect(settings, prepared)
    seconds = 0.0

    def detect(variables, images):
        nonlocal seconds
        seconds += 0.25 if sizes else 100.0
        return truth(variables, images)

    monkeypatch.setattr(evaluate.time, "monotonic", lambda: seconds)
    _, ms_per_image = evaluate.run_split(detect, {}, prepared, settings)
    # The second batch starts before the first one's results are written.
    assert ms_per_image == pytest.approx(250 * (NUM_VAL - 2) / (NUM_VAL - 1), abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resamples": -1}, "--bootstrap is -1"),
        ({"changes": {"eval.scales": ()}}, "eval.scales is"),
        ({"changes": {"eval.overlays": -1}}, "eval.overlays is -1"),
        ({"changes": {"decode.snap_radius": -1.0}}, "decode.snap_radius is -1"),
        ({"changes": {"model.neck": "fpn"}}, "model.neck shapes the network"),
    ],
)
def test_nonsense_is_refused_before_anything_is_done(
    ground, tmp_path, changes, message
):
    with pytest.raises(ValueError, match=message):
        evaluate.evaluate(ground.finished, output=tmp_path / "none", **changes)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("word", "step"), [(None, None), ("best", None), ("20", 20)])
def test_a_step_is_a_number_or_the_best(word, step):
    assert inference.read_step(word) == step


def test_another_step_is_refused():
    with pytest.raises(ValueError, match="--step is 'second'; expected a number"):
        inference.read_step("second")


def test_intervals_are_written_beside_the_scores(ground, tmp_path):
    metrics = evaluate.evaluate(ground.finished, output=tmp_path, resamples=5)
    content = json.loads((tmp_path / "intervals.json").read_text())
    found = content.pop("by_key")
    assert content == {"level": 0.95, "resamples": 5, "seed": 0}
    assert found.keys() == {key for key in metrics if "/A" in key}
    for key, interval in found.items():
        if interval is not None:
            assert interval["value"] == metrics[key]
            assert interval["low"] <= interval["high"]
    rows = judging.report(metrics, judging.read_intervals(tmp_path)).splitlines()
    assert "[" in rows[1]
    evaluate.evaluate(ground.finished, output=tmp_path)
    assert judging.read_intervals(tmp_path) is None


def test_results_that_were_written_are_matched_as_they_were_scored(ground):
    annotations = prepare(config_lib.parse(ground.config()).data).val_annotations
    scores = {}
    for matches in judging.read_matches(ground.finished, annotations):
        scores |= scoring.summarize(matches)
    assert scores.items() <= read_metrics(ground.finished).items()
    with pytest.raises(ValueError, match=r"results_keypoints\.json: no readable"):
        judging.read_matches(ground.finished / "none", annotations)


@pytest.mark.parametrize(
    ("metrics", "split", "said"),
    [
        ({"train/steps": 7}, "", "of step 7 on the run's validation split."),
        ({"eval/step": 5, "train/steps": 7}, "", "of step 5 on the run's"),
        ({"eval/step": 5}, "val.json", "of step 5 on val.json. All files are in O."),
    ],
)
def test_the_caption_says_of_what_the_scores_are(metrics, split, said):
    assert said in judging.caption(metrics, Path("O"), split=split)


def test_the_report_is_a_table_times_100():
    metrics = {"keypoints/AP": 0.5, "keypoints/AP_M": None, "segm/AP": 0.25}
    metrics |= {"segm/AP_S": 1.0, "crowd/people_8+/segm/AP": None, "train/steps": 7}
    rows = [line.split() for line in judging.report(metrics).splitlines()]
    assert rows == [
        ["keypoints", "segm"],
        ["AP", "50.0", "25.0"],
        ["AP_M", "-", "-"],
        ["AP_S", "-", "100.0"],
        ["people_8+", "-", "-"],
    ]


def test_the_report_names_intervals_where_there_are_some():
    metrics = {"keypoints/AP": 0.5, "segm/AP": 0.25}
    by_key = {"keypoints/AP": Interval(0.5, 0.456, 0.549), "segm/AP": None}
    rows = judging.report(metrics, Intervals(0.95, 9, 0, by_key)).splitlines()
    assert rows[1].split() == ["AP", "50.0", "[45.6,", "54.9]", "25.0"]
