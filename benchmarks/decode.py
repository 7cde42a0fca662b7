"""The decoder beside the loops in NumPy that its tests compare it with.

    python -m benchmarks.decode
    python -m benchmarks.decode --loops_people 1 5 20 60 --loops_sides 401 801

The second takes an hour.

Perfect maps of 1, 5, 20 and 60 people, at 401 and 801 px, are decoded one by one, in
batches, and by tests/decode_oracle.py, which does the same steps cell by cell and
person by person. Then every step of the decoder is timed alone. Memory is what XLA
reserves for one picture beside its maps, and by how much the oracle's process grows.
"""

import argparse
import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import pictures, report
from benchmarks.report import Row
from configs import base
from poseseg_jax import config
from poseseg_jax.decode import decode as decoder
from poseseg_jax.decode import hough
from poseseg_jax.decode.settings import DecodeSettings
from poseseg_jax.representation import Representation
from poseseg_jax.structs import Maps
from tests import decode_oracle

SLOTS = 60
BATCH = 8


def main(argv: Sequence[str]) -> list[Row]:
    """Measures; the flags are described by --help."""
    given = _parse(argv)
    settings = config.parse(base.get_config().to_dict())
    slots = dataclasses.replace(settings.decode, max_people=SLOTS)
    rows = []
    for side in given.sides:
        rows += _Side(side, given, settings.representation, slots).rows()
    return rows


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    flags = report.parser("decode", __doc__)
    flags.add_argument("--sides", type=int, nargs="+", default=[401, 801], help="px")
    flags.add_argument(
        "--people",
        type=int,
        nargs="+",
        default=[1, 5, 20, 60],
        help="how many in a picture",
    )
    for name, default in (("sides", [401]), ("people", [1, 20])):
        text = "for which of them loops are run"
        flags.add_argument(
            f"--loops_{name}", type=int, nargs="*", default=default, help=text
        )
    given = flags.parse_args(argv)
    if given.smallest:
        given.sides, given.people, given.repeats = [65], [1, 2], 1
        given.loops_sides, given.loops_people = [65], [1, 2]
    return given


class _Side:
    """What is measured of pictures of one size."""

    def __init__(
        self,
        side: int,
        given: argparse.Namespace,
        representation: Representation,
        settings: DecodeSettings,
    ):
        self._side, self._given = side, given
        self._common = {"representation": representation, "settings": settings}
        self._maps = {
            count: pictures.maps(side, count, SLOTS, representation)
            for count in given.people
        }

    def rows(self) -> list[Row]:
        """Timings of the whole, of the loops and of the steps; memory."""
        read = functools.partial(decoder.decode, **self._common)
        one = next(iter(self._maps.values()))
        single = jax.jit(read).lower(one).compile()
        batched = jax.jit(jax.vmap(read)).lower(_stack(one)).compile()
        tasks = {}
        for count, maps in self._maps.items():
            tasks[self._name("one by one", count)] = functools.partial(single, maps)
            of_batch = functools.partial(batched, _stack(maps))
            tasks[self._name(f"batches of {BATCH}", count)] = of_batch
        seconds = _measured(tasks, self._given.repeats)
        rows = self._of_tasks(seconds)
        if self._side in self._given.loops_sides:
            for count in sorted(set(self._maps) & set(self._given.loops_people)):
                rows += self._oracle(count, self._maps[count], seconds)
        rows += self._steps()
        return [
            *rows,
            Row(f"{self._side} px, memory of one", _reserved(single), "MiB"),
            Row(f"{self._side} px, memory of {BATCH}", _reserved(batched), "MiB"),
        ]

    def _name(self, how: str, count: int) -> str:
        return f"{self._side} px, {count} people, {how}"

    def _of_tasks(self, seconds: Mapping[str, list[float]]) -> list[Row]:
        """Each beside one picture of the fewest people."""
        reference = next(iter(seconds))
        rows = []
        for name, values in seconds.items():
            share = BATCH if "batches" in name else 1
            each = [value / share for value in values]
            ratio = report.median_ratio(each, seconds[reference])
            rows.append(Row(name, _ms(each), "ms", reference, ratio, "a picture"))
        return rows

    def _oracle(
        self, count: int, maps: Maps, seconds: Mapping[str, list[float]]
    ) -> list[Row]:
        """The loops, once."""
        host = jax.tree.map(np.asarray, maps)

        def work() -> tuple[float, Any]:
            start = time.perf_counter()
            found = decode_oracle.decode(host, **self._common)
            return time.perf_counter() - start, found

        (taken, found), grown = report.peak_memory(work)
        reference = self._name("one by one", count)
        ratio = taken / statistics.median(seconds[reference])
        name, note = self._name("NumPy loops", count), f"{len(found[2])} found, once"
        return [
            Row(name, 1000 * taken, "ms", reference, ratio, note),
            Row(f"{name}, memory", grown, "MiB"),
        ]

    def _steps(self) -> list[Row]:
        """Every step alone, on what the steps before it give for the most people."""
        count, maps = list(self._maps.items())[-1]
        representation = self._common["representation"]
        radius, stride = representation.radius, representation.map_stride
        tasks: dict[str, Callable[[], Any]] = {}

        def step(name: str, function: Callable[..., Any], *inputs: Any) -> Any:
            task = functools.partial(jax.jit(function), *inputs)
            tasks[self._name(f"step {name}", count)] = task
            return task()

        def bind(function: Callable[..., Any]) -> Callable[..., Any]:
            return functools.partial(function, **self._common)

        vote = functools.partial(hough.vote, stride=stride, radius=radius)
        votes = step("1, Hough", vote, maps.heatmap, maps.short)
        found = step("2, peaks", bind(decoder.find_candidates), maps, votes)
        people = step("3 and 4, grouping", bind(decoder.find_people), maps, found)
        step("5 and 6, scores and masks", bind(decoder.describe), maps, votes, people)
        seconds = _measured(tasks, self._given.repeats)
        return [Row(name, _ms(values), "ms") for name, values in seconds.items()]


def _measured(
    tasks: Mapping[str, Callable[[], Any]], repeats: int
) -> dict[str, list[float]]:
    """Seconds of each, once it is compiled."""

    def timed(task: Callable[[], Any]) -> float:
        start = time.perf_counter()
        jax.block_until_ready(task())
        return time.perf_counter() - start

    for task in tasks.values():
        jax.block_until_ready(task())
    clocked = {name: functools.partial(timed, task) for name, task in tasks.items()}
    return report.alternate(clocked, repeats)


def _stack(maps: Maps) -> Maps:
    return jax.tree.map(lambda leaf: jnp.stack([leaf] * BATCH), maps)


def _ms(seconds: Sequence[float]) -> float:
    return 1000 * statistics.median(seconds)


def _reserved(compiled: Any) -> float:
    """MiB that a compiled program needs beside its arguments."""
    memory = compiled.memory_analysis()
    return (memory.temp_size_in_bytes + memory.output_size_in_bytes) / 2**20


if __name__ == "__main__":
    report.run("decode", main)
