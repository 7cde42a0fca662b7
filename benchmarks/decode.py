"""The decoder beside the loops in NumPy that its tests compare it with.

    python -m benchmarks.decode [--smallest] [--without_oracle]

Perfect maps of 1, 5, 20 and 60 people, at 401 and 801 px, are decoded one by one, in
batches, and by tests/decode_oracle.py, which does the same steps cell by cell and
person by person. Then every step of the decoder is timed alone. Memory is what XLA
reserves for one picture beside its maps, and by how much the oracle's process grows.
"""

import argparse
import dataclasses
import functools
import gc
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import pictures
from configs import base
from poseseg_jax import config
from poseseg_jax.decode import decode as decoder
from poseseg_jax.decode import hough
from poseseg_jax.decode.decode import DecodeSettings
from poseseg_jax.representation import Representation
from poseseg_jax.structs import Maps
from tests import decode_oracle

SLOTS = 60
BATCH = 8

Row = dict[str, Any]


def main(argv: Sequence[str]) -> list[Row]:
    """Measures; the flags are described by --help."""
    args = _parse(argv)
    settings = config.parse(base.get_config().to_dict())
    representation = settings.representation
    decode = dataclasses.replace(settings.decode, max_people=SLOTS)
    rows: list[Row] = []
    for side in args.sides:
        rows += _side(side, args, representation, decode)
    for row in rows:
        ratio = f"{row['ratio']:10.4g}" if row["ratio"] else " " * 10
        value = f"{row['value']:10.4g} {row['unit']:<4}"
        print(f"{row['name']:<56}{value}{ratio}  {row['note']}")
    return rows


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    flags = argparse.ArgumentParser("benchmarks.decode", description=__doc__)
    flags.add_argument("--smallest", action="store_true", help="to see that it runs")
    flags.add_argument("--without_oracle", action="store_true", help="it takes minutes")
    flags.add_argument("--sides", type=int, nargs="+", default=[401, 801])
    flags.add_argument("--people", type=int, nargs="+", default=[1, 5, 20, 60])
    flags.add_argument("--repeats", type=int, default=7, help="the median of so many")
    args = flags.parse_args(argv)
    if args.smallest:
        args.sides, args.people, args.repeats = [65], [1, 2], 1
    return args


def _side(
    side: int,
    args: argparse.Namespace,
    representation: Representation,
    settings: DecodeSettings,
) -> list[Row]:
    read = functools.partial(
        decoder.decode, representation=representation, settings=settings
    )
    maps = {
        count: pictures.maps(side, count, SLOTS, representation)
        for count in args.people
    }
    first = maps[args.people[0]]
    single = jax.jit(read).lower(first).compile()
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * BATCH), first)
    batched = jax.jit(jax.vmap(read)).lower(stacked).compile()
    works: dict[str, Callable[[], Any]] = {}
    for count, one in maps.items():
        many = jax.tree.map(lambda leaf: jnp.stack([leaf] * BATCH), one)
        works[f"one by one, {count}"] = functools.partial(single, one)
        works[f"batched, {count}"] = functools.partial(batched, many)
    seconds = _alternate(works, args.repeats)
    rows: list[Row] = []
    base_ms = 1000 * statistics.median(seconds[f"one by one, {args.people[0]}"])
    for name, values in seconds.items():
        share = BATCH if name.startswith("batched") else 1
        ms = 1000 * statistics.median(values) / share
        note = f"ratio: to one by one, {args.people[0]} people"
        label = f"{side} px, {name} people, a picture"
        rows.append(_row(label, ms, "ms", ms / base_ms, note))
    rows.append(_row(f"{side} px, memory", _reserved(single), "MiB"))
    rows.append(_row(f"{side} px, memory of a batch", _reserved(batched), "MiB"))
    rows += _steps(side, maps[args.people[-1]], args, representation, settings)
    if not args.without_oracle:
        for count, one in maps.items():
            ours = statistics.median(seconds[f"one by one, {count}"])
            rows += _oracle(side, count, one, ours, representation, settings)
    return rows


def _oracle(
    side: int,
    count: int,
    maps: Maps,
    ours: float,
    representation: Representation,
    settings: DecodeSettings,
) -> list[Row]:
    """The loops, once; the ratio says how many times longer than ours they take."""
    host = jax.tree.map(np.asarray, maps)

    def work():
        return decode_oracle.decode(
            host, representation=representation, settings=settings
        )

    (seconds, found), grown = pictures.peak_memory(lambda: _timed(work))
    note = f"ratio: to ours, one by one; {len(found[2])} people found"
    name = f"{side} px, oracle, {count} people"
    return [
        _row(f"{name}, a picture", 1000 * seconds, "ms", seconds / ours, note),
        _row(f"{name}, memory", grown, "MiB"),
    ]


def _steps(
    side: int,
    maps: Maps,
    args: argparse.Namespace,
    representation: Representation,
    settings: DecodeSettings,
) -> list[Row]:
    """Every step alone, on what the steps before it give for the most people."""
    common = {"representation": representation, "settings": settings}
    vote = functools.partial(
        hough.vote, stride=representation.map_stride, radius=representation.radius
    )
    works: dict[str, Callable[[], Any]] = {}

    def step(name: str, function: Callable[..., Any], *inputs: Any) -> Any:
        works[name] = functools.partial(jax.jit(function), *inputs)
        return works[name]()

    def with_settings(function: Callable[..., Any]) -> Callable[..., Any]:
        return functools.partial(function, **common)

    votes = step("1 Hough", vote, maps.heatmap, maps.short)
    found = step("2 peaks", with_settings(decoder.find_candidates), maps, votes)
    people = step("3, 4 grouping", with_settings(decoder.find_people), maps, found)
    step("5, 6 scores, masks", with_settings(decoder.describe), maps, votes, people)
    seconds = _alternate(works, args.repeats)
    label = f"{side} px, {args.people[-1]} people, step"
    return [
        _row(f"{label} {name}", 1000 * statistics.median(values), "ms")
        for name, values in seconds.items()
    ]


def _alternate(
    works: dict[str, Callable[[], Any]], repeats: int
) -> dict[str, list[float]]:
    """Seconds of all, in turn, so that what slows the machine slows all of them."""
    for work in works.values():
        jax.block_until_ready(work())
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            gc.collect()
            start = time.perf_counter()
            jax.block_until_ready(work())
            seconds[name].append(time.perf_counter() - start)
    return seconds


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def _reserved(compiled: Any) -> float:
    """MiB that a compiled program needs beside its arguments."""
    memory = compiled.memory_analysis()
    return (memory.temp_size_in_bytes + memory.output_size_in_bytes) / 2**20


def _row(
    name: str, value: float, unit: str, ratio: float | None = None, note: str = ""
) -> Row:
    return {"name": name, "value": value, "unit": unit, "ratio": ratio, "note": note}


if __name__ == "__main__":
    main(sys.argv[1:])
