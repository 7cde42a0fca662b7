"""Batches from worker processes, through shared memory that is used again and again.

Left to itself, Grain hands over each array of each batch in shared memory made for it:
the kernel clears new pages for all of them, every time. Here each worker has a few
blocks for whole batches. It renders pictures right into one, says which, and finds it
free again when the batch has been copied out.
"""

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import shared_memory

import numpy as np

from poseseg_jax.data.form import Form
from poseseg_jax.structs import Batch

_log = logging.getLogger(__name__)

# One is rendered, one waits in Grain's queue, one is being copied out.
_BLOCKS = 3
_FREE, _FULL = 0, 1


@dataclass(frozen=True)
class Place:
    """Where a batch lies: what a worker sends in its stead."""

    block: int


class Blocks:
    """The shared memory of all workers, as the process has it that takes batches."""

    def __init__(self, form: Form, num_workers: int):
        """Makes them. Close them after the workers have ended."""
        self._form = form
        self._shared = [
            shared_memory.SharedMemory(create=True, size=form.num_bytes + 1)
            for _ in range(_BLOCKS * num_workers)
        ]

    @property
    def names(self) -> tuple[str, ...]:
        """What `attach` wants to know."""
        return tuple(shared.name for shared in self._shared)

    def take(self, batch: Batch | Place) -> Batch:
        """Copies a batch out, unless it came without a block."""
        if not isinstance(batch, Place):
            return batch
        buffer = self._shared[batch.block].buf
        memory = np.array(np.frombuffer(buffer, np.uint8, self._form.num_bytes))
        buffer[self._form.num_bytes] = _FREE
        return self._form.over(memory)

    def close(self) -> None:
        """Gives the memory back. Idempotent."""
        while self._shared:
            shared = self._shared.pop()
            shared.close()
            shared.unlink()


# Of this process, if it is a worker: its blocks by number.
_attached: dict[int, shared_memory.SharedMemory] = {}


def attach(names: tuple[str, ...], worker: int) -> None:
    """Tells a worker process which blocks are its own."""
    for block in range(worker * _BLOCKS, (worker + 1) * _BLOCKS):
        _attached[block] = shared_memory.SharedMemory(names[block])


def filled(form: Form, fill: Callable[[Batch], None]) -> Batch | Place:
    """Has a batch filled, in a block if this is a worker and one is free.

    Args:
      form: of the batch.
      fill: writes into the batch that it is given.

    Returns:
      The batch, or where it is; `Blocks.take` knows both.
    """
    for block, shared in _attached.items():
        if shared.buf[form.num_bytes] == _FREE:
            fill(form.over(np.frombuffer(shared.buf, np.uint8, form.num_bytes)))
            shared.buf[form.num_bytes] = _FULL
            return Place(block)
    batch = form.new()
    fill(batch)
    return batch


def fits(form: Form, num_workers: int) -> bool:
    """Whether shared memory has room; where it is full, writing kills a process."""
    wanted = num_workers * _BLOCKS * (form.num_bytes + 1)
    try:
        free = shutil.disk_usage("/dev/shm").free
    except OSError:  # not Linux: no such limit
        return True
    if free < wanted:
        _log.warning(
            "/dev/shm has %d MB free, and worker processes want %d MB for batches: "
            "threads take their place. Containers can be given more (--shm-size).",
            free // 2**20,
            wanted // 2**20,
        )
    return free >= wanted
