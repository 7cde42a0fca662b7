"""A batch in parts is a batch, and an ancestor's maps are what they are asked for."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from poseseg_jax import inference, train_step
from poseseg_jax import config as config_lib
from poseseg_jax.losses import TERMS
from tests import tiny_run
from tests.targets_oracle import scene


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground:
        yield ground
