"""Files of events come in the order in which they were written."""

import numpy as np
import pytest

from poseseg_jax.events import Events
from tests.test_logbook import shown


def write(folder, *, first_step, value):
    events = Events(folder, first_step=first_step)
    for step in range(first_step, first_step + 3):
        events.scalar(step, "loss", value)
    events.flush()
    events.close()


@pytest.mark.parametrize("later", [1e9, 1e9 + 0.5, 9e8, 1.5e9])
def test_what_was_written_later_is_what_is_shown(tmp_path, monkeypatch, later):
    """Also within the same second, and after the clock was put back."""
    monkeypatch.setattr("time.time", lambda: 1e9)
    write(tmp_path, first_step=1, value=0.25)
    monkeypatch.setattr("time.time", lambda: later)
    write(tmp_path, first_step=3, value=0.5)
    assert len(list(tmp_path.iterdir())) == 2
    expected = [(1, 0.25), (2, 0.25), (3, 0.5), (4, 0.5), (5, 0.5)]
    assert [(step, value) for step, _, value in shown(tmp_path)] == expected


def test_what_was_flushed_outlives_the_process(tmp_path):
    events = Events(tmp_path, first_step=1)
    events.scalar(1, "loss", 2.0)
    events.picture(1, "val", np.zeros((4, 4, 3), np.uint8))
    events.flush()
    found = [(step, name) for step, name, _ in shown(tmp_path)]
    events.close()
    assert found == [(1, "loss"), (1, "val")]
