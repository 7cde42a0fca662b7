"""ConfigDict -> Settings: frozen, typed, and checked once, before anything is built.

Below `train.py`, `evaluate.py` and `inference.py` nobody sees a config. Settings of a
layer are defined in that layer; those of the run itself are defined here.
"""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from poseseg_jax import checks
from poseseg_jax.coco.annotations import ON_ERROR
from poseseg_jax.data.augment import AugmentSettings
from poseseg_jax.data.bias import HEAD_COUNTS, REDUCED_BY, check_reduction
from poseseg_jax.data.labels import LABELS
from poseseg_jax.data.prepared import DataSettings
from poseseg_jax.decode.settings import DecodeSettings
from poseseg_jax.fields import check_names
from poseseg_jax.geometry import check_side
from poseseg_jax.losses import LossSettings
from poseseg_jax.models import poseseg
from poseseg_jax.models.poseseg import ModelSettings
from poseseg_jax.representation import MASKS, Representation
from poseseg_jax.skeleton import SKELETONS
from poseseg_jax.structs import MAX_PEOPLE


@dataclass(frozen=True)
class OptimSettings:
    """See `optim` in configs/base.py."""

    name: str
    learning_rate: float
    reference_batch_size: int
    warmup_steps: int
    schedule: str
    weight_decay: float
    clip: float
    momentum: float
    backbone_rate: float
    layer_decay: float
    freeze_stages: int
    accumulate_steps: int
    ema: float


@dataclass(frozen=True)
class InitSettings:
    """See `init` in configs/base.py."""

    workdir: str
    what: str
    step: int
    distill_weight: float


@dataclass(frozen=True)
class TrainSettings:
    """See `train` in configs/base.py."""

    num_steps: int
    batch_size: int
    image_size: int
    seed: int
    log_every: int


@dataclass(frozen=True)
class CheckpointSettings:
    """See `checkpoint` in configs/base.py."""

    every_steps: int
    keep: int


@dataclass(frozen=True)
class EvalSettings:
    """See `eval` in configs/base.py."""

    every_steps: int
    zoom: float
    scales: tuple[float, ...]
    flip: bool
    batch_size: int
    overlays: int
    worst: int


@dataclass(frozen=True)
class Settings:
    """A whole run, group by group as in configs/base.py, and what is in no group."""

    data: DataSettings
    augment: AugmentSettings
    representation: Representation
    model: ModelSettings
    loss: LossSettings
    decode: DecodeSettings
    optim: OptimSettings
    init: InitSettings
    train: TrainSettings
    checkpoint: CheckpointSettings
    eval: EvalSettings
    profile: bool

    @property
    def eval_image_size(self) -> int:
        """Input side of evaluation, px: training's times `eval.zoom`, made to fit."""
        stride = poseseg.largest_stride(self.model)
        cells = round((self.train.image_size - 1) * self.eval.zoom / stride)
        return max(cells, 1) * stride + 1


# The Settings of each group.
GROUPS: dict[str, type] = {
    field.name: field.type
    for field in dataclasses.fields(Settings)
    if dataclasses.is_dataclass(field.type)
}  # type: ignore[assignment]
_NAMES = tuple(field.name for field in dataclasses.fields(Settings))


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


def parse(config: Mapping[str, Any]) -> Settings:
    """The checked settings of a config.

    Raises:
      ValueError: naming the field, its value and what was expected.
    """
    check_names("config", config, _NAMES)
    groups: dict[str, dict[str, Any]] = {name: dict(config[name]) for name in GROUPS}
    skeleton = groups["representation"].get("skeleton")
    if skeleton not in SKELETONS:
        raise ValueError(
            f"representation.skeleton is {skeleton!r}; there are {tuple(SKELETONS)}."
        )
    groups["representation"]["skeleton"] = SKELETONS[skeleton]
    alone = {name: config[name] for name in _NAMES if name not in GROUPS}
    settings = Settings(
        **{name: _build(name, kind, groups[name]) for name, kind in GROUPS.items()},
        **alone,
    )
    check(settings)
    return settings


def _build(group: str, kind: type, values: dict[str, Any]):
    names = [field.name for field in dataclasses.fields(kind)]
    check_names(group, values, names)
    # A tuple comes back from config.json as a list.
    return kind(**{n: tuple(v) if type(v) is list else v for n, v in values.items()})


