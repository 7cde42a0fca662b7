"""Several processes that train together: how they meet, and how they agree.

Every one of them runs the whole program on its own devices, mostly one on each machine:
a host. What is computed over all devices has to be started by all hosts, in the same
order: one that leaves the others alone makes them wait. So the first host, which alone
reads and writes the workdir, tells the others what came of it, errors too. With a
single host all of this does nothing.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

AUTO = "auto"
# How long a host that has come to its end waits for the others to come to theirs.
_PATIENCE = 60  # seconds

T = TypeVar("T")


class OtherHostFailed(ValueError):
    """This host can not go on, because another one failed, which says why."""


class Unshared(RuntimeError):
    """What went wrong on this host alone, while the others wait for it."""


def join(coordinator: str, num_processes: int, process_id: int) -> None:
    """Meets the other hosts, to be called before anything asks JAX for a device.

    Args:
      coordinator: address of the first host and a free port there, as "node0:1234"; or
        "auto" where Slurm, Open MPI or a TPU pod has started the processes, which then
        know the rest by themselves.
      num_processes: how many hosts there are.
      process_id: which of them this is; the first is 0.

    Raises:
      ValueError: for numbers that make no sense, or if they do not meet.
    """
    known: dict[str, Any] = {}
    if coordinator != AUTO:
        if not 0 <= process_id < num_processes:
            raise ValueError(
                f"--num_processes is {num_processes} and --process_id {process_id}; "
                f"with --coordinator={coordinator} each of n processes has its own "
                "number, 0 ... n - 1."
            )
        known = {
            "coordinator_address": coordinator,
            "num_processes": num_processes,
            "process_id": process_id,
        }
    try:
        jax.distributed.initialize(**known, shutdown_timeout_seconds=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise ValueError(
            f"The processes do not meet (--coordinator={coordinator}): {error}"
        ) from None


def count() -> int:
    """How many hosts there are."""
    return jax.process_count()


def index() -> int:
    """Which of them this is."""
    return jax.process_index()


def is_first() -> bool:
    """Whether this host reads and writes for all."""
    return jax.process_index() == 0


def gathered(value: T) -> list[T]:
    """What every host has, in their order, on all of them; anything that JSON holds."""
    if count() == 1:
        return [value]
    own = np.frombuffer(json.dumps(value).encode(), np.uint8)
    lengths = multihost_utils.process_allgather(np.array([own.size], np.int32))
    lengths = np.asarray(lengths).reshape(-1)
    # A power of two: what has been compiled for one length serves for many.
    padded = np.zeros(1 << int(lengths.max()).bit_length(), np.uint8)
    padded[: own.size] = own
    rows = np.asarray(multihost_utils.process_allgather(padded))
    rows = rows.reshape(count(), -1)
    return [
        json.loads(row[:length].tobytes())
        for row, length in zip(rows, lengths, strict=True)
    ]


def largest(number: int) -> int:
    """The largest of the hosts' numbers."""
    return max(gathered(number))


def together(work: Callable[[], T]) -> T:
    """Does something on every host, and fails on all if it fails on one.

    Args:
      work: has nothing computed over all devices.

    Returns:
      What it gave on this host.

    Raises:
      OtherHostFailed: where it did not fail itself; its own error where it did.
    """
    if count() == 1:
        return work()
    try:
        result, own = work(), None
    except Exception as error:
        result, own = None, error
    words = gathered("" if own is None else f"{type(own).__name__}: {own}")
    if own is not None:
        raise own
    failed = [f"Process {number}: {said}" for number, said in enumerate(words) if said]
    if failed:
        raise OtherHostFailed(" ".join(failed))
    return result  # type: ignore[return-value]


def told(work: Callable[[], T]) -> T:
    """Does something on the first host; all have what it gave, or fail as `together`.

    Args:
      work: gives what JSON can hold.
    """
    if count() == 1:
        return work()
    result = together(lambda: work() if is_first() else None)
    return gathered(result)[0]  # type: ignore[return-value]


@contextlib.contextmanager
def leaving_at_once() -> Iterator[None]:
    """Ends this process, if the hosts can no longer agree how to end.

    Then JAX would wait for the others to say goodbye, who wait for this one; but when
    it is gone, they notice. With a single host this does nothing.
    """
    try:
        yield
    except (Unshared, jax.errors.JaxRuntimeError) as error:
        if count() == 1:
            raise
        print(
            f"{type(error).__name__}: {str(error).splitlines()[0]}\nProcess {index()} "
            "ends here; if another one ended before, it says why. The same command "
            "goes on from the last checkpoint.",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)


@contextlib.contextmanager
def first_inside(context: AbstractContextManager[Any]) -> Iterator[None]:
    """Enters a context on the first host only. If it may not, none goes on."""
    with contextlib.ExitStack() as stack:

        def enter() -> None:
            stack.enter_context(context)

        told(enter)
        yield
