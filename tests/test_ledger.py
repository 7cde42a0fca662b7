"""Reports wait for their log line, also from one process to the next."""

import json
import threading

import jax
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
    closed = ledger.close()
    assert closed.means == {"loss/total": 1.5, "loss/mid": 0.5}
    assert closed.steps == 2
    ledger.add(report(7.0))
    closed = ledger.close()
    assert (closed.means["loss/total"], closed.steps) == (7.0, 1)


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
    means = ledger.close().means
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
    ours, other = second.close(), whole.close()
    assert (ours.means, ours.steps) == (other.means, other.steps)


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
    assert ledger.close().seconds == later.close().seconds == 6.0


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def take(self, seconds):
        """A loader that needs so long."""

        def take():
            self.now += seconds
            return "batch"

        return take


def test_waiting_begins_when_the_device_has_nothing_left_to_do(monkeypatch):
    clock = Clock(monkeypatch)
    done = threading.Event()
    monkeypatch.setattr(jax, "block_until_ready", lambda report: done.wait(10))
    ledger = Ledger(0)
    assert ledger.awaited(clock.take(2.0)) == "batch"  # before the first step: 2 s
    ledger.add(report(1.0))
    ledger.awaited(clock.take(5.0))  # under way all the time: nothing
    clock.now = 110.0
    done.set()  # the step is done at 110
    ledger._done.result()
    clock.now = 111.0
    ledger.awaited(clock.take(3.0))  # idle since before it was asked: 3 s
    assert ledger.place()["waited"] == 5.0
    assert Ledger(1, ledger.place()).place()["waited"] == 5.0
    assert ledger.close().waited == 5.0
    ledger.add(report(1.0))
    assert ledger.close().waited == 0.0


def test_a_step_that_ends_while_a_batch_is_awaited_counts_from_its_end(monkeypatch):
    clock = Clock(monkeypatch)
    ledger = Ledger(0)
    ledger.add(report(1.0))
    ledger._done.result()  # at 100

    def take():
        clock.now = 104.0
        return "batch"

    clock.now = 98.0  # asked before it was done
    ledger.awaited(take)
    assert ledger.close().waited == 4.0


def test_no_more_than_two_steps_are_under_way(monkeypatch):
    """The second is given while the first is computed; the third waits for it."""
    done = [threading.Event() for _ in range(3)]
    waits = iter(done)
    monkeypatch.setattr(jax, "block_until_ready", lambda report: next(waits).wait(10))
    ledger = Ledger(0)
    ledger.add(report(1.0))
    added = threading.Thread(target=ledger.add, args=(report(2.0),))
    added.start()
    added.join(0.05)
    assert added.is_alive()
    done[0].set()
    added.join(10)
    assert not added.is_alive()
    for event in done:
        event.set()
