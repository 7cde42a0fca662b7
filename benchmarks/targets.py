"""Targets on the device beside dense targets that the host makes by loops in NumPy.

    python -m benchmarks.targets

The maps of a batch, made in one jitted program as inside the train step, and those of
tests/targets_oracle.py, which asks every cell for every person. Both start from the
same people map and keypoints. Memory is what XLA reserves for the batch beside its
arguments, and by how much the oracle's process grows for one picture; "sent" is what
has to go from host to device for a picture, with targets made here or there.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from benchmarks import pictures, report
from benchmarks.report import Row
from configs import base
from poseseg_jax import config, targets
from poseseg_jax.representation import Representation
from tests import targets_oracle


def main(argv: Sequence[str]) -> list[Row]:
    """Measures; the flags are described by --help."""
    given = _parse(argv)
    settings = config.parse(base.get_config().to_dict())
    rows = []
    for side in given.sides:
        for count in given.people:
            rows += _measure(side, count, given, settings.representation)
    return rows


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    flags = report.parser("targets", __doc__)
    flags.add_argument("--sides", type=int, nargs="+", default=[401], help="px")
    words = "how many in a picture"
    flags.add_argument("--people", type=int, nargs="+", default=[1, 5, 20], help=words)
    flags.add_argument("--batch", type=int, default=8, help="pictures")
    flags.add_argument("--room", type=int, default=30, help="for people, in a batch")
    given = flags.parse_args(argv)
    if given.smallest:
        given.sides, given.people, given.batch, given.repeats = [65], [2], 2, 1
    return given


def _measure(
    side: int, count: int, given: argparse.Namespace, representation: Representation
) -> list[Row]:
    picture = pictures.crowd(side, count, given.room)
    batch = jax.tree.map(lambda leaf: np.stack([leaf] * given.batch), picture)
    make = jax.jit(functools.partial(targets.make, representation=representation))
    compiled: Any = make.lower(batch).compile()
    made = jax.block_until_ready(compiled(batch))

    def ours() -> float:
        start = time.perf_counter()
        jax.block_until_ready(compiled(batch))
        return (time.perf_counter() - start) / given.batch

    def loops() -> float:
        start = time.perf_counter()
        targets_oracle.make(picture, representation)
        targets_oracle.person_fraction(picture.people, representation.person_stride)
        return time.perf_counter() - start

    here = statistics.median(ours() for _ in range(given.repeats))
    there, grown = report.peak_memory(loops)
    memory = compiled.memory_analysis()
    reserved = memory.temp_size_in_bytes + memory.output_size_in_bytes
    sent = _size(picture), _size(made) / given.batch + picture.image.nbytes
    label = f"{side} px, {count} people"
    device, host = f"{label}, on the device", f"{label}, NumPy loops"
    little, much = f"{label}, sent, targets there", f"{label}, sent, targets here"
    return [
        Row(device, 1000 * here, "ms", note=f"a picture, in batches of {given.batch}"),
        Row(host, 1000 * there, "ms", device, there / here, "a picture, once"),
        Row(f"{device}, memory", reserved / 2**20, "MiB", note="of a batch"),
        Row(f"{host}, memory", grown, "MiB", note="of a picture"),
        Row(little, sent[0] / 2**20, "MiB", note="a picture, uint8 and keypoints"),
        Row(much, sent[1] / 2**20, "MiB", little, sent[1] / sent[0]),
    ]


def _size(tree: Any) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


if __name__ == "__main__":
    report.run("targets", main)
