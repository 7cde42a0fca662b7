"""What a network costs: parameters, multiply-adds and what its gradient keeps.

    python -m benchmarks.model --size=641

Nothing is run. Multiply-adds are half of the floating-point operations that XLA counts
in the program for one picture, without those on padding. What is kept for the gradient
lies between the pass forward and the pass backward as JAX hands them to XLA, which may
keep less. A network is that of configs/base.py but for what its row says.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from benchmarks import report
from benchmarks.report import Row
from configs import base
from poseseg_jax import config as config_lib
from poseseg_jax.models import poseseg, resnet
from poseseg_jax.models.poseseg import ModelSettings, PoseSeg

_SMALL = 33
_REFERENCE = "resnet101 3x3 s16"
# What differs from the base config, and how a row calls it.
_CHANGES: dict[str, dict[str, Any]] = {
    "network": {},
    "network, refine_steps=0": {"refine_steps": 0},
    "network, body_map=False": {"body_map": False},
    "network, neck=upsample": {"neck": "upsample"},
    "network, refine_stages=1": {"refine_stages": 1},
    "network, refine_stages=1 refine_channels=128": {
        "refine_stages": 1,
        "refine_channels": 128,
    },
    "network, refine_stages=2": {"refine_stages": 2},
}


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one network and one picture.

    Attributes:
      parameters: how many.
      multiply_adds: of the pass forward.
    """

    parameters: int
    multiply_adds: float


def backbone_cost(
    name: str, *, bottleneck_stride: str, output_stride: int, size: int
) -> Cost:
    """Of a ResNet without its classifier.

    Args:
      name: one of resnet.RESNETS.
      bottleneck_stride: one of resnet.BOTTLENECK_STRIDES.
      output_stride: one of resnet.OUTPUT_STRIDES.
      size: input side, px.
    """
    norm = partial(nn.BatchNorm, use_running_average=True)
    conv = partial(resnet.conv_layer, use_bias=False)
    backbone = resnet.build_resnet(
        name,
        output_stride=output_stride,
        bottleneck_stride=bottleneck_stride,
        conv=conv,
        norm=norm,
    )
    images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    return _cost(backbone.init, backbone.apply, images)


def network_cost(*, size: int, **changes: Any) -> Cost:
    """Of the base config's network.

    Args:
      size: input side, px.
      **changes: fields of `model` that differ.
    """
    network = _network(**changes)
    images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.uint8)
    return _cost(
        partial(network.init, train=False), partial(network.apply, train=False), images
    )


def kept_for_gradient(*, size: int, **changes: Any) -> float:
    """Bytes between the two passes of a training step, per picture.

    Args:
      size: input side, px.
      **changes: fields of `model` that differ.
    """
    network = _network(**changes)
    images = jax.ShapeDtypeStruct((1, size, size, 3), jnp.uint8)

    def back(key: jax.Array, images: jax.Array) -> Any:
        variables: Any = network.init(key, images, train=False)

        def said(params: Any) -> Any:
            return network.apply(
                {**variables, "params": params},
                images,
                train=True,
                mutable=["batch_stats"],
            )

        return jax.vjp(said, variables["params"], has_aux=True)[1], variables["params"]

    kept, params = jax.eval_shape(back, jax.random.key(0), images)
    return _bytes(kept) - _bytes(params)


def main(argv: Sequence[str]) -> list[Row]:
    """Counts for every backbone, and for the base config with one thing changed."""
    flags = report.parser("model", __doc__, repeats=False)
    flags.add_argument("--size", type=int, default=641, help="input side, px")
    given = flags.parse_args(argv)
    size = _SMALL if given.smallest else given.size
    names = ["resnet18"] if given.smallest else list(resnet.RESNETS)
    changes = {"network": {"backbone": names[0]}} if given.smallest else _CHANGES
    return [
        *_backbone_rows(names, size),
        *_network_rows(size, changes),
        *_memory_rows(size, changes["network"]),
    ]


def _network(**changes: Any) -> PoseSeg:
    settings = config_lib.parse(base.get_config().to_dict())
    model: ModelSettings = dataclasses.replace(settings.model, **changes)
    return poseseg.build(model, settings.representation)


def _cost(init: Any, apply: Any, images: jax.ShapeDtypeStruct) -> Cost:
    variables = jax.eval_shape(init, jax.random.key(0), images)
    counted: Any = jax.jit(apply).lower(variables, images).cost_analysis()
    parameters = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    return Cost(parameters, counted["flops"] / 2)


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _backbone_rows(names: Sequence[str], size: int) -> list[Row]:
    found = {}
    for name in names:
        deep = resnet.RESNETS[name][0] is resnet.Bottleneck
        for stride_in in resnet.BOTTLENECK_STRIDES[: 2 if deep else 1]:
            for stride in reversed(resnet.OUTPUT_STRIDES):
                kind = f"{stride_in} " if deep else ""
                found[f"{name} {kind}s{stride}"] = backbone_cost(
                    name, bottleneck_stride=stride_in, output_stride=stride, size=size
                )
    return _rows(found, _REFERENCE if _REFERENCE in found else next(iter(found)))


def _network_rows(size: int, changes: dict[str, dict[str, Any]]) -> list[Row]:
    found = {name: network_cost(size=size, **its) for name, its in changes.items()}
    return _rows(found, "network")


def _rows(costs: dict[str, Cost], reference: str) -> list[Row]:
    most = costs[reference].multiply_adds
    return [
        Row(
            name,
            cost.multiply_adds / 1e9,
            "G multiply-adds",
            reference,
            cost.multiply_adds / most,
            f"{cost.parameters / 1e6:.2f} M parameters",
        )
        for name, cost in costs.items()
    ]


def _memory_rows(size: int, changes: dict[str, Any]) -> list[Row]:
    plain, again = (
        kept_for_gradient(size=size, remat=remat, **changes) for remat in (False, True)
    )
    return [
        Row("kept for the gradient", plain / 1e9, "GB a picture"),
        Row(
            "kept for the gradient, remat=True",
            again / 1e9,
            "GB a picture",
            "kept for the gradient",
            again / plain,
        ),
    ]


if __name__ == "__main__":
    report.run("model", main)