def check(settings: Settings) -> None:
    """Refuses settings that make no sense; errors as of `parse`."""
    poseseg.build(settings.model, settings.representation)
    check_side(settings.train.image_size, poseseg.largest_stride(settings.model))
    _check_values(settings)
    checks.check_read(
        settings.model,
        freeze_stages=settings.optim.freeze_stages,
        what=settings.init.what,
        workdir=settings.init.workdir,
    )
    _check_beginning(settings)
    batch, parts = settings.train.batch_size, settings.optim.accumulate_steps
    if batch % parts:
        raise ValueError(
            f"train.batch_size {batch} does not divide into {parts} equal parts, as "
            "optim.accumulate_steps asks."
        )
    representation = settings.representation
    checks.check_labels(settings.data.labels, representation)
    checks.check_strides(representation, settings.decode.center_stride)
    if settings.decode.center_radius_min > settings.decode.center_radius:
        raise ValueError(
            f"decode.center_radius_min {settings.decode.center_radius_min} must not "
            f"exceed decode.center_radius {settings.decode.center_radius}."
        )
    roots = len(representation.skeleton.roots)
    cells = (settings.eval_image_size // representation.map_stride + 1) ** 2
    slots = roots * min(settings.decode.peaks_per_anchor, cells)
    if settings.decode.max_people > slots:
        raise ValueError(
            f"decode.max_people is {settings.decode.max_people}, but "
            f"decode.peaks_per_anchor leaves at most {slots} candidates."
        )


def _check_beginning(settings: Settings) -> None:
    """Of what the network begins with, and of what is to stay so."""
    init, pretrained = settings.init, settings.model.pretrained
    inherits = init.workdir and init.what != "nothing"
    if inherits and pretrained:
        raise ValueError(
            f"init.workdir {init.workdir} and model.pretrained {pretrained} both give "
            'the backbone; set one of them to "".'
        )
    kept = {
        "model.norm": settings.model.norm == "frozen",
        "optim.freeze_stages": settings.optim.freeze_stages > 0,
    }
    for name in (name for name, is_kept in kept.items() if is_kept):
        if not inherits and not pretrained:
            raise ValueError(
                f"{name} is {_value_of(settings, name)!r}, but neither "
                "model.pretrained nor init.workdir gives the backbone values that are "
                "worth keeping."
            )
    if not init.workdir and (init.distill_weight or init.step):
        raise ValueError(
            f"init.step is {init.step} and init.distill_weight {init.distill_weight}, "
            "but init.workdir names no ancestor."
        )
    if init.workdir and not inherits and not init.distill_weight:
        raise ValueError(
            f'init.workdir is {init.workdir}, but with init.what "nothing" and '
            "init.distill_weight 0 nothing comes from it."
        )


def _value_of(settings: Settings, name: str) -> Any:
    group, field = name.split(".")
    return getattr(getattr(settings, group), field)


def _check_values(settings: Settings) -> None:
    """What can be said of a field alone."""
    value_of = functools.partial(_value_of, settings)
    check_reduction(settings.data.reduction)
    for name, choices in _CHOICES.items():
        if value_of(name) not in choices:
            raise ValueError(f"{name} is {value_of(name)!r}; there are {choices}.")
    for name, smallest in _AT_LEAST.items():
        if not smallest <= value_of(name) < float("inf"):
            raise ValueError(
                f"{name} is {value_of(name)}; it must be at least {smallest}."
            )
    scales = settings.eval.scales
    numbers = [s for s in scales if isinstance(s, int | float) and 0.1 <= s < 100]
    if not scales or len(numbers) < len(scales):
        raise ValueError(
            f"eval.scales is {scales}; it must name one scale or more, 0.1 to 100."
        )
    for name in ("optim.ema", "optim.momentum"):
        if not 0 <= value_of(name) < 1:
            raise ValueError(f"{name} is {value_of(name)}; it must be in [0, 1).")
    if settings.data.max_people > MAX_PEOPLE:
        raise ValueError(
            f"data.max_people is {settings.data.max_people}; a people map has codes "
            f"for {MAX_PEOPLE} at most."
        )
