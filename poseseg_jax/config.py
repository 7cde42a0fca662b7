"""ConfigDict -> Settings: frozen, typed, and checked once, before anything is built.

A config is seen by those alone who take one from the command line (`main`, `train`,
`data.inspect`), keep one in config.json (`workdir`, `inference`, `export`), or describe
it (`pages.config_page`). Everybody else is given Settings. Those of a layer are defined
in that layer; those of the run itself are defined here.
"""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from poseseg_jax import checks, ranges
from poseseg_jax.data.augment import AugmentSettings
from poseseg_jax.data.settings import DataSettings
from poseseg_jax.decode.settings import DecodeSettings
from poseseg_jax.fields import as_kind, check_names
from poseseg_jax.geometry import check_side
from poseseg_jax.losses import LossSettings
from poseseg_jax.models import poseseg
from poseseg_jax.models.poseseg import ModelSettings
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import SKELETONS


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

    @property
    def gives_parameters(self) -> bool:
        """Whether a run begins with parameters of an ancestor."""
        return bool(self.workdir) and self.what != "nothing"


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


def _kinds(settings: type) -> dict[str, Any]:
    return {field.name: field.type for field in dataclasses.fields(settings)}


_KINDS = _kinds(Settings)
# The Settings of each group.
GROUPS: dict[str, type] = {
    name: kind
    for name, kind in _KINDS.items()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind)
}


def parse(config: Mapping[str, Any]) -> Settings:
    """The checked settings of a config.

    Raises:
      ValueError: naming the field, its value and what was expected.
    """
    check_names("config", _named("the config", config), _KINDS)
    groups = {name: _named(name, config[name]) for name in GROUPS}
    skeleton = groups["representation"].get("skeleton")
    if not isinstance(skeleton, str) or skeleton not in SKELETONS:
        raise ValueError(
            f"representation.skeleton is {skeleton!r}; there are {tuple(SKELETONS)}."
        )
    groups["representation"]["skeleton"] = SKELETONS[skeleton]
    settings = Settings(
        **{name: _build(name, kind, groups[name]) for name, kind in GROUPS.items()},
        **{
            name: as_kind(name, kind, config[name])
            for name, kind in _KINDS.items()
            if name not in GROUPS
        },
    )
    check(settings)
    return settings


def _named(what: str, values: Any) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise ValueError(f"{what} is {values!r}; expected fields with their names.")
    return dict(values)


def _build(group: str, kind: type, values: dict[str, Any]):
    kinds = _kinds(kind)
    check_names(group, values, kinds)
    return kind(**{n: as_kind(f"{group}.{n}", kinds[n], v) for n, v in values.items()})


def check(settings: Settings) -> None:
    """Refuses settings that make no sense; errors as of `parse`."""
    poseseg.build(settings.model, settings.representation)
    check_side(settings.train.image_size, poseseg.largest_stride(settings.model))
    ranges.check_values(functools.partial(_value_of, settings))
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
    if init.gives_parameters and pretrained:
        raise ValueError(
            f"init.workdir {init.workdir} and model.pretrained {pretrained} both give "
            'the backbone; set one of them to "".'
        )
    kept = {
        "model.norm": settings.model.norm == "frozen",
        "optim.freeze_stages": settings.optim.freeze_stages > 0,
    }
    for name in (name for name, is_kept in kept.items() if is_kept):
        if not init.gives_parameters and not pretrained:
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
    if init.workdir and not init.gives_parameters and not init.distill_weight:
        raise ValueError(
            f'init.workdir is {init.workdir}, but with init.what "nothing" and '
            "init.distill_weight 0 nothing comes from it."
        )


def _value_of(settings: Settings, name: str) -> Any:
    group, field = name.split(".")
    return getattr(getattr(settings, group), field)
