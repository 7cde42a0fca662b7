"""What the command leaves, and that it is what a training takes."""

import contextlib
import gzip
import hashlib
import io
import json
import random

import cv2
import pytest
from pycocotools.coco import COCO

from configs import base
from poseseg_jax.coco.annotations import load
from poseseg_jax.data import iteration_files
from poseseg_jax.data.iteration_files import write_all
from poseseg_jax.data.prepared import prepare
from poseseg_jax.data.settings import DataSettings
from tests import documented
from tests.coco_files import (
    document,
    image,
    person,
    real_data,
    write_folder,
    write_json,
)

REDUCTIONS = (30, 40, 50, 60, 70, 80)
NUM_SINGLE = 10


def content() -> dict:
    """Pictures 1 ... 10 show one person, 11 ... 13 two, 14 nobody with keypoints."""
    people = [person(i, i) for i in range(1, NUM_SINGLE + 1)]
    people += [person(100 * n + i, i) for i in (11, 12, 13) for n in (2, 1)]
    people.append(person(997, 11, iscrowd=1))
    people.append({"id": 998, "image_id": 12, "category_id": 18})
    people.append(person(999, 14, labelled=0))
    made = document([image(i) for i in range(1, 15)], people)
    return {"info": {"year": 2017, "by": "Zoë"}, **made, "licenses": []}


@pytest.fixture
def source(tmp_path):
    return write_json(tmp_path / "mine.json", content())


def write(source, output, **changes):
    summary = write_all(source, output, reductions=REDUCTIONS, **changes)
    assert not list(output.glob("*.unfinished"))
    return summary


def read(path):
    return json.loads(path.read_text())


def ids(path):
    return [entry["id"] for entry in read(path)["images"]]


def load_quietly(path):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_an_iteration_is_a_file_of_its_pictures_with_all_their_annotations(
    source, tmp_path
):
    summary = write(source, tmp_path / "out", controls=True)
    parts = [*summary["iterations"], *summary["random"]]
    assert len(parts) == 12
    for part in parts:
        path = tmp_path / "out" / part["file"]
        made = read(path)
        kept = ids(path)
        assert kept == sorted(kept)
        given = content()
        assert made["images"] == [e for e in given["images"] if e["id"] in kept]
        expected = [e for e in given["annotations"] if e["image_id"] in kept]
        expected.sort(key=lambda entry: (entry["image_id"], entry["id"]))
        assert made["annotations"] == expected
        assert list(made) == list(given)
        assert (made["info"], made["licenses"]) == (given["info"], [])
        assert len(load_quietly(path).getImgIds()) == part["pictures"]
        assert [p.image_id for p in load(path).pictures] == kept


