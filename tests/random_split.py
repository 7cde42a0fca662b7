"""A small split drawn at random; its results are right, wrong, missing and tied."""

from pathlib import Path

import numpy as np

from poseseg_jax.coco import scoring
from poseseg_jax.coco.annotations import load
from poseseg_jax.coco.results import encode_mask
from poseseg_jax.coco.scoring import Matches
from tests.coco_files import document, image, person, write_json

HEIGHT, WIDTH = 90, 120


def write_truth(path: Path, *, pictures: int, seed: int = 0) -> Path:
    """People of all sizes; some in crowds, without keypoints, or of unknown mask."""
    draw = np.random.default_rng(seed)
    people: list[dict] = []
    for picture in range(1, pictures + 1):
        for _ in range(draw.integers(0, 5)):
            x, y = draw.integers(0, (80, 50))
            box = (int(x), int(y), *map(int, draw.integers(6, (110 - x, 85 - y))))
            kind = draw.integers(0, 8)
            changes = [{"iscrowd": 1}, {"segmentation": []}, {"labelled": 0}]
            change = changes[kind] if kind < 3 else {}
            people.append(person(len(people) + 1, picture, box=box, **change))
    # Sorted as the program sorts them, by id.
    images = [image(i, height=HEIGHT, width=WIDTH) for i in range(1, pictures + 1)]
    return write_json(path, document(images, people))


def find(truth: Path, task: str, *, seed: int = 0, noise: float = 1.0) -> list[dict]:
    """Results for a split of `write_truth`, by somebody who errs by `noise`."""
    draw = np.random.default_rng(seed)
    found: list[dict] = []
    for picture in load(truth).pictures:
        first = len(found)
        for somebody in picture.people:
            if draw.random() < 0.2:
                continue
            size = np.sqrt(somebody.area)
            points = somebody.keypoints + draw.normal(0, 0.05 * noise * size, (17, 2))
            x0, y0, x1, y1 = somebody.box + draw.normal(0, 0.08 * noise * size, 4)
            found.append(_entry(picture.image_id, task, points, (x0, y0, x1, y1)))
        for _ in range(draw.integers(0, 3)):
            box = np.sort(draw.uniform(0, 80, (2, 2)), axis=0).reshape(-1)
            points = draw.uniform(0, 80, (17, 2))
            found.append(_entry(picture.image_id, task, points, box))
        # Many scores are equal, but not within a picture.
        for row, entry in enumerate(found[first:]):
            score = round(float(draw.uniform(0.05, 0.95)), 1) + row / 1000
            entry["score"] = round(score, 3)
    return found


def _entry(image_id: int, task: str, points, box) -> dict:
    entry = {"image_id": image_id, "category_id": 1}
    if task == "keypoints":
        rows = np.concatenate([points, np.ones((17, 1))], axis=1)
        return {**entry, "keypoints": rows.reshape(-1).tolist()}
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    x0, y0, x1, y1 = box
    mask = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    return {**entry, "segmentation": encode_mask(mask)}


def match_all(truth: Path, *, seed: int = 0, noise: float = 1.0) -> list[Matches]:
    """Both tasks of a split, matched."""
    return [
        scoring.match(find(truth, task, seed=seed, noise=noise), truth, task)
        for task in scoring.TASKS
    ]
