"""What a run takes over from one before it: its ancestor.

In MultiPoseSeg's feedback transfer each network begins with what the one before, which
was trained on less reduced data, has learned; in the released code that is the previous
checkpoint without the heads. Here a run names its ancestor's workdir in `init` of its
config, takes the parameters of its backbone or all of them, and may go on learning from
its maps (see distillation.py). The data of the two need not be the same, and nothing
is kept of the ancestor's optimiser, schedule or step.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from poseseg_jax import inference
from poseseg_jax.config import InitSettings, Settings
from poseseg_jax.geometry import check_side
from poseseg_jax.inference import Trained, Variables
from poseseg_jax.models import poseseg
from poseseg_jax.skeleton import SKELETONS
from poseseg_jax.stored import named

_SHOWN = 8
# Where the ancestor's own beginnings were, as its checkpoint has more than they; and
# how gradients are computed.
_IRRELEVANT = ("pretrained", "pretrained_partial", "remat")


@dataclass(frozen=True)
class Report:
    """What a run begins with.

    Attributes:
      origin: the ancestor's workdir and step.
      taken: names of the arrays that are the ancestor's, as `params/heads/mid/kernel`.
      fresh: names of those that are not.
      otherwise: fields of `model` and `representation` in which the two differ:
        "group.field: the ancestor's -> this run's".
    """

    origin: str
    taken: tuple[str, ...]
    fresh: tuple[str, ...]
    otherwise: tuple[str, ...]

    def __str__(self) -> str:
        taken = f"{_parts(self.taken)} ({len(self.taken)} arrays) from {self.origin}"
        fresh = f"; {_parts(self.fresh)} start fresh" if self.fresh else ""
        other = f"; it had {', '.join(self.otherwise)}" if self.otherwise else ""
        return f"{taken}{fresh}{other}"


def check(settings: InitSettings) -> None:
    """Looks for the ancestor and the step, and reads nothing of them.

    Raises:
      ValueError: if there is no such ancestor or step.
    """
    if not settings.workdir:
        return
    workdir = Path(settings.workdir)
    try:
        inference.read_settings(workdir)
    except ValueError as error:
        raise ValueError(f"init.workdir {workdir}: {error}") from error
    steps = inference.steps_of(workdir)
    if not steps or settings.step not in (0, *steps):
        what = f"step {settings.step}" if settings.step else "any step"
        raise ValueError(
            f"init.workdir {workdir} has no checkpoint of {what}; there are {steps}."
        )


def settled(settings: Settings) -> Settings:
    """The settings with the number of the ancestor's latest step, where that is meant.

    To be called once in the life of a run: the ancestor may be trained further.

    Raises:
      ValueError: if there is no such ancestor.
    """
    init = settings.init
    if not init.workdir or init.step:
        return settings
    try:
        return at_step(settings, inference.latest_step(Path(init.workdir)))
    except ValueError as error:
        raise ValueError(f"init.workdir {init.workdir}: {error}") from error


def at_step(settings: Settings, step: int) -> Settings:
    """The settings with another `init.step`."""
    init = dataclasses.replace(settings.init, step=step)
    return dataclasses.replace(settings, init=init)


def inherit(variables: Variables, *, settings: Settings) -> tuple[Variables, Report]:
    """Puts an ancestor's averaged parameters and statistics into a network.

    Args:
      variables: {"params", "batch_stats"} of the network; only names and shapes are
        read of what is replaced.
      settings: of the run; `init` says of whom, of which step, and what.

    Returns:
      (variables with what is taken replaced, report).

    Raises:
      ValueError: if there is no such ancestor, or naming every array (up to a few) that
        does not fit.
    """
    trained = _restore(settings.init)
    theirs, ours = named(trained.variables), named(variables)
    if settings.init.what == "backbone":
        theirs = {name: leaf for name, leaf in theirs.items() if _is_backbone(name)}
    wanted = {
        name: leaf
        for name, leaf in ours.items()
        if settings.init.what == "all" or _is_backbone(name)
    }
    _check_fit(theirs, wanted, trained, settings)
    inherited = [theirs.get(name, leaf) for name, leaf in ours.items()]
    report = Report(
        origin=f"{settings.init.workdir}, step {trained.step}",
        taken=tuple(wanted),
        fresh=tuple(name for name in ours if name not in wanted),
        otherwise=tuple(_differences(trained.settings, settings)),
    )
    return jax.tree.unflatten(jax.tree.structure(variables), inherited), report


def teacher(settings: Settings) -> Trained | None:
    """The ancestor whose maps a run learns from; None with `init.distill_weight` 0.

    Raises:
      ValueError: if there is no such ancestor or step, if its maps mean something else,
        or if it cannot see pictures of this size.
    """
    if not settings.init.distill_weight:
        return None
    try:
        trained = _restore(settings.init)
    except ValueError as error:
        raise ValueError(
            f"{error} From its first step to its last, a run learns from the maps of "
            f"one step of its ancestor (init.distill_weight): {settings.init.step}."
        ) from error
    other = [
        difference
        for difference in _differences(trained.settings, settings)
        if difference.startswith("representation.")
    ]
    if other:
        raise ValueError(
            f"init.workdir {settings.init.workdir} has maps that mean something else, "
            f"so nothing can be learned from them (init.distill_weight): "
            f"{'; '.join(other)}."
        )
    try:
        stride = poseseg.largest_stride(trained.settings.model)
        check_side(settings.train.image_size, stride)
    except ValueError as error:
        raise ValueError(
            f"train.image_size does not suit init.workdir {settings.init.workdir}, "
            f"whose maps are asked for (init.distill_weight): {error}"
        ) from None
    return trained


def _restore(settings: InitSettings) -> Trained:
    try:
        return inference.restore(Path(settings.workdir), step=settings.step or None)
    except ValueError as error:
        raise ValueError(f"init.workdir {settings.workdir}: {error}") from error


def _check_fit(
    theirs: dict[str, Any], wanted: dict[str, Any], trained: Trained, settings: Settings
) -> None:
    problems = [
        f"{name}: {_shape(theirs, name)} there, {_shape(wanted, name)} here"
        for name in sorted(theirs.keys() | wanted.keys())
        if _shape(theirs, name) != _shape(wanted, name)
    ]
    strides = [s.model.bottleneck_stride for s in (trained.settings, settings)]
    if poseseg.has_bottlenecks(settings.model) and strides[0] != strides[1]:
        # The shapes are the same, but no array would do what it has learned.
        problems.append(
            f"model.bottleneck_stride: {strides[0]} there, {strides[1]} here"
        )
    if problems:
        more = len(problems) - _SHOWN
        shown = problems[:_SHOWN] + ([f"and {more} more"] if more > 0 else [])
        raise ValueError(
            f"init.workdir {settings.init.workdir} does not fit, with init.what "
            f"{settings.init.what!r}:\n  " + "\n  ".join(shown) + "\nCompare `model` "
            "and `representation` of its config.json with this run's; init.what "
            '"backbone" asks for the same backbone only.'
        )


def _shape(leaves: dict[str, Any], name: str) -> str:
    return str(list(leaves[name].shape)) if name in leaves else "nothing"


def _differences(theirs: Settings, ours: Settings) -> list[str]:
    """Fields of network and representation that differ, with both values."""
    found = []
    for group in ("model", "representation"):
        old, new = getattr(theirs, group), getattr(ours, group)
        for name in (field.name for field in dataclasses.fields(old)):
            before, after = getattr(old, name), getattr(new, name)
            if before != after and name not in _IRRELEVANT:
                found.append(f"{group}.{name}: {_word(before)} -> {_word(after)}")
    return found


def _word(value: Any) -> str:
    names = [name for name, skeleton in SKELETONS.items() if skeleton == value]
    return repr(names[0] if names else value)


def _is_backbone(name: str) -> bool:
    return name.split("/")[1] == "backbone"


def _parts(names: tuple[str, ...]) -> str:
    """The parts of the network that arrays belong to."""
    return ", ".join(sorted({name.split("/")[1] for name in names}))
