"""A batch in one piece of memory has the legend's arrays, and they do not overlap."""

import dataclasses

import numpy as np
import pytest

from poseseg_jax.data.form import Form


@pytest.mark.parametrize("form", [Form(1, 33, 1), Form(3, 65, 7)])
def test_arrays_lie_apart_in_the_memory_that_is_given(form):
    memory = np.zeros(form.num_bytes, np.uint8)
    batch = form.over(memory)
    arrays = [getattr(batch, field.name) for field in dataclasses.fields(batch)]
    assert all(array.flags.c_contiguous for array in arrays)
    for array in arrays:
        assert not memory[memory != 0].size, "nothing else was written"
        array[...] = np.ones((), array.dtype)
        assert array.all()
        assert np.count_nonzero(memory) >= array.size
        array[...] = np.zeros((), array.dtype)


def test_shapes_are_those_of_the_legend():
    batch = Form(3, 65, 7).new()
    shapes = {
        "image": (3, 65, 65, 3),
        "people": (3, 65, 65),
        "keypoints": (3, 7, 17, 2),
        "visibility": (3, 7, 17),
        "box": (3, 7, 4),
        "area": (3, 7),
        "to_input": (3, 2, 3),
        "size": (3, 2),
        "image_id": (3,),
        "is_real": (3,),
    }
    assert {
        f.name: getattr(batch, f.name).shape for f in dataclasses.fields(batch)
    } == (shapes)
