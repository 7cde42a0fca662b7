"""Reports wait for their log line, also from one process to the next."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from poseseg_jax.ledger import Ledger


def report(total, mid=0.5):
    return {"total": jnp.float32(total), "mid": jnp.float32(mid)}


def test_a_ledger_gives_means_since_it_was_last_closed():
    ledger = Ledger(10)
    ledger.add(report(1.0))
    ledger.add(report(2.0))
    means, steps, seconds = ledger.close()
    assert means == {"loss/total": 1.5, "loss/mid": 0.5}
    assert (steps, seconds >= 0) == (2, True)
    ledger.add(report(7.0))
    means, steps, _ = ledger.close()
    assert (means["loss/total"], steps) == (7.0, 1)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_stops_the_run_by_step_and_terms(broken):
    ledger = Ledger(100)
    ledger.add(report(1.0))
    ledger.close()
    ledger.add(report(1.0))  # step 102
    ledger.add(report(broken, mid=broken))
    ledger.add(report(broken))
    with pytest.raises(FloatingPointError, match="Not finite at step 103: ") as caught:
        ledger.close()
    assert "'total'" in str(caught.value)
    assert "'mid'" in str(caught.value)


def test_the_norm_of_the_gradient_is_no_loss():
    ledger = Ledger(0)
    ledger.add({**report(1.0), "gradient_norm": jnp.float32(3.0)})
    means, _, _ = ledger.close()
    assert means == {"loss/total": 1.0, "loss/mid": 0.5, "gradient_norm": 3.0}


def test_only_the_broken_terms_are_named():
    ledger = Ledger(0)
    ledger.add(report(np.nan, mid=0.5))
    with pytest.raises(FloatingPointError, match=r"step 1: \{'total': nan\}"):
        ledger.close()


def test_a_ledger_goes_on_in_another_process_as_if_nothing_had_been():
    """Numbers come back from JSON to the last bit, and so do their means."""
    values = [1 / 3, 2e-7, 5e8]
    whole = Ledger(0)
    for value in values:
        whole.add(report(value, mid=value / 7))
    first = Ledger(0)
    for value in values[:2]:
        first.add(report(value, mid=value / 7))
    second = Ledger(2, json.loads(json.dumps(first.place())))
    second.add(report(values[2], mid=values[2] / 7))
    means, steps, _ = second.close()
    assert (means, steps) == whole.close()[:2]


def test_a_place_is_refused_where_a_report_is_broken():
    ledger = Ledger(4)
    ledger.add(report(np.inf))
    with pytest.raises(FloatingPointError, match="step 5"):
        ledger.place()


def test_the_clock_counts_steps_alone_and_goes_on_where_it_was(monkeypatch):
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    ledger = Ledger(0)
    ledger.add(report(1.0))
    now = 103.0
    with ledger.paused():
        now = 150.0
        assert ledger.place()["seconds"] == 3.0
    now = 152.0
    later = Ledger(1, ledger.place())
    now = 153.0
    assert ledger.close()[2] == later.close()[2] == 6.0
