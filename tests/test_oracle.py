"""The experiment that decodes ground truth, at a size that tests can afford."""

import csv
import json

import pytest

from experiments import oracle
from poseseg_jax.coco import annotations
from tests import coco_files, documented

C = "on the coarse grid"
SMALL = {"train.image_size": 129, "representation.radius": 16.0}


@pytest.fixture
def truth(tmp_path):
    """Two people, one without keypoints, one without a mask; a crowd; an empty one."""
    people = [
        coco_files.person(1, 1, box=(8, 6, 40, 80)),
        coco_files.person(2, 1, box=(60, 10, 44, 76), labelled=0),
        coco_files.person(3, 2, box=(30, 20, 50, 60), segmentation=[]),
        coco_files.person(4, 2, box=(80, 60, 30, 30), iscrowd=1),
    ]
    images = [coco_files.image(n, height=96, width=128) for n in (1, 2, 3)]
    return coco_files.write_json(
        tmp_path / "truth.json", coco_files.document(images, people)
    )


def test_everybody_comes_back_and_the_files_tell(truth, tmp_path):
    scores = oracle.run(truth, tmp_path / "out", SMALL)
    assert scores["keypoints/AP"] == pytest.approx(1, abs=0.02)
    assert 0.85 < scores["segm/AP"] <= scores["grid/segm/AP"]
    written = json.loads((tmp_path / "out/oracle.json").read_text())
    assert written["images"] == 3
    assert written["ms_per_image"] > 0
    assert written["choices"]["skeleton"] == "center"
    assert {key: written[key] for key in scores} == scores
    assert not (tmp_path / "out/oracle.csv").exists()


def test_the_table_has_a_row_for_every_choice_that_differs(truth, tmp_path):
    variants = [
        ("size", "129", {"train.image_size": 129}),  # as it is: no row
        ("masks", "hard", {"representation.masks": "hard"}),
    ]
    oracle.run(truth, tmp_path, SMALL, variants)
    with (tmp_path / "oracle.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["choice"], row["value"]) for row in rows] == [
        ("as it is", "129"),
        ("masks", "hard"),
    ]
    assert float(rows[1]["segm/AP"]) <= float(rows[0]["segm/AP"])
    table = (tmp_path / "oracle.md").read_text().splitlines()
    assert len(table) == 4
    assert len({line.count("|") for line in table}) == 1


def test_the_report_is_a_table_and_names_the_file(tmp_path):
    scores = dict.fromkeys(oracle.COLUMNS, 0.5) | {"ms_per_image": 1.0, "images": 9}
    said = oracle.report(scores, tmp_path, size=513)
    assert "| as it is | 513 | 50.0 |" in said
    assert f"over 9 pictures. All of them, as fractions: {tmp_path}/oracle.json" in said
    (tmp_path / "oracle.md").write_text("| a table |\n")
    assert oracle.report(scores, tmp_path, size=513).startswith("| a table |\nScores")


@pytest.mark.parametrize("choice", oracle.VARIANTS, ids=lambda choice: str(choice[:2]))
def test_every_choice_is_one_that_a_run_could_make(choice):
    usual = {"train.image_size": 513}
    assert oracle.case(usual | choice[2]) != oracle.case(usual)


@pytest.mark.parametrize(
    ("changes", "left_out"),
    [
        ({"representation.map_stride": 2}, {("person_stride", "4"), ("centres", C)}),
        ({"representation.person_stride": 4}, {("map_stride", "2")}),
    ],
)
def test_choices_that_do_not_go_together_are_left_out(
    changes, left_out, truth, tmp_path, monkeypatch
):
    given = {"train.image_size": 513} | changes
    fits = [v for v in oracle.VARIANTS if v[:2] not in left_out]
    kept = [v[:2] for v in fits if oracle.case(given | v[2]) != oracle.case(given)]
    for choice, value, differs in oracle.VARIANTS:
        if (choice, value) in left_out:
            with pytest.raises(ValueError, match="stride"):
                oracle.case(given | differs)
    scores = dict.fromkeys(oracle.COLUMNS, 0.5) | {"ms_per_image": 1.0}
    grids = []
    monkeypatch.setattr(oracle, "measure", lambda *_: scores)
    monkeypatch.setattr(oracle, "grid_bound", lambda *of: grids.append(of[0]) or {})
    oracle.run(truth, tmp_path, given, oracle.VARIANTS)
    with (tmp_path / "oracle.csv").open() as file:
        rows = [(row["choice"], row["value"]) for row in csv.DictReader(file)]
    assert rows == [("as it is", "513"), *kept]
    # Measured once for what it depends on.
    seen = [
        (g.size, g.representation.person_stride, g.representation.masks) for g in grids
    ]
    assert len(seen) == len(set(seen)) < len(rows)
    oracle.run(truth, tmp_path, given)
    assert [file.name for file in tmp_path.glob("oracle.*")] == ["oracle.json"]


def test_a_folder_that_cannot_be_made_is_named_before_anything_is_measured(
    truth, monkeypatch
):
    monkeypatch.setattr(oracle, "measure", None)
    with pytest.raises(ValueError, match=r"truth\.json/o: cannot be written"):
        oracle.run(truth, truth / "o", SMALL)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"representation.masks": "blurred"}, "masks"),
        ({"train.image_size": 100}, "100"),
        ({"representation.map_stride": 4, "representation.person_stride": 3}, "3"),
    ],
)
def test_what_no_run_could_have_is_refused(changes, word):
    with pytest.raises(ValueError, match=word):
        oracle.case(changes)


def test_the_ceilings_of_real_pictures_hold(shared_data):
    """1.000 and 0.871 when this was written."""
    folder = shared_data / "coco_original_sample/annotations"
    truth = folder / "person_keypoints_val2017.json"
    if not truth.is_file():
        pytest.skip(f"real pictures are not there: {truth}")
    what = oracle.case({"train.image_size": 513})
    scores = oracle.measure(what, annotations.load(truth).pictures, truth)
    assert scores["keypoints/AP"] > 0.99
    assert scores["segm/AP"] > 0.86


def test_the_command_measures_what_it_was_asked_for(truth, tmp_path):
    choices = ("--size=97", "--skeleton=tree", "--person_stride=4", "--masks=hard")
    files = (f"--annotations={truth}", f"--output={tmp_path}/o")
    done = documented.run("experiments.oracle", *files, *choices, "--radius=12")
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "o/oracle.json").read_text())
    assert done.stdout == oracle.report(written, tmp_path / "o", size=97) + "\n"
    assert f"{100 * written['keypoints/AP']:.1f}" in done.stdout
    assert f"{tmp_path}/o/oracle.json" in done.stdout
    chosen = {"size": 97, "skeleton": "tree", "person_stride": 4, "masks": "hard"}
    assert (chosen | {"map_stride": 4, "radius": 12.0}).items() <= written[
        "choices"
    ].items()


def test_a_missing_file_is_named():
    given = ("--annotations=nowhere.json", "--output=o")
    done = documented.run("experiments.oracle", *given)
    assert done.returncode == 1
    assert "nowhere.json" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
