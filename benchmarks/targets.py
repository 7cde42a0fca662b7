"""Targets on the device beside dense targets that the host makes by loops in NumPy.

    python -m benchmarks.targets [--smallest] [--without_oracle]

The maps of a batch, made in one jitted program as inside the train step, and those of
tests/targets_oracle.py, which asks every cell for every person. Both start from the
same people map and keypoints. Memory is what XLA reserves for the batch beside its
arguments, and by how much the oracle's process grows for one picture; "sent" is what
has to go from host to device for a picture, with targets there or here.
"""

import argparse
import functools
import gc
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from benchmarks import pictures
from configs import base
from poseseg_jax import config, targets
from poseseg_jax.representation import Representation
from tests import targets_oracle

Row = dict[str, Any]


def main(argv: Sequence[str]) -> list[Row]:
    """Measures; the flags are described by --help."""
    args = _parse(argv)
    settings = config.parse(base.get_config().to_dict())
    rows: list[Row] = []
    for side in args.sides:
        for count in args.people:
            rows += _measure(side, count, args, settings.representation)
    for row in rows:
        ratio = f"{row['ratio']:10.4g}" if row["ratio"] else " " * 10
        value = f"{row['value']:10.4g} {row['unit']:<4}"
        print(f"{row['name']:<56}{value}{ratio}  {row['note']}")
    return rows


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    flags = argparse.ArgumentParser("benchmarks.targets", description=__doc__)
    flags.add_argument("--smallest", action="store_true", help="to see that it runs")
    flags.add_argument("--without_oracle", action="store_true", help="it takes minutes")
    flags.add_argument("--sides", type=int, nargs="+", default=[401])
    flags.add_argument("--people", type=int, nargs="+", default=[1, 5, 20])
    flags.add_argument("--batch", type=int, default=8, help="pictures")
    flags.add_argument("--rows", type=int, default=30, help="room for people")
    flags.add_argument("--repeats", type=int, default=5, help="the median of so many")
    args = flags.parse_args(argv)
    if args.smallest:
        args.sides, args.people, args.batch, args.repeats = [65], [2], 2, 1
    return args


def _measure(
    side: int, count: int, args: argparse.Namespace, representation: Representation
) -> list[Row]:
    picture = pictures.crowd(side, count, args.rows)
    batch = jax.tree.map(lambda leaf: np.stack([leaf] * args.batch), picture)
    make = jax.jit(functools.partial(targets.make, representation=representation))
    compiled = make.lower(batch).compile()
    jax.block_until_ready(compiled(batch))
    seconds = []
    for _ in range(args.repeats):
        gc.collect()
        start = time.perf_counter()
        jax.block_until_ready(compiled(batch))
        seconds.append((time.perf_counter() - start) / args.batch)
    ours = statistics.median(seconds)
    memory: Any = compiled.memory_analysis()
    reserved = memory.temp_size_in_bytes + memory.output_size_in_bytes
    made = compiled(batch)
    label = f"{side} px, {count} people"
    sent = _size(picture), _size(made) / args.batch + picture.image.nbytes
    rows = [
        _row(f"{label}, on the device, a picture", 1000 * ours, "ms"),
        _row(f"{label}, memory for {args.batch}", reserved / 2**20, "MiB"),
        _row(f"{label}, sent with targets there", sent[0] / 2**20, "MiB"),
        _row(
            f"{label}, sent with targets here",
            sent[1] / 2**20,
            "MiB",
            sent[1] / sent[0],
            "ratio: to targets there",
        ),
    ]
    if not args.without_oracle:
        rows += _oracle(label, picture, ours, representation)
    return rows


def _oracle(
    label: str, picture: Any, ours: float, representation: Representation
) -> list[Row]:
    def work() -> float:
        start = time.perf_counter()
        targets_oracle.make(picture, representation)
        targets_oracle.person_fraction(picture.people, representation.person_stride)
        return time.perf_counter() - start

    seconds, grown = pictures.peak_memory(work)
    note = "ratio: to ours"
    return [
        _row(f"{label}, oracle, a picture", 1000 * seconds, "ms", seconds / ours, note),
        _row(f"{label}, oracle, memory", grown, "MiB"),
    ]


def _size(tree: Any) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def _row(
    name: str, value: float, unit: str, ratio: float | None = None, note: str = ""
) -> Row:
    return {"name": name, "value": value, "unit": unit, "ratio": ratio, "note": note}


if __name__ == "__main__":
    main(sys.argv[1:])
