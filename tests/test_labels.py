"""All people at once come to where each picture's come alone."""

import jax
import numpy as np
import pytest

from poseseg_jax.data.form import Form
from poseseg_jax.data.labels import write_labels
from poseseg_jax.structs import SEVERAL

SIDE = 49


def make_record(rng, people):
    corners = np.sort(rng.uniform(-5, 60, (people, 2, 2)), axis=1)
    return {
        "size": np.array([48, 64], np.int32),
        "image_id": rng.integers(1, 1000),
        "keypoints": rng.uniform(0, 64, (people, 17, 2)).astype(np.float32),
        "visibility": rng.choice([0, 0, 0, 1, 2], (people, 17)).astype(np.uint8)
        * rng.integers(0, 2, (people, 1), dtype=np.uint8),
        "box": corners.reshape(people, 4).astype(np.float32),
        "area": rng.uniform(1, 500, people).astype(np.float32),
        "has_mask": rng.integers(0, 2, people).astype(bool),
    }


def make_views(rng, count):
    angle = rng.uniform(-0.5, 0.5, count)
    cos, sin = 0.8 * np.cos(angle), 0.8 * np.sin(angle)
    mirror = rng.choice([-1, 1], count)
    shift = rng.uniform(-30, 30, (2, count)) + 24 * (1 - mirror)
    rows = [[mirror * cos, -sin, shift[0]], [mirror * sin, cos, shift[1]]]
    return np.moveaxis(np.array(rows), -1, 0)


@pytest.mark.parametrize("counts", [[0], [0, 0], [5, 0, 1, 9], [3, 3]])
@pytest.mark.parametrize("max_people", [1, 4, 9])
def test_a_batch_is_its_pictures_one_by_one(counts, max_people):
    rng = np.random.default_rng(len(counts))
    records = [make_record(rng, count) for count in counts]
    views = make_views(rng, len(counts))
    codes = [*range(max(counts) + 1), SEVERAL]
    people = rng.choice(codes, (len(counts), SIDE, SIDE)).astype(np.uint8)
    batch = Form(len(counts), SIDE, max_people).new()
    batch.image[:] = 0
    batch.people[:] = people
    write_labels(batch, records, views)
    for index, record in enumerate(records):
        alone = Form(1, SIDE, max_people).new()
        alone.image[:] = 0
        alone.people[:] = people[index]
        write_labels(alone, [record], views[index : index + 1])
        jax.tree.map(
            lambda one, many, index=index: np.testing.assert_array_equal(
                one[0], many[index]
            ),
            alone,
            batch,
        )
