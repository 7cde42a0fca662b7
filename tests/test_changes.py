"""Changes are read as the types of their fields, or refused in words."""

import dataclasses

import pytest

from configs import base
from poseseg_jax import changes, config


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
    settings = config.parse(base.get_config("tiny").to_dict())
    fields = dataclasses.asdict(getattr(settings, group))
    words = []
    for name, value in fields.items():
        several = isinstance(value, tuple)
        text = ",".join(map(str, value)) if several else str(value)
        words.append(f"{group}.{name}={text}")
    assert config.with_changes(settings, changes.read(words)) == settings


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
