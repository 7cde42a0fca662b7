"""Every case of bad input is met as the table in docs/bad_input.md says."""

import pytest

from poseseg_jax.coco.annotations import load, people_map
from poseseg_jax.coco.picture import parse_picture
from poseseg_jax.coco.scoring import TASKS, score
from poseseg_jax.data.coco_persons.record import make_record
from poseseg_jax.data.decoding import decode_record
from poseseg_jax.data.prepared import prepare_val
from tests import bad_input
from tests.coco_files import image, person, write_json

EVERY = (1, 2, 3, 4)


def named(cases):
    """The cases, as parameters with their names."""
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


@named(bad_input.FILES)
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_wrong_file_is_an_error_that_names_it(case, on_error, tmp_path):
    path = bad_input.write_file(case, tmp_path)
    with pytest.raises(
        ValueError, match=r"expected|cannot be read|cut off|no pic|twice"
    ):
        load(path, on_error=on_error)
    assert bad_input.message_of(load, path).startswith(f"{path}: ")


@named(bad_input.LABELS)
def test_wrong_labels_are_an_error_that_names_file_and_picture(case, tmp_path):
    path = write_json(tmp_path / "some.json", bad_input.spoiled(case))
    message = bad_input.message_of(load, path)
    assert message.startswith(f"{path}: ")
    assert "on_error='skip'" in message.splitlines()[-1]
    for image_id in case.left_out:
        assert f"\n  picture {image_id}: " in message
    assert case.left_out or "[" in message.splitlines()[1]


@named(bad_input.LABELS)
def test_wrong_labels_are_skipped_counted_and_listed(case, tmp_path):
    path = write_json(tmp_path / "some.json", bad_input.spoiled(case))
    read = load(path, on_error="skip")
    kept = [i for i in EVERY if i not in case.left_out]
    assert [picture.image_id for picture in read.pictures] == kept
    listed = [problem.image_id for problem in read.problems]
    assert listed == list(case.left_out or (None,))
    for picture in read.pictures:
        people_map(picture)


@named(bad_input.ACCEPTED)
def test_odd_labels_are_taken_and_scored(case, tmp_path):
    path = tmp_path / "some.json"
    path.write_bytes(case.encode(bad_input.text(bad_input.spoiled(case)).decode()))
    pictures = load(path).pictures
    assert tuple(picture.image_id for picture in pictures) == EVERY
    assert len(pictures[0].people) == len(pictures[2].crowds) == 1
    for picture in pictures:
        people_map(picture)
    for task in TASKS:
        assert score([], path, task)[f"{task}/AP"] in (0, None)


def annotated(case, number, folder):
    """An image with a person in it, whose file is the case's."""
    entry = {**image(number), "file_name": f"{number:012d}.jpg"}
    data = case.make(bad_input.good_jpeg())
    if data is not None:
        (folder / entry["file_name"]).write_bytes(data)
    return entry, person(number, number)


@named(bad_input.PICTURES)
def test_a_wrong_picture_is_an_error_that_names_file_and_id(case, tmp_path):
    entry, somebody = annotated(case, 7, tmp_path)
    with pytest.raises(
        ValueError, match=r"expected|cannot be read|annotations say"
    ) as e:
        make_record(parse_picture(entry, [somebody]), tmp_path)
    assert str(e.value).startswith(f"{tmp_path / entry['file_name']} (image id 7): ")


@pytest.mark.filterwarnings("ignore")
def test_wrong_pictures_are_skipped_and_listed_and_odd_ones_are_there(tmp_path):
    """All of them in one data set, as somebody would prepare it."""
    wrong = dict(enumerate(bad_input.PICTURES, start=1))
    odd = dict(enumerate(bad_input.ACCEPTED_PICTURES, start=101))
    folder = tmp_path / "pictures"
    folder.mkdir()
    entries, people = zip(
        *(annotated(case, i, folder) for i, case in (wrong | odd).items()), strict=True
    )
    (
        folder / entries[0]["file_name"]
    ).mkdir()  # its file is missing; now it is a folder
    path = write_json(
        tmp_path / "some.json", bad_input.document(list(entries), list(people))
    )
    places = {"prepared_dir": str(tmp_path / "tfds")}
    with pytest.raises(ValueError, match=r"image id 1.*Is a directory"):
        prepare_val(path, folder, **places)
    data = prepare_val(path, folder, **places, on_error="skip")
    assert [entry["image_id"] for entry in data.left_out] == list(wrong)
    assert all(f"image id {e['image_id']})" in e["reason"] for e in data.left_out)
    samples = [decode_record(data.val[index]) for index in range(len(data.val))]
    assert [sample.image_id for sample in samples] == list(odd)
    assert {sample.image.shape for sample in samples} == {(48, 64, 3)}
    assert [p.image_id for p in load(data.val_annotations).pictures] == list(odd)


def test_the_document_holds_these_tables():
    words = bad_input.DOCS.read_text()
    assert words == bad_input.with_tables(words), "run python -m tests.bad_input"
