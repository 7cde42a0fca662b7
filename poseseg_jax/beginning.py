"""What a run begins with: its programs, and what was learned before it.

Of an ancestor, a run sees the same checkpoint from its first step to its last, also
when it goes on after a stop: `settled` says which, and the run remembers it.
"""

import dataclasses
import functools
import logging

import jax
import jax.numpy as jnp

from poseseg_jax import ancestor, devices, hosts, train_step
from poseseg_jax.config import Settings
from poseseg_jax.models import pretrained
from poseseg_jax.structs import TrainState

_log = logging.getLogger(__name__)


def check(settings: Settings) -> None:
    """Refuses what a run cannot begin with, at once: the rest takes minutes.

    Raises:
      ValueError: if there is no such ancestor, or no file of pretrained weights.
    """
    ancestor.check(settings.init)
    if settings.model.pretrained:
        pretrained.check(settings.model.pretrained)


def settled(settings: Settings) -> Settings:
    """As of ancestor.py, and the same on all hosts."""
    step = hosts.told(lambda: ancestor.settled(settings).init.step)
    return ancestor.at_step(settings, step)


def state(settings: Settings) -> TrainState:
    """The state before the first step, on all devices."""
    init, _ = train_step.build(settings)
    return jax.jit(init, out_shardings=devices.everywhere())()


def step(settings: Settings) -> train_step.Step:
    """The step, which donates its state. It is compiled when it is called.

    Args:
      settings: settled.

    Raises:
      ValueError: if there is no such ancestor, or nothing can be learned from it.
    """
    teacher = ancestor.teacher(settings)
    _, step = train_step.build(settings, teacher and teacher.settings)
    step = jax.jit(step, donate_argnums=0)
    if teacher:
        _log.info("Learning from the maps of step %d, too.", teacher.step)
        # An argument: as constants, they would be compiled into the program.
        variables = jax.device_put(teacher.variables, devices.everywhere())
        step = functools.partial(step, ancestor=variables)
    return step


def take_over(state: TrainState, settings: Settings) -> TrainState:
    """Puts in what was learned before this run, where the config says so.

    Args:
      state: before the first step.
      settings: settled.

    Raises:
      ValueError: if there is no such file or ancestor, or it does not fit.
    """
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    if settings.model.pretrained:
        variables, report = pretrained.load_backbone(
            settings.model.pretrained, variables, settings=settings.model
        )
        _log.info("%s: %s", settings.model.pretrained, report)
    elif settings.init.gives_parameters:
        variables, report = ancestor.inherit(variables, settings=settings)
        _log.info("Begins with %s.", report)
    else:
        return state
    variables = jax.device_put(variables, devices.everywhere())
    return dataclasses.replace(
        state, **variables, ema=jax.tree.map(jnp.copy, variables["params"])
    )
