"""Records -> Batches on the host, by Grain: endless and augmented, or in order.

A source is anything with a length and with records by index; see decoding.py.
"""

import functools
import math
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grain
import numpy as np
from absl import flags
from grain.sources import RandomAccessDataSource

from poseseg_jax import geometry
from poseseg_jax.data import handover
from poseseg_jax.data.augment import (
    AugmentSettings,
    blank,
    change_color,
    random_affine,
    random_color,
    render,
    scale_of,
    warp_image,
    warp_people,
)
from poseseg_jax.data.decoding import (
    Record,
    decode_people,
    decode_picture,
    decode_record,
)
from poseseg_jax.data.form import Form
from poseseg_jax.data.handover import Blocks, Layout, Pickled, Place
from poseseg_jax.data.labels import LABELS, withhold, write_labels
from poseseg_jax.data.sampling import endless
from poseseg_jax.data.workers import prepare_worker, trouble_explained
from poseseg_jax.structs import MAX_PEOPLE, Batch

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
    labels: str = "both",
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
      num_workers: processes; 0: threads of this process.
      labels: what is learned from: "keypoints", "masks" or "both"; see
        `labels.withhold`.
      shard_index, shard_count: which part of every global batch to make.

    Returns:
      An iterator over Batches of NumPy arrays. Close it when done.

    Raises:
      ValueError: without records or for numbers that make no sense; while iterating,
        for a broken picture, naming its file and id.
    """
    _check(batch_size, max_people, shard_index, shard_count)
    if labels not in LABELS:
        raise ValueError(f"There are no labels {labels!r}; expected one of {LABELS}.")
    if not len(source):
        raise ValueError("There are no pictures to train on: the source is empty.")
    # Grain has the order, of numbers; records it would weigh and count, one by one.
    order = endless(source, seed=seed)
    views = order.random_map(_RandomView(source, image_size, augment))
    if shard_count > 1:
        views = views[shard_index::shard_count]
    form = Form(batch_size, image_size, max_people)
    render_batch = _RenderBatch(form, labels)
    batches = views.batch(batch_size, drop_remainder=True, batch_fn=render_batch)
    return TrainBatches(batches, Layout(form, num_workers) if num_workers else None)


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

    def __init__(self, batches: grain.MapDataset, layout: Layout | None):
        """Makes the iterator, which starts when it is asked for a batch.

        Args:
          batches: what it gives.
          layout: of the memory of worker processes; None: threads of this process.
        """
        super().__init__()
        self._batches = batches
        self._layout = layout
        self._taken = 0
        # Nothing, or Grain's iterator, behind the memory of its workers if it has any.
        self._running: list[Any] = []
        # Also at the program's end, while there still are modules to do it with.
        self._finish = weakref.finalize(self, _end, self._running)

    def __next__(self) -> Batch:
        with trouble_explained():
            self.start_prefetch()
            batch = next(self._running[-1])
        self._taken += 1
        return self._running[0].take(batch) if self._layout else batch

    def get_state(self) -> dict[str, int]:
        return {"batches_taken": self._taken}

    def set_state(self, state: dict[str, int]) -> None:
        _end(self._running)
        self._taken = int(state["batches_taken"])

    def start_prefetch(self) -> None:
        """Starts threads ahead of the first batch. Idempotent.

        Worker processes start with the first batch all the same: Grain has no iterators
        of theirs before.
        """
        self._assert_not_closed()
        if not self._running:
            self._start()
            self._running[-1].start_prefetch()

    def close(self) -> None:
        """Ends threads and processes. Idempotent."""
        # Grain's __del__ closes again at the program's end, when global names may be
        # gone already. What has finished then does nothing, and needs none.
        self._finish()
        super().close()

    def _start(self) -> None:
        rest = self._batches[self._taken :]
        if self._layout is None:
            self._running.append(iter(rest.to_iter_dataset(_read_ahead(_THREADS))))
            return
        if not flags.FLAGS.is_parsed():  # outside of absl's app, as in a notebook
            flags.FLAGS.mark_as_parsed()  # Grain asks for its own, which have defaults
        inline = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
        workers = grain.MultiprocessingOptions(
            num_workers=self._layout.num_workers, per_worker_buffer_size=1
        )
        blocks = Blocks(self._layout)
        prepare = functools.partial(prepare_worker, blocks.path, self._layout)
        dataset = rest.to_iter_dataset(inline)
        dataset = dataset.mp_prefetch(workers, worker_init_fn=prepare)
        self._running += [blocks, iter(dataset)]


def _end(running: list[Any]) -> None:
    while running:  # the iterator comes first
        running.pop().close()


# What is left to do for a picture: the record, its view, and the factors of its colors.
_Task = tuple[Record, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class _RandomView(grain.transforms.RandomMap):
    """Index -> a record and what is to be made of it: what is random, little work."""

    source: RandomAccessDataSource
    image_size: int
    augment: AugmentSettings

    def random_map(self, element: int, rng: np.random.Generator) -> _Task:
        record = self.source[element]
        height, width = record["size"].tolist()
        to_input = random_affine(
            rng,
            height=height,
            width=width,
            side=self.image_size,
            settings=self.augment,
        )
        return record, to_input, random_color(rng, strength=self.augment.color)


@dataclass(frozen=True)
class _RenderBatch:
    """What is to be made of some records -> a batch, made where it stays."""

    form: Form
    labels: str

    def __call__(self, tasks: Sequence[_Task]) -> Batch | Place | Pickled:
        return handover.filled(self.form, functools.partial(self._fill, tasks))

    def _fill(self, tasks: Sequence[_Task], batch: Batch) -> None:
        arrays: Any = batch
        records, views, _ = zip(*tasks, strict=True)
        for record, to_input, codes in zip(records, views, arrays.people, strict=True):
            warp_people(decode_people(record), to_input, codes)
        write_labels(batch, records, np.stack(views))
        withhold(batch, labels=self.labels)
        # Apart, as Python is slow whenever a picture has gone through the caches.
        for (record, to_input, factors), pixels in zip(
            tasks, arrays.image, strict=True
        ):
            shrink = 1 / scale_of(to_input)
            image, to_image = decode_picture(record, shrink=shrink)
            image = change_color(image, factors)
            warp_image(image, to_image, to_input, pixels)


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
