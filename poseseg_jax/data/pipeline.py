"""Records -> Batches on the host, by Grain: endless and augmented, or in order.

A source is anything with a length and with records by index; see decoding.py.
"""

import dataclasses
import logging
import math
import shutil
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import grain
import jax
import numpy as np
from absl import flags
from grain.sources import RandomAccessDataSource

from poseseg_jax import geometry
from poseseg_jax.data.augment import (
    AugmentSettings,
    blank,
    jitter_color,
    random_affine,
    render,
    scale_of,
)
from poseseg_jax.data.decoding import Record, decode_record
from poseseg_jax.data.sampling import endless
from poseseg_jax.structs import MAX_PEOPLE, Batch

_log = logging.getLogger(__name__)

# Batches under way at a time in this process; OpenCV lets go of Python's lock.
_THREADS = 2


def train_batches(
    source: RandomAccessDataSource,
    *,
    image_size: int,
    max_people: int,
    augment: AugmentSettings,
    batch_size: int,
    seed: int,
    num_workers: int,
    shard_index: int = 0,
    shard_count: int = 1,
) -> "TrainBatches":
    """Augmented batches without end, in a new random order in every epoch.

    They depend on the source and on `seed`, not on the number of workers. What all
    shards give at a step is together what a single one gives with `shard_count` times
    the `batch_size`.

    Args:
      source: records; for workers it must be picklable. A sampling.Mixture says what
        an epoch is.
      image_size: side of the input, px.
      max_people: N; of more people the largest are kept.
      augment: how much the views vary.
      batch_size: of this shard.
      seed: of order and augmentation.
      num_workers: processes; 0: threads of this process. As many threads take their
        place, with a warning, where shared memory is too small for processes.
      shard_index, shard_count: which part of every global batch to make.

    Returns:
      An iterator over Batches of NumPy arrays. Close it when done.

    Raises:
      ValueError: without records or for numbers that make no sense; while iterating,
        for a broken picture, naming its file and id.
    """
    _check(batch_size, max_people, shard_index, shard_count)
    if not len(source):
        raise ValueError("There are no pictures to train on: the source is empty.")
    view = _RandomView(image_size, max_people, augment)
    pictures = endless(source, seed=seed).random_map(view)[shard_index::shard_count]
    batches = pictures.batch(batch_size, drop_remainder=True)
    batch_bytes = batch_size * (4 * image_size**2 + 256 * max_people)
    if num_workers and not _fits_shared_memory(batch_bytes * 2 * (num_workers + 1)):
        return TrainBatches(batches, num_workers=0, num_threads=num_workers)
    return TrainBatches(batches, num_workers=num_workers, num_threads=_THREADS)


def eval_batches(
    source: RandomAccessDataSource,
    *,
    image_size: int,
    max_people: int,
    batch_size: int,
    shard_index: int = 0,
    shard_count: int = 1,
) -> Iterator[Batch]:
    """Every picture exactly once, in order, letterboxed.

    All shards give the same number of batches of the same size. What is missing in the
    last ones is filled with rows that have `is_real` False, `image_id` -1 and a people
    map of IGNORE. Arguments and errors as in `train_batches`.
    """
    _check(batch_size, max_people, shard_index, shard_count)
    load = _LetterboxView(source, image_size, max_people)
    step = batch_size * shard_count
    rows = math.ceil(len(source) / step) * step
    if not rows:
        return iter(())
    pictures = grain.MapDataset.range(rows)[shard_index::shard_count].map(load)
    return iter(pictures.batch(batch_size).to_iter_dataset(_read_ahead(_THREADS)))


def letterbox(record: Record, *, image_size: int, max_people: int) -> Batch:
    """The whole picture of a record, without randomness and without batch axis."""
    height, width = (int(side) for side in record["size"])
    to_input = geometry.letterbox_affine(height, width, image_size)
    sample = decode_record(record, shrink=1 / scale_of(to_input))
    return render(sample, to_input, side=image_size, max_people=max_people)


