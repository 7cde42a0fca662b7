"""What a run begins with: its programs, and what was learned before it."""

import dataclasses
import functools
import logging
from collections.abc import Callable

import jax
import jax.numpy as jnp

from poseseg_jax import ancestor, devices, train_step
from poseseg_jax.config import Settings
from poseseg_jax.models import pretrained
from poseseg_jax.structs import TrainState

_log = logging.getLogger(__name__)


def programs(settings: Settings) -> tuple[Callable[[], TrainState], train_step.Step]:
    """The state before the first step, and the step, which donates its state.

    Both are compiled when they are called.

    Raises:
      ValueError: if there is no such ancestor, or nothing can be learned from it.
    """
    teacher = ancestor.teacher(settings)
    init, step = train_step.build(settings, teacher and teacher.settings)
    init = jax.jit(init, out_shardings=devices.everywhere())
    step = jax.jit(step, donate_argnums=0)
    if teacher:
        _log.info("Learning from the maps of step %d, too.", teacher.step)
        # An argument: as constants, they would be compiled into the program.
        variables = jax.device_put(teacher.variables, devices.everywhere())
        step = functools.partial(step, ancestor=variables)
    return init, step


def take_over(state: TrainState, settings: Settings) -> TrainState:
    """Puts in what was learned before this run, where the config says so.

    Raises:
      ValueError: if there is no such file or ancestor, or it does not fit.
    """
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    if settings.model.pretrained:
        variables, report = pretrained.load_backbone(
            settings.model.pretrained, variables, settings=settings.model
        )
        _log.info("%s: %s", settings.model.pretrained, report)
    elif ancestor.gives_parameters(settings.init):
        variables, report = ancestor.inherit(variables, settings=settings)
        _log.info("Begins with %s.", report)
    else:
        return state
    variables = jax.device_put(variables, devices.everywhere())
    return dataclasses.replace(
        state, **variables, ema=jax.tree.map(jnp.copy, variables["params"])
    )
