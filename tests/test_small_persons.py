import pytest

from experiments import small_persons
from experiments.pretended import Habits, detect
from poseseg_jax.coco.annotations import parse
from poseseg_jax.coco.results import Results, encode_mask
from poseseg_jax.coco.scoring import TASKS
from poseseg_jax.coco.segmentation import to_mask
from tests.coco_files import document, image, person, write_json

TRUTH = document(
    [image(1, height=100, width=100), image(2, height=100, width=100)],
    [
        person(1, 1, box=(2, 2, 40, 60)),
        person(2, 1, box=(60, 10, 20, 20)),
        person(3, 2, box=(50, 50, 40, 40)),
        person(4, 2, box=(2, 2, 36, 36), labelled=0),
        person(5, 2, box=(2, 50, 30, 30), iscrowd=1),
    ],
)


def perfect() -> Results:
    """Everybody as annotated, surest of who is small or has no labelled keypoints."""
    sure = {2: 0.9, 4: 0.8}
    results = Results([], [])
    for entry in TRUTH["annotations"]:
        if entry["iscrowd"]:
            continue
        common = {"image_id": entry["image_id"], "category_id": 1}
        common["score"] = sure.get(entry["id"], 0.5)
        size = {"height": 100, "width": 100}
        mask = encode_mask(to_mask(entry["segmentation"], **size).astype(bool))
        results.keypoints.append({**common, "keypoints": entry["keypoints"]})
        results.segm.append({**common, "segmentation": mask})
    return results


@pytest.fixture
def annotations(tmp_path):
    return write_json(tmp_path / "truth.json", TRUTH)


def table(rows):
    return {(row["truth"], row["task"]): row for row in rows}


def test_small_persons_who_are_found_become_false_positives(annotations):
    rows = table(small_persons.compare(annotations, perfect()))
    everybody, no_small, cocopersons = small_persons.KEPT
    counts = [rows[name, "segm"]["annotations"] for name in small_persons.KEPT]
    assert counts == [5, 4, 3]
    for task in TASKS:
        assert rows[everybody, task]["AP"] == pytest.approx(1)
        assert rows[no_small, task]["AP"] < 0.9
        assert rows[no_small, task]["AR"] == pytest.approx(1)
    assert rows[everybody, "segm"]["AP_S"] == pytest.approx(1)
    assert rows[no_small, "segm"]["AP_S"] is None
    # Who has no labelled keypoints is found, too, and is nobody there.
    assert rows[cocopersons, "segm"]["AP"] < 0.9


def test_other_categories_stay_and_crowds_may_lack_what_people_have(tmp_path):
    crowd = person(6, 1, iscrowd=1)
    del crowd["keypoints"]
    others = [{"id": 7, "image_id": 1, "category_id": 18}, crowd]
    more = {**TRUTH, "annotations": [*TRUTH["annotations"], *others]}
    rows = small_persons.compare(write_json(tmp_path / "more.json", more), perfect())
    counts = [row["annotations"] for row in rows if row["task"] == "segm"]
    assert counts == [5 + 2, 4 + 2, 3 + 1]


def test_the_command_leaves_a_table_for_programs_and_one_for_readers(
    annotations, tmp_path
):
    for task in TASKS:
        write_json(tmp_path / f"{task}.json", getattr(perfect(), task))
    given = {task: str(tmp_path / f"{task}.json") for task in TASKS}
    text = small_persons.run(annotations, tmp_path / "out", given)
    assert (tmp_path / "out" / "report.md").read_text() == text
    lines = (tmp_path / "out" / "results.csv").read_text().splitlines()
    assert len(lines) == 1 + 6
    assert "| segm | everybody | 5 | 100.0 | 100.0 | 100.0 |" in text
    with pytest.raises(ValueError, match="together"):
        small_persons.run(annotations, tmp_path, {**given, "segm": None})


def test_a_pretended_detector_errs_as_it_is_told():
    pictures = parse(TRUTH, source="here").pictures
    exact = Habits(1.0, keypoint_error=0, gross=0, mask_error=0, phantoms=0)
    found = detect(pictures, exact, seed=0)
    assert found == detect(pictures, exact, seed=0)
    first = found.keypoints[0]["keypoints"]
    assert first[:2] == pytest.approx(TRUTH["annotations"][0]["keypoints"][:2])
    nobody = Habits(1e9, phantoms=0, crowd_finds=0)
    assert len(detect(pictures, nobody, seed=0).segm) <= 1
    many = Habits(1e9, phantoms=20, crowd_finds=0)
    assert len(detect(pictures, many, seed=0).segm) > 10