def test_the_summary_says_what_the_files_hold(source, tmp_path):
    output = tmp_path / "out"
    summary = write(source, output, controls=True, seed=5)
    assert read(output / "summary.json") == summary
    assert (summary["seed"], summary["count"]) == (5, "labelled")
    checksum = hashlib.sha256(source.read_bytes()).hexdigest()
    assert (summary["source"], summary["source_sha256"]) == (str(source), checksum)
    assert (summary["without_heads"], summary["left_out"]) == (1, [])
    assert summary["whole"]["pictures"] == 13
    assert summary["whole"]["persons"] == 16
    for kind in ("iterations", "random"):
        before = set(range(1, 14))
        for part in summary[kind]:
            data = (output / part["file"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == part["sha256"]
            kept = ids(output / part["file"])
            assert set(part["removed"]) == before - set(kept)
            single = sum(image_id <= NUM_SINGLE for image_id in kept)
            share = part["share_by_head_count"]["1"]
            assert share == pytest.approx(single / len(kept), abs=1e-6)
            counts = {"1": single, "2": len(kept) - single}
            assert part["pictures_by_head_count"] == {
                k: n for k, n in counts.items() if n
            }
            assert part["persons"] == 2 * len(kept) - single
            before = set(kept)


def test_weights_stand_for_a_removal_without_one(source, tmp_path):
    summary = write(source, tmp_path, controls=True)
    for part, removed in zip(summary["reweight"], summary["iterations"], strict=True):
        made = read(tmp_path / part["file"])
        assert made["reduction"] == part["reduction"] == removed["reduction"]
        weights = made["sampling_weight"]
        assert list(weights) == [str(i) for i in range(1, 14)]
        assert sum(weights.values()) == pytest.approx(removed["pictures"])
        assert weights["1"] == part["weight_of_single"] < weights["11"] == 1


def test_files_hold_what_a_training_takes(tmp_path):
    """All three ways, all reductions, from one prepared data set."""
    root = write_folder(tmp_path / "coco", {"train": content(), "val": content()})
    source = root / "annotations" / "person_keypoints_train2017.json"
    fields = base.get_config().data.to_dict()
    fields |= {"root": str(root), "prepared_dir": str(tmp_path / "tfds")}
    for count, seed in (("labelled", 0), ("annotated", 3)):
        output = tmp_path / count
        write(source, output, controls=True, count=count, seed=seed)
        fields |= {"head_count": count, "order_seed": seed}
        for reduction in REDUCTIONS:
            train = {
                by: prepare(
                    DataSettings(
                        **{**fields, "reduction": reduction, "reduction_by": by}
                    )
                ).train
                for by in ("removal", "random", "reweight")
            }
            for by, name in (("removal", "bias"), ("random", "random")):
                part = train[by]
                found = sorted(part[i]["image_id"] for i in range(len(part)))
                assert found == ids(output / f"{name}{reduction}.json")
            weights = read(output / f"reweight{reduction}.json")["sampling_weight"]
            mixture = train["reweight"]
            drawn = [int(mixture[i]["image_id"]) for i in range(len(mixture))]
            assert sorted(drawn) == [int(image_id) for image_id in weights]
            share = mixture.num_by_turns / (len(mixture) - mixture.num_always)
            expected = [1.0] * mixture.num_always
            expected += [share] * (len(mixture) - mixture.num_always)
            assert [weights[str(i)] for i in drawn] == expected


def test_the_order_of_the_file_and_its_compression_change_nothing(source, tmp_path):
    shuffled = content()
    for key in ("images", "annotations"):
        random.Random(1).shuffle(shuffled[key])
    other = tmp_path / "other.json.gz"
    other.write_bytes(gzip.compress(json.dumps(shuffled).encode(), mtime=0))
    one = write(source, tmp_path / "one", controls=True)
    two = write(other, tmp_path / "two", controls=True)
    for key in ("whole", "iterations", "random", "reweight"):
        assert one[key] == two[key]


def test_the_seed_decides(source, tmp_path):
    files = [write(source, tmp_path / str(s), seed=s)["iterations"] for s in (0, 0, 1)]
    checksums = [[part["sha256"] for part in parts] for parts in files]
    assert checksums[0] == checksums[1] != checksums[2]


def test_without_controls_there_are_none(source, tmp_path):
    summary = write(source, tmp_path / "out")
    assert summary["random"] == summary["reweight"] == []
    names = {path.name for path in (tmp_path / "out").iterdir()}
    others = {"summary.json", "summary.md", "head_counts.png", "bias_reduction.png"}
    assert names == others | {f"bias{r}.json" for r in REDUCTIONS}


def test_everybody_annotated_may_count(source, tmp_path):
    summary = write(source, tmp_path / "out", count="annotated")
    assert summary["without_heads"] == 0
    assert summary["whole"]["pictures_by_head_count"] == {"1": 11, "2": 3}


def test_broken_entries_are_refused_or_listed(tmp_path):
    broken = content()
    broken["annotations"][3]["area"] = None
    broken["annotations"].append({"image_id": 12})
    broken["annotations"].append(7)
    broken["images"].append("no picture")
    source = write_json(tmp_path / "mine.json", broken)
    with pytest.raises(ValueError, match=r"mine\.json: 4 problem"):
        write(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    summary = write(source, tmp_path / "out", on_error="skip")
    left_out = {entry["image_id"] for entry in summary["left_out"]}
    assert left_out == {4, 12, None}
    assert summary["whole"]["pictures"] == 11
    assert not {4, 12} & set(ids(tmp_path / "out" / "bias30.json"))
    report = (tmp_path / "out" / "summary.md").read_text()
    assert "annotation 4: area" in report
    assert "* no picture named: " in report


def test_a_file_is_not_replaced_by_a_part_of_itself(source, tmp_path):
    write(source, tmp_path)
    before = (tmp_path / "bias30.json").read_bytes()
    with pytest.raises(ValueError, match="would be replaced by bias30"):
        write(tmp_path / "bias30.json", tmp_path)
    assert (tmp_path / "bias30.json").read_bytes() == before


@pytest.mark.parametrize(
    "name",
    [
        "summary.json",
        "summary.json.unfinished",
        "summary.md",
        "head_counts.png",
        "bias_reduction.png",
        "bias30.json",
        "random80.json",
        "reweight50.json",
    ],
)
def test_nothing_that_is_written_replaces_the_source(tmp_path, name):
    source = write_json(tmp_path / name, content())
    before = source.read_bytes()
    with pytest.raises(ValueError, match="would be replaced"):
        write(source, tmp_path, controls=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert source.read_bytes() == before


def test_files_of_an_earlier_reduction_go_and_nobody_elses(source, tmp_path):
    output = tmp_path / "out"
    write(source, output, controls=True)
    for name in ("bias99.json", "mine.json"):
        (output / name).write_text("{}")
    with pytest.raises(ValueError, match="would be removed"):
        write_all(output / "bias60.json", output, reductions=(20, 30))
    assert (output / "bias60.json").exists()
    outside = tmp_path / "bias7.json"
    outside.write_text("{}")
    summary = read(output / "summary.json")
    for name in ("../bias7.json", str(outside), "mine.json", 3):
        summary["iterations"].append({"file": name})
    (output / "summary.json").write_text(json.dumps(summary))
    write_all(source, output, reductions=(20, 30))
    kept = {"bias20.json", "bias30.json", "bias99.json", "mine.json"}
    assert {path.name for path in output.glob("*.json")} == kept | {"summary.json"}
    assert outside.exists()


@pytest.mark.parametrize("text", ["", "[]", '{"iterations": [3]}', "{}"])
def test_a_summary_of_somebody_else_lists_nothing(source, tmp_path, text):
    output = tmp_path / "out"
    output.mkdir()
    (output / "bias99.json").write_text("{}")
    (output / "summary.json").write_text(text)
    write(source, output)
    assert (output / "bias99.json").exists()


def test_a_command_that_died_leaves_nothing_that_looks_whole(
    source, tmp_path, monkeypatch
):
    write(source, tmp_path / "out", seed=1)
    whole = iteration_files.Entries.file_of

    def die(self, image_ids):
        yield from [next(whole(self, image_ids))]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(iteration_files.Entries, "file_of", die)
        with pytest.raises(KeyboardInterrupt):
            write_all(source, tmp_path / "out", reductions=REDUCTIONS)
    assert not (tmp_path / "out" / "summary.json").exists()
    assert len(load(tmp_path / "out" / "bias30.json").pictures) == 10
    write(source, tmp_path / "out")


def test_real_iterations_are_cocos_own_annotations(tmp_path):
    source = real_data("coco_original_sample/annotations/person_keypoints_val2017.json")
    summary = write(source, tmp_path, controls=True)
    truth = load_quietly(source)
    for part in summary["iterations"]:
        found = load_quietly(tmp_path / part["file"])
        for image_id in found.getImgIds():
            expected = sorted(truth.imgToAnns[image_id], key=lambda a: a["id"])
            assert found.imgToAnns[image_id] == expected


def test_the_command_says_what_it_wrote(source, tmp_path):
    flags = [f"--annotations={source}", f"--output={tmp_path / 'out'}"]
    done = documented.run("poseseg_jax.data.bias", *flags, "--reductions=35,50")
    assert done.returncode == 0, done.stderr
    assert "| `bias35.json` | 35 % | 9 |" in done.stdout
    lines = done.stderr.splitlines()
    assert [line.rsplit("/")[-1].split(":")[0] for line in lines] == [
        "bias35.json",
        "bias50.json",
    ]
    for name in ("head_counts.png", "bias_reduction.png"):
        picture = cv2.imread(str(tmp_path / "out" / name))
        assert picture.shape[1] > 400


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ([], "--annotations"),
        (["--annotations=nowhere.json", "--output=x"], "nowhere.json: cannot be read"),
        (["--annotations={source}", "--output={source}"], "File exists"),
        (["--annotations={source}", "--output=x", "--reductions=3O"], "whole percent"),
        (["--annotations={source}", "--output=x", "--count=all"], "annotated"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused_in_words(source, flags, word):
    flags = [flag.format(source=source) for flag in flags]
    done = documented.run("poseseg_jax.data.bias", *flags)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert word in done.stdout + done.stderr
