"""A trace of a few steps lies in the workdir where one was asked for."""

import jax.numpy as jnp
import pytest

from poseseg_jax.profiling import Profile


def traces(workdir):
    return list(workdir.glob("profile/**/*.xplane.pb"))


def run(workdir, steps, *, wanted):
    with Profile(workdir, wanted=wanted) as profile:
        for _ in range(steps):
            profile.before_step()
            profile.after_step(jnp.ones(3) + 1)


@pytest.mark.parametrize("steps", [4, 9], ids=["a shorter run", "a longer run"])
def test_there_is_one_trace_and_a_line_how_to_look_at_it(tmp_path, caplog, steps):
    caplog.set_level("INFO", logger="poseseg_jax")
    run(tmp_path, steps, wanted=True)
    assert len(traces(tmp_path)) == 1
    assert list(tmp_path.glob("profile/**/*.trace.json.gz"))
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"xprof --logdir={tmp_path}/profile" in line
    assert f"A trace of {min(steps, 7) - 2} steps" in line


@pytest.mark.parametrize(("steps", "wanted"), [(2, True), (9, False)])
def test_otherwise_there_is_none(tmp_path, steps, wanted):
    run(tmp_path, steps, wanted=wanted)
    assert not list(tmp_path.iterdir())
