"""Where there is PyTorch, the twin is the same network with the same loss."""

import dataclasses

import jax
import numpy as np
import pytest

from benchmarks import torch_twin, train_step
from benchmarks.torch_twin import Twin
from configs import base
from poseseg_jax import config
from poseseg_jax import train_step as ours
from poseseg_jax.models import poseseg

needs_torch = pytest.mark.skipif(
    not torch_twin.is_installed(), reason="torch is not installed"
)
NETWORKS = [
    {"backbone": "tiny", "width": 0.3, "refine_steps": 2},
    {"backbone": "resnet18", "neck": "upsample", "body_map": False},
    {"backbone": "resnet50", "output_stride": 8, "bottleneck_stride": "1x1"},
]


def settings(**model):
    fields = base.get_config("tiny").to_dict()
    fields["model"] |= {"neck_channels": 16, **model}
    fields["train"] |= {"image_size": 65, "batch_size": 2}
    return config.parse(fields)


@needs_torch
@pytest.mark.parametrize("model", NETWORKS, ids=lambda model: model["backbone"])
def test_it_says_and_learns_the_same(model):
    chosen = settings(**model)
    init, step = ours.build(chosen)
    state = jax.jit(init)()
    variables = jax.device_get(
        {"params": state.params, "batch_stats": state.batch_stats}
    )
    batch = train_step._batch(chosen)
    network = poseseg.build(chosen.model, chosen.representation)
    said, _ = jax.jit(
        lambda v, x: network.apply(v, x, train=True, mutable=["batch_stats"])
    )(variables, batch.image)
    twin = Twin(chosen, variables, device="cpu", is_compiled=False)
    count = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    assert twin.num_parameters == count
    place = twin.put(batch, jax.device_get(train_step._targets(chosen, batch)))
    for theirs, expected in zip(twin.maps(place[0]), said, strict=True):
        for field in dataclasses.fields(expected):
            a, b = (np.asarray(getattr(m, field.name)) for m in (theirs, expected))
            np.testing.assert_allclose(
                a, b, atol=2e-3 * np.abs(b).max(), err_msg=field.name
            )
    step = jax.jit(step)
    for error in (1e-4, 5e-3):  # before and after the first update
        state, report = step(state, batch)
        loss = float(twin.step(*place))
        assert loss == pytest.approx(float(report["total"]), rel=error)


@needs_torch
@pytest.mark.parametrize("model", [{"refine_stages": 1}, {"remat": True}])
def test_what_it_does_not_know_is_refused(model):
    with pytest.raises(ValueError, match=f"does not know model.{next(iter(model))}"):
        Twin(settings(**model), {}, device="cpu", is_compiled=False)


def test_without_torch_it_is_said_and_ours_is_measured(monkeypatch):
    monkeypatch.setattr(torch_twin, "is_installed", lambda: False)
    rows = {row.name: row for row in train_step.main(["--smallest"])}
    name = "tiny, 65 px, batch of 2, {}"
    assert rows[name.format("PyTorch")].note == "torch is not installed"
    assert rows[name.format("ours, step")].value > 0
