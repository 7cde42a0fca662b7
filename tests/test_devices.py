"""Batches are split over devices, whole or in parts; who asks too much reads why."""

import os
import subprocess
import sys

import jax
import pytest

from poseseg_jax import devices
from tests import documented


@pytest.mark.parametrize(
    ("cores", "batch_sizes", "used"),
    [
        (2, (8, 16), 2),
        (8, (8, 16), 4),  # two pictures each
        (6, (32,), 4),
        (6, (18, 12), 6),
        (8, (16, 6), 2),  # what divides training's batch alone would not do
        (4, (7, 16), 1),
        (4, (0, 16), 1),  # nonsense is refused elsewhere
    ],
)
def test_as_many_cores_are_used_as_divide_every_batch(
    monkeypatch, cores, batch_sizes, used
):
    for name in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    said = {}
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(jax.config, "update", said.__setitem__)
    devices.use_every_core(*batch_sizes)
    assert said == {"jax_num_cpu_devices": used}


def test_who_says_how_many_devices_there_are_is_heeded(monkeypatch):
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "3")
    monkeypatch.setattr(jax.config, "update", None)
    devices.use_every_core(8)


@pytest.mark.parametrize(
    ("batch_size", "parts", "refusal"),
    [
        (18, 1, None),
        (18, 3, None),
        (16, 1, "batch_size 16 does not divide over 3 devices: take 15 or 18, or few"),
        (2, 1, "batch_size 2 does not divide over 3 devices: take 3, or fewer devices"),
        (12, 8, r"over 3 devices in 8 parts \(optim.accumulate_steps\): take 24, or"),
        (30, 4, "take 24 or 36, or fewer devices .JAX_NUM_CPU_DEVICES=1"),
    ],
)
def test_a_batch_that_does_not_divide_is_refused_with_those_that_do(
    monkeypatch, batch_size, parts, refusal
):
    for name in ("device_count", "local_device_count"):
        monkeypatch.setattr(jax, name, lambda: 3)
    if refusal is None:
        devices.check_split("train", batch_size, parts=parts)
        return
    with pytest.raises(ValueError, match=refusal):
        devices.check_split("train", batch_size, parts=parts)


ON_TWO = """
import jax
import numpy as np
from configs import base
from poseseg_jax import config, devices, train_step
from tests.targets_oracle import SIDE, scene

changed = base.get_config("tiny")
changed.update({
    "model": {"width": 0.1, "neck_channels": 8},
    "optim": {"accumulate_steps": 2},
    "train": {"batch_size": 4, "image_size": SIDE},
})
assert jax.device_count() == 2
init, step = train_step.build(config.parse(changed.to_dict()))
state = jax.jit(init)()
batch = jax.tree.map(lambda *leaves: np.stack(leaves), *map(scene, range(4)))
one, alone = jax.jit(step)(state, batch)
state = jax.device_put(state, devices.everywhere())
two, together = jax.jit(step)(state, devices.put(batch))
assert alone["total"] > 0
for name in alone:
    np.testing.assert_allclose(together[name], alone[name], rtol=1e-4, err_msg=name)
for a, b in zip(*map(jax.tree.leaves, (one.batch_stats, two.batch_stats))):
    np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-4)
"""


def test_parts_on_two_devices_are_as_good_as_on_one():
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": "2",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", ON_TWO],
        cwd=documented.REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