class TrainBatches(grain.DatasetIterator):
    """Grain's iterator over `batches`; its state is the number of batches taken.

    Grain's own state depends on the number of workers. Here batches are random access,
    so that a run can go on from that number alone, with other workers.
    """

    def __init__(
        self, batches: grain.MapDataset, *, num_workers: int, num_threads: int
    ):
        super().__init__()
        self._batches = batches
        self._num_workers = num_workers
        self._num_threads = num_threads
        self._taken = 0
        self._running: list[grain.DatasetIterator] = []  # at most one
        # Also at the program's end, while there still are modules to do it with.
        weakref.finalize(self, _end, self._running)

    def __next__(self) -> Batch:
        self.start_prefetch()
        batch = next(self._running[0])
        self._taken += 1
        # Out of shared memory at once: nobody has to know when it is free again.
        return jax.tree.map(np.array, batch) if self._num_workers else batch

    def get_state(self) -> dict[str, int]:
        return {"batches_taken": self._taken}

    def set_state(self, state: dict[str, int]) -> None:
        _end(self._running)
        self._taken = int(state["batches_taken"])

    def start_prefetch(self) -> None:
        """Starts threads or processes ahead of the first batch. Idempotent."""
        self._assert_not_closed()
        if not self._running:
            self._running.append(self._start())
            self._running[0].start_prefetch()

    def close(self) -> None:
        """Ends threads and processes. Idempotent."""
        _end(self._running)
        super().close()

    def _start(self) -> grain.DatasetIterator:
        rest = self._batches[self._taken :]
        if not self._num_workers:
            return iter(rest.to_iter_dataset(_read_ahead(self._num_threads)))
        if not flags.FLAGS.is_parsed():  # outside of absl's app, as in a notebook
            flags.FLAGS.mark_as_parsed()  # Grain asks for its own, which have defaults
        inline = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
        workers = grain.MultiprocessingOptions(
            num_workers=self._num_workers, per_worker_buffer_size=1
        )
        dataset = rest.to_iter_dataset(inline)
        return iter(dataset.mp_prefetch(workers, worker_init_fn=_prepare_worker))


def _end(running: list[grain.DatasetIterator]) -> None:
    while running:
        running.pop().close()


@dataclass(frozen=True)
class _RandomView(grain.transforms.RandomMap):
    """Record -> Batch of one random view, without batch axis."""

    image_size: int
    max_people: int
    augment: AugmentSettings

    def random_map(self, element: Record, rng: np.random.Generator) -> Batch:
        height, width = (int(side) for side in element["size"])
        side = self.image_size
        to_input = random_affine(
            rng, height=height, width=width, side=side, settings=self.augment
        )
        sample = decode_record(element, shrink=1 / scale_of(to_input))
        image = jitter_color(sample.image, rng, strength=self.augment.color)
        sample = dataclasses.replace(sample, image=image)
        return render(sample, to_input, side=side, max_people=self.max_people)


@dataclass(frozen=True)
class _LetterboxView(grain.transforms.Map):
    """Index -> Batch of that picture, or of none beyond the end; no batch axis."""

    source: RandomAccessDataSource
    image_size: int
    max_people: int

    def map(self, element: int) -> Batch:
        side, max_people = self.image_size, self.max_people
        if element >= len(self.source):
            return blank(side, max_people)
        return letterbox(self.source[element], image_size=side, max_people=max_people)


def _check(batch_size: int, max_people: int, shard_index: int, shard_count: int):
    if batch_size < 1:
        raise ValueError(f"A batch needs at least one picture; got {batch_size}.")
    if not 1 <= max_people <= MAX_PEOPLE:
        raise ValueError(f"max_people must be 1 ... {MAX_PEOPLE}; got {max_people}.")
    if not 0 <= shard_index < shard_count:
        raise ValueError(f"There is no shard {shard_index} of {shard_count}.")


def _read_ahead(num_threads: int) -> grain.ReadOptions:
    return grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=num_threads)


def _prepare_worker(index: int, count: int) -> None:
    del index, count
    cv2.setNumThreads(0)  # workers are what runs in parallel
    # Should anything in a worker ask JAX, it must not take the trainer's accelerator.
    jax.config.update("jax_platforms", "cpu")


def _fits_shared_memory(wanted: int) -> bool:
    """Whether processes can hand over batches; a full /dev/shm kills them silently."""
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
