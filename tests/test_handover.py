"""Blocks are used again when their batch is garbage, and not before."""

import gc
import mmap
from collections.abc import Iterator

import numpy as np
import pytest

from poseseg_jax.data import handover
from poseseg_jax.data.form import Form
from poseseg_jax.data.handover import Blocks, Layout, Pickled, Place

FORM = Form(2, 33, 1)


@pytest.fixture
def blocks(monkeypatch) -> Iterator[Blocks]:
    """Of one worker: this process is at both ends."""
    layout = Layout(FORM, 1)
    blocks = Blocks(layout)
    monkeypatch.setattr(handover, "_attached", [])
    handover.attach(blocks.path, layout, 0)
    yield blocks
    blocks.close()


def test_a_system_without_such_memory_is_told_what_to_do(monkeypatch):
    monkeypatch.delattr(handover.os, "memfd_create")
    with pytest.raises(ValueError, match=r"data\.num_workers=0"):
        Blocks(Layout(FORM, 1))


def send(number):
    def fill(batch):
        batch.image[:] = number
        batch.area[:] = number

    return handover.filled(FORM, fill)


def assert_holds(batch, number):
    assert (batch.image == number).all()
    assert (batch.area == number).all()


def test_a_batch_arrives_as_it_was_filled(blocks):
    sent = send(7)
    assert isinstance(sent, Place)
    assert_holds(blocks.take(sent), 7)


def test_without_workers_there_is_nothing_to_hand_over():
    assert_holds(send(7), 7)


def test_a_kept_batch_keeps_its_block_and_garbage_gives_it_back(blocks):
    kept = [blocks.take(send(number)) for number in range(Layout(FORM, 1).per_worker)]
    overflow = send(9)
    assert isinstance(overflow, Pickled)
    assert_holds(blocks.take(overflow), 9)
    row = kept.pop(2).area[1]  # a part of it is enough
    gc.collect()
    assert isinstance(send(10), Pickled)
    assert (row == 2).all()
    del row
    gc.collect()
    assert send(11) == Place(2)
    for number, batch in zip((0, 1, 3), kept, strict=False):
        assert_holds(batch, number)


def test_batches_outlive_their_memory_s_owner(blocks):
    batch = blocks.take(send(5))
    blocks.close()
    blocks.close()
    handover._attached.clear()
    del blocks
    gc.collect()
    assert_holds(batch, 5)


def test_a_broken_picture_leaves_the_block_free(blocks):
    def fail(batch):
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        handover.filled(FORM, fail)
    assert send(1) == Place(0)


@pytest.mark.parametrize("num_workers", [1, 2, 3, 12])
def test_workers_have_blocks_of_their_own(num_workers):
    layout = Layout(FORM, num_workers)
    blocks = [block for worker in range(num_workers) for block in layout.own(worker)]
    assert blocks == list(range(num_workers * layout.per_worker))
    assert len(blocks) >= 2 * num_workers + 3
    memory = mmap.mmap(-1, layout.num_bytes)
    for block in blocks:
        layout.array(memory, block)[:] = 1
    assert np.frombuffer(memory, np.uint8).sum() == len(blocks) * FORM.num_bytes
    assert not any(memory[: len(blocks)])
