"""What a prediction leaves can be read by COCO's tools, and is drawn where it is."""

import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from poseseg_jax.people import Person, box_of
from poseseg_jax.predictions import DRAWINGS, Predictions, draw, ids_of


def person_at(x, y, shape=(60, 80)):
    mask = np.zeros(shape, bool)
    mask[y - 5 : y + 5, x - 5 : x + 5] = True
    points = np.full((17, 2), (x, y), np.float64)
    return Person(points, np.ones(17), 0.5, mask, box_of(mask, points, np.ones(17)))


@pytest.mark.parametrize("kind", DRAWINGS)
@pytest.mark.parametrize("shrink", [1, 2, 4])
def test_people_are_drawn_where_they_are_whatever_the_size(kind, shrink):
    people = [person_at(600, 200, (480, 960))]
    image = np.full((480 // shrink, 960 // shrink, 3), 128, np.uint8)
    drawn = draw(kind, image, people)
    zoom = drawn.shape[1] // image.shape[1]
    rows, columns = np.nonzero((drawn != 128).any(-1))
    middle = np.array([columns.mean(), rows.mean()]) * shrink / zoom
    np.testing.assert_allclose(middle, (600, 200), atol=2 * shrink)


@pytest.mark.parametrize("kind", DRAWINGS)
def test_nobody_is_drawn_as_nothing(kind):
    image = np.full((700, 400, 3), 128, np.uint8)
    np.testing.assert_array_equal(draw(kind, image, []), image)


def entry(image_id, **fields):
    return {**person_at(40, 30).to_coco(image_id), **fields}


def about(image_id, **fields):
    return {"id": image_id, "file_name": "a.jpg", "height": 60, "width": 80, **fields}


def test_pycocotools_loads_what_was_left(tmp_path, capsys):
    predictions = Predictions()
    predictions.add((1, 0), about(7), [entry(7), entry(7)])
    predictions.add((0, 0), about(9), [])
    predictions.write(tmp_path)
    loaded = COCO(tmp_path / "images.json").loadRes(str(tmp_path / "predictions.json"))
    capsys.readouterr()
    assert [image["id"] for image in loaded.dataset["images"]] == [9, 7]
    assert len(loaded.getAnnIds(imgIds=[7])) == 2
    assert loaded.loadAnns(loaded.getAnnIds())[0]["area"] == 100


def test_order_is_that_of_the_inputs(tmp_path):
    predictions = Predictions(skipped={"b.jpg": "broken"})
    for place in [(2, 0), (0, 5), (0, 1), (1, 0)]:
        image_id = 10 * place[0] + place[1]
        fields = {"frame": place[1]} if place[0] == 0 else {}
        predictions.add(place, about(image_id, **fields), [entry(image_id, **fields)])
    predictions.write(tmp_path)
    entries = json.loads((tmp_path / "predictions.json").read_text())
    assert [one["image_id"] for one in entries] == [1, 5, 10, 20]
    assert json.loads((tmp_path / "images.json").read_text())["skipped"] == [
        {"file_name": "b.jpg", "why": "broken"}
    ]
    counts = predictions.num_pictures, predictions.num_people, predictions.num_frames
    assert counts == (4, 4, 2)


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["000000000139", "a/000000000785"], [139, 785]),
        (["1", "b/1"], [1, 2]),
        (["7", "cat"], [1, 2]),
        (["\u0663"], [1]),
        ([], []),
    ],
)
def test_numbers_are_ids_if_all_names_are_numbers(names, ids):
    assert ids_of(names) == ids
