"""Whose weights a file holds, told by names alone."""

import pytest

from poseseg_jax.models import relatives
from poseseg_jax.models.resnet import RESNETS
from tests import torch_resnets


@pytest.mark.parametrize("name", RESNETS)
def test_a_whole_file_is_recognised(name):
    assert relatives.guess(torch_resnets.shapes(name)) == name


@pytest.mark.parametrize(
    ("name", "stages", "expected"),
    [
        ("resnet101", ("layer1", "layer2", "layer3"), "resnet101"),
        ("resnet101", ("layer3",), "resnet101"),
        ("resnet34", ("layer2",), "resnet34"),
        ("resnet50", ("layer1", "layer2"), None),  # or resnet101
        ("resnet152", ("layer4",), None),  # three blocks, as others
        ("resnet18", (), None),
    ],
)
def test_a_part_is_recognised_where_only_one_has_it(name, stages, expected):
    names = [key for key in torch_resnets.shapes(name) if key.startswith(stages)]
    assert relatives.guess(["conv1.weight", *names]) == expected


@pytest.mark.parametrize("name", ["resnet50", "resnet18"])
def test_deeper_ones_are_told_apart_from_none_that_is_known(name):
    names = [*torch_resnets.shapes(name), "layer3.40.conv1.weight"]
    assert relatives.guess(names) is None
    assert "no network is known" in relatives.explain(names)
