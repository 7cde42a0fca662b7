"""Loader processes: what each does at its start, and what is said when one fails."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import connection

import cv2
import jax
import numpy as np

from poseseg_jax.data import handover
from poseseg_jax.data.handover import Layout
from poseseg_jax.disk import NoRoom, is_full

_DEAD_WORKER = "Worker process was terminated"  # as Grain says it
_KEPT_BYTES = 31 * 2**20  # glibc heeds up to 32 MiB


def prepare_worker(path: str, layout: Layout, index: int, count: int) -> None:
    """What Grain calls in every worker before its first batch.

    Args:
      path: of the memory that the worker shares with the trainer; see handover.py.
      layout: of that memory.
      index, count: which worker it is, and of how many.
    """
    del count
    _end_with_the_trainer()
    handover.attach(path, layout, index)
    # Having freed a block of this size once, glibc keeps freed memory for the next
    # picture, instead of giving it back to the kernel, which would clear every page.
    np.empty(_KEPT_BYTES, np.uint8)
    cv2.setNumThreads(0)  # workers are what runs in parallel
    # Should anything in a worker ask JAX, it must not take the trainer's accelerator.
    jax.config.update("jax_platforms", "cpu")


@contextlib.contextmanager
def trouble_explained() -> Iterator[None]:
    """Says what to do where a worker died, or where there is no room for them.

    Raises:
      ChildProcessError: if a worker was killed.
      NoRoom: if shared memory is full.
    """
    try:
        yield
    except RuntimeError as error:
        if _DEAD_WORKER not in str(error):
            raise
        raise ChildProcessError(
            f"A loader process was killed ({error}). If that was for "
            "want of memory, take fewer: --config.data.num_workers=N."
        ) from None
    except OSError as error:
        if not is_full(error):
            raise
        raise NoRoom(
            f"Loader processes and their queues need shared memory ({error}). Make "
            "room in /dev/shm, in containers with --shm-size, or load in threads: "
            "--config.data.num_workers=0."
        ) from error


def _end_with_the_trainer() -> None:
    """Leaves it to the trainer when a worker ends: at the latest when it does.

    Ctrl-C and job schedulers tell the workers too, while the trainer still needs them
    to get to the end of its step. A trainer that was killed tells nobody; Grain's
    workers would wait for it for minutes, and hold their memory.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    trainer = multiprocessing.parent_process()
    assert trainer is not None

    def wait_for_its_end() -> None:
        connection.wait([trainer.sentinel])
        os._exit(1)

    threading.Thread(target=wait_for_its_end, daemon=True).start()
