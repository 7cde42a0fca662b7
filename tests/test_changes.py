"""Changes are read as the types of their fields, or refused in words."""

import dataclasses

import numpy as np
import pytest

from configs import base
from poseseg_jax import changes, config

SETTINGS = config.parse(base.get_config("tiny").to_dict())


def test_decoder_and_evaluation_can_be_given_other_values_and_are_checked():
    given = {"eval.flip": True, "eval.scales": [0.5, 1], "decode.snap_radius": 10}
    changed = changes.with_changes(SETTINGS, given)
    assert (changed.eval.flip, changed.eval.scales) == (True, (0.5, 1.0))
    assert type(changed.decode.snap_radius) is float
    assert changed.decode.snap_radius == 10
    assert changed.train == SETTINGS.train
    assert changes.with_changes(SETTINGS, {}) == SETTINGS


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("eval.scales", tuple(np.linspace(0.5, 1, 3)), (0.5, 0.75, 1.0)),
        ("eval.scales", np.array([0.5, 1], np.float32), (0.5, 1.0)),
        ("eval.scales", np.array([1, 2]), (1.0, 2.0)),
        ("decode.snap_radius", np.float32(2.5), 2.5),
        ("decode.snap_radius", np.int64(2), 2.0),
        ("eval.batch_size", np.int32(4), 4),
    ],
)
def test_numbers_of_numpy_are_numbers(name, value, expected):
    changed = changes.with_changes(SETTINGS, {name: value})
    group, field = name.split(".")
    found = getattr(getattr(changed, group), field)
    assert found == expected
    flat = found if isinstance(found, tuple) else (found,)
    assert {type(one) for one in flat} <= {int, float}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("eval.worst", -1, r"eval\.worst is -1"),
        ("decode.max_people", 10_000, "leaves at most"),  # against another field
        ("eval.flop", True, "no field 'flop' in eval; did you mean 'flip'"),
        ("decod.snap_radius", 1.0, "'decod' in the config; did you mean 'decode'"),
        ("snap_radius", 1.0, r"no field 'snap_radius' in the config; known: .*decode"),
        ("eval", 1.0, "no field '' in eval; known: .*flip"),
        ("train.image_size", 97, r"train\.image_size shapes .* of decode and eval"),
        ("data.labels", "both", r"data\.labels shapes"),
        ("eval.flip", 1, "eval.flip is 1; expected True or False"),
        ("eval.flip", "True", "eval.flip is 'True'; expected True or False"),
        ("eval.batch_size", True, "eval.batch_size is True; expected a whole number"),
        ("eval.batch_size", 2.5, "eval.batch_size is 2.5; expected a whole number"),
        ("decode.snap_radius", "10", "decode.snap_radius is '10'; expected a number"),
        ("decode.snap_radius", np.bool_(True), "snap_radius is .*; expected a number"),
        ("eval.batch_size", np.float64(4), "batch_size is .*; expected a whole number"),
        ("eval.scales", np.ones((2, 2)), "eval.scales is .*; expected numbers"),
        ("decode.snap_radius", float("nan"), "decode.snap_radius is nan"),
        ("eval.scales", (1.0, "2"), "eval.scales is .*; expected numbers, as 0.8,1"),
    ],
)
def test_changes_that_no_evaluation_could_have_are_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        changes.with_changes(SETTINGS, {name: value})


def test_values_have_the_types_of_their_fields():
    words = ["decode.snap_radius=10", "eval.flip=True", "decode.soft_nms=false"]
    words += ["eval.batch_size=4", "eval.scales=0.8,1"]
    read = changes.read(words)
    assert read == {
        "decode.snap_radius": 10.0,
        "eval.flip": True,
        "decode.soft_nms": False,
        "eval.batch_size": 4,
        "eval.scales": (0.8, 1.0),
    }
    kinds = [type(value) for value in read.values()]
    assert kinds == [float, bool, bool, int, tuple]
    assert changes.read([]) == {}


@pytest.mark.parametrize("group", ["decode", "eval"])
def test_every_field_can_be_written_and_read(group):
    fields = dataclasses.asdict(getattr(SETTINGS, group))
    words = []
    for name, value in fields.items():
        several = isinstance(value, tuple)
        text = ",".join(map(str, value)) if several else str(value)
        words.append(f"{group}.{name}={text}")
    assert changes.with_changes(SETTINGS, changes.read(words)) == SETTINGS


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["eval.flip"], "'eval.flip' changes nothing; expected a field and its value"),
        ([""], "'' changes nothing"),
        (["eval.flip=yes"], "eval.flip is 'yes'; expected True or False"),
        (["eval.batch_size=2.5"], "eval.batch_size is '2.5'; expected a whole number"),
        (["decode.snap_radius=far"], "decode.snap_radius is 'far'; expected a number"),
        (["eval.scales=1,big"], "eval.scales is '1,big'; expected numbers, as 0.8,1"),
        (["decode.snap_radios=1"], "in decode; did you mean 'snap_radius'"),
        (["optim.ema=0.5"], "optim.ema shapes the network or its training"),
        (["eval.flip=True", "eval.flip=False"], "eval.flip is given twice: True and"),
    ],
)
def test_what_is_no_change_is_refused(words, message):
    with pytest.raises(ValueError, match=message):
        changes.read(words)
