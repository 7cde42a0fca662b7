import functools

import pytest

from poseseg_jax.coco.quoting import MAX_LENGTH, quote


@pytest.mark.parametrize("value", [7, 1.5, None, "name", [1, "a"], {"id": 1}, "\ud800"])
def test_short_values_are_quoted_whole(value):
    assert quote(value) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**6,
        10**4000,
        list(range(10**6)),
        functools.reduce(lambda inner, _: [inner], range(10**5), []),
        [[{"key": [1.5] * 9}] * 9] * 9,
        "line\n" * 99,
    ],
    ids=["text", "integer", "list", "deep", "nested", "lines"],
)
def test_any_value_is_one_short_line(value):
    text = quote(value)
    assert 0 < len(text) <= MAX_LENGTH
    assert text.isprintable()
