"""Checks of a config that are about one field at a time."""

import dataclasses
from collections.abc import Callable
from typing import Any

from poseseg_jax.coco.annotations import ON_ERROR
from poseseg_jax.data.bias import HEAD_COUNTS, REDUCED_BY, check_reduction
from poseseg_jax.data.labels import LABELS
from poseseg_jax.losses import LossSettings
from poseseg_jax.representation import MASKS
from poseseg_jax.structs import MAX_PEOPLE

_CHOICES: dict[str, tuple[Any, ...]] = {
    "data.reduction_by": REDUCED_BY,
    "data.head_count": HEAD_COUNTS,
    "data.on_error": ON_ERROR,
    "data.labels": LABELS,
    "representation.masks": MASKS,
    "optim.name": ("adamw", "sgd"),
    "optim.schedule": ("cosine", "constant"),
    "init.what": ("backbone", "all", "nothing"),
}

_AT_LEAST = {
    "representation.radius": 1,
    "representation.body_sigma": 1e-3,
    "train.seed": 0,
    "data.embedded_train": 1,
    "data.embedded_val": 1,
    "train.num_steps": 1,
    "train.batch_size": 1,
    "train.log_every": 1,
    "checkpoint.every_steps": 1,
    "checkpoint.keep": 1,
    "eval.every_steps": 0,
    "eval.zoom": 0.1,
    "eval.batch_size": 1,
    "eval.overlays": 0,
    "eval.worst": 0,
    "optim.learning_rate": 0,
    "optim.warmup_steps": 0,
    "optim.weight_decay": 0,
    "optim.clip": 0,
    "optim.reference_batch_size": 0,
    "optim.backbone_rate": 0,
    "optim.layer_decay": 0,
    "optim.freeze_stages": 0,
    "optim.accumulate_steps": 1,
    "init.step": 0,
    "init.distill_weight": 0,
    "decode.peak_threshold": 1e-6,
    "decode.peaks_per_anchor": 1,
    "decode.max_people": 1,
    "decode.suppression_radius": 0.01,
    "decode.center_stride": 1,
    "decode.center_radius": 0,
    "decode.center_radius_min": 0,
    "decode.center_scale": 0,
    "decode.snap_radius": 0,
    "decode.refine_steps": 0,
    "decode.found_threshold": 1e-6,
    "decode.body_weight": 0,
    "decode.mask_threshold": 0.01,
    "data.order_seed": 0,
    "data.max_people": 1,
    "data.num_workers": 0,
    **{f"loss.{field.name}": 0 for field in dataclasses.fields(LossSettings)},
}


def check_values(value_of: Callable[[str], Any]) -> None:
    """Refuses values that make no sense, whatever the others are.

    Args:
      value_of: gives the value of a field by its name, as "train.batch_size".

    Raises:
      ValueError: naming the field, its value and what was expected.
    """
    check_reduction(value_of("data.reduction"))
    for name, choices in _CHOICES.items():
        if value_of(name) not in choices:
            raise ValueError(f"{name} is {value_of(name)!r}; there are {choices}.")
    for name, smallest in _AT_LEAST.items():
        if not smallest <= value_of(name) < float("inf"):
            raise ValueError(
                f"{name} is {value_of(name)}; it must be at least {smallest}."
            )
    scales = value_of("eval.scales")
    if not scales or not all(0.1 <= scale < 100 for scale in scales):
        raise ValueError(
            f"eval.scales is {scales}; it must name one scale or more, 0.1 to 100."
        )
    for name in ("optim.ema", "optim.momentum"):
        if not 0 <= value_of(name) < 1:
            raise ValueError(f"{name} is {value_of(name)}; it must be in [0, 1).")
    max_people = value_of("data.max_people")
    if max_people > MAX_PEOPLE:
        raise ValueError(
            f"data.max_people is {max_people}; a people map has codes for "
            f"{MAX_PEOPLE} at most."
        )
