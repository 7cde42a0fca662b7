"""Rates are those of the device, and shares of a peak that somebody has published."""

import json
import math

import jax
import numpy as np
import pytest

from configs import base
from poseseg_jax import config, speed
from poseseg_jax.ledger import Closed
from poseseg_jax.speed import PEAKS, RATES, Speed

KINDS = [
    ("NVIDIA H100 80GB HBM3", 989e12),
    ("NVIDIA H100 PCIe", 756e12),
    ("NVIDIA H200", 989e12),
    ("NVIDIA A100-SXM4-80GB", 312e12),
    ("NVIDIA A100 80GB PCIe", 312e12),
    ("NVIDIA A10", 125e12),
    ("NVIDIA A10G", None),
    ("NVIDIA L4", 121e12),
    ("NVIDIA L40", None),
    ("Tesla V100-SXM2-32GB", 125e12),
    ("NVIDIA H100", None),
    ("cpu", None),
    ("", None),
]


def settings(**changes):
    fields = base.get_config("tiny").to_dict()
    fields["model"] |= {"width": 0.1, "neck_channels": 8}
    fields["train"] |= {"image_size": 65, "batch_size": 4}
    for group, values in changes.items():
        fields[group] |= values
    return config.parse(fields)


@pytest.mark.parametrize(("kind", "operations"), KINDS)
def test_a_peak_is_known_or_not_and_never_guessed(kind, operations):
    assert speed.peak(kind) == operations


def test_no_name_hides_another():
    assert all(speed.peak(name) == value for name, value in PEAKS.items())


def test_rates_follow_from_seconds():
    closed = Closed({}, steps=10, seconds=5.0, waited=1.0)
    rates = Speed(settings()).rates(closed)
    assert rates == {
        "step_seconds": 0.5,
        "pictures_per_second": 8.0,
        "waiting_for_data": 0.2,
    }, "no peak is known of a CPU"
    assert json.loads(json.dumps(rates)) == rates


def test_utilisation_is_what_is_needed_over_what_could_be_done(monkeypatch):
    monkeypatch.setitem(PEAKS, jax.devices()[0].device_kind, 1e9)
    tiny = settings()
    closed = Closed({}, steps=10, seconds=5.0, waited=1.0)
    rates = Speed(tiny).rates(closed)
    assert tuple(rates) == RATES
    expected = speed.step_flops(tiny) / 0.5 / 1e9 / jax.device_count()
    assert math.isclose(rates["mfu"], expected)


def test_operations_are_those_of_the_network_however_it_is_computed():
    alone = speed.step_flops(settings())
    saving = settings(model={"remat": True}, optim={"accumulate_steps": 2})
    assert speed.step_flops(saving) == alone
    twice = speed.step_flops(settings(train={"batch_size": 8}))
    assert 1.8 < twice / alone < 2.05


def test_operations_of_a_convolution_are_counted_as_anyone_would():
    """XLA counts a multiplication and an addition for each weight that is used."""

    def valid(x, kernel):
        return jax.lax.conv(x, kernel, (1, 1), "VALID")

    shapes = np.zeros((2, 3, 9, 9), np.float32), np.zeros((5, 3, 3, 3), np.float32)
    cost = jax.jit(valid).lower(*shapes).cost_analysis()
    assert cost["flops"] == 2 * 2 * 5 * 7 * 7 * 3 * 3 * 3
