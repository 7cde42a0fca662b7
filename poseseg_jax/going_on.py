"""What changes for a run that goes on with another config."""

import logging
from pathlib import Path

import numpy as np

from poseseg_jax import inference, optim
from poseseg_jax.config import Settings

_log = logging.getLogger(__name__)


def warn_of_another_rate(workdir: Path, settings: Settings, step: int) -> None:
    """Says so where the learning rate jumps, as a cosine does with another end.

    Args:
      workdir: of the run; its config.json is still the one before.
      settings: with which the run goes on.
      step: after which it does.
    """
    had = inference.read_settings(workdir)
    if had.train.num_steps == settings.train.num_steps:
        return
    before, after = _rate(had, step), _rate(settings, step)
    if before != after:
        _log.warning(
            "With another train.num_steps the learning rate goes on with %.3g at step "
            "%d, where it was %.3g.",
            after,
            step,
            before,
        )


def _rate(settings: Settings, step: int) -> float:
    train = settings.train
    rate = optim.schedule(
        settings.optim, num_steps=train.num_steps, batch_size=train.batch_size
    )
    return float(np.asarray(rate(step)))
