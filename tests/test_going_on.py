"""Where a run goes on with another config, what jumps is said."""

import pytest

from configs import base
from poseseg_jax import config as config_lib
from poseseg_jax import going_on
from poseseg_jax.workdir import claim


def config(schedule, num_steps):
    changed = base.get_config("tiny")
    changed.optim.update(schedule=schedule, learning_rate=0.01, warmup_steps=0)
    changed.train.num_steps = num_steps
    return changed.to_dict()


@pytest.mark.parametrize(
    ("schedule", "num_steps", "said"),
    [
        ("cosine", 200, "goes on with 0.00854 at step 50, where it was 0.005"),
        ("cosine", 100, ""),
        ("constant", 200, ""),
    ],
)
def test_a_learning_rate_that_jumps_is_said(
    tmp_path, caplog, schedule, num_steps, said
):
    claim(tmp_path, config(schedule, 100))
    settings = config_lib.parse(config(schedule, num_steps))
    going_on.warn_of_another_rate(tmp_path, settings, 50)
    assert said in caplog.text
    assert bool(said) == bool(caplog.records)
