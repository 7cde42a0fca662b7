"""Batches from worker processes, in shared memory that is used again and again.

Left to itself, Grain hands over every array in shared memory that is made for it: the
kernel clears new pages for all of it, and somebody has to copy it out soon, as
containers have little of that memory. Here each worker has a few blocks for whole
batches, in memory that belongs to no file system. It renders pictures right into one
and says which. The batch that is handed out is the block, and when it is garbage, the
block is free again.
"""

import mmap
import os
import pickle
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from poseseg_jax.data.form import Form
from poseseg_jax.structs import Batch

_FREE, _FULL = 0, 1
_IN_USE = 3  # batches that a training has in its hands at a time


@dataclass(frozen=True)
class Layout:
    """What is where in the shared memory.

    First comes a byte for each block, which says whether it is free, then the blocks.

    Attributes:
      form: of a batch.
      num_workers: each has blocks of its own.
    """

    form: Form
    num_workers: int

    @property
    def per_worker(self) -> int:
        """One is rendered into, one waits in Grain's queue, others are in use."""
        return 2 - (-_IN_USE // self.num_workers)

    @property
    def num_bytes(self) -> int:
        """Of all."""
        return self._start(self.num_workers * self.per_worker)

    def own(self, worker: int) -> range:
        """The blocks of a worker."""
        return range(worker * self.per_worker, (worker + 1) * self.per_worker)

    def array(self, memory: mmap.mmap, block: int) -> np.ndarray:
        """The bytes of a block: an array to which all arrays made of it refer."""
        return np.frombuffer(memory, np.uint8, self.form.num_bytes, self._start(block))

    def _start(self, block: int) -> int:
        before = _whole_pages(self.num_workers * self.per_worker)
        return before + block * _whole_pages(self.form.num_bytes)


@dataclass(frozen=True)
class Place:
    """Where a batch lies: what a worker sends in its stead."""

    block: int


@dataclass(frozen=True)
class Pickled:
    """A batch for which no block was free, as something that Grain leaves alone."""

    batch: bytes


class Blocks:
    """The shared memory, as the process has it that takes batches."""

    def __init__(self, layout: Layout):
        """Makes it. It is gone when all workers are, and all batches in it.

        Raises:
          ValueError: where there is no such memory, as elsewhere than on Linux.
        """
        if not hasattr(os, "memfd_create"):
            raise ValueError(
                "Worker processes hand over batches in memory that this system does "
                "not have; set data.num_workers=0 to load in threads"
            )
        self._layout = layout
        self._file = os.memfd_create("batches")
        os.ftruncate(self._file, layout.num_bytes)
        self._memory = mmap.mmap(self._file, layout.num_bytes)

    @property
    def path(self) -> str:
        """Where workers find it, until it is closed."""
        return f"/proc/{os.getpid()}/fd/{self._file}"

    def take(self, sent: Place | Pickled) -> Batch:
        """The batch that a worker sent."""
        if isinstance(sent, Pickled):
            return pickle.loads(sent.batch)
        array = self._layout.array(self._memory, sent.block)
        free = self._memory.__setitem__
        weakref.finalize(array, free, sent.block, _FREE).atexit = False
        return self._layout.form.over(array)

    def close(self) -> None:
        """Lets in no more workers. Batches stay what they are. Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


# Of this process, if it is a worker: the memory, what is where, and which it may fill.
_attached: list[tuple[mmap.mmap, Layout, range]] = []


def attach(path: str, layout: Layout, worker: int) -> None:
    """Opens the shared memory in a worker process."""
    file = os.open(path, os.O_RDWR)
    memory = mmap.mmap(file, layout.num_bytes)
    os.close(file)
    _attached.append((memory, layout, layout.own(worker)))


def filled(form: Form, fill: Callable[[Batch], None]) -> Batch | Place | Pickled:
    """Has a batch filled; in a worker, in a block.

    Args:
      form: of the batch.
      fill: writes into the batch that it is given.

    Returns:
      The batch, or in a worker what `Blocks.take` makes one of.
    """
    for memory, layout, own in _attached:
        for block in own:
            if memory[block] == _FREE:
                fill(form.over(layout.array(memory, block)))
                # The batch has to be there for who sees the place. x86-64 keeps the
                # order of stores; elsewhere the locks of the queue that the place goes
                # through see to it.
                memory[block] = _FULL
                return Place(block)
    batch = form.new()
    fill(batch)
    return Pickled(pickle.dumps(batch)) if _attached else batch


def _whole_pages(num_bytes: int) -> int:
    return -(-num_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
