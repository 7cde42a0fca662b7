"""A training step beside the same step in PyTorch.

    python -m benchmarks.train_step
    python -m benchmarks.train_step --backbones resnet50 resnet101 --batches 16 32 64

On an accelerator the real config is measured, at its size and in bfloat16; on a CPU the
preset `tiny` and a small ResNet, in float32. Ours is one program: targets, network,
loss, gradient, optimiser, average. The twin (torch_twin.py) is given ready targets. It
is compiled, in channels-last order, and in bfloat16 where ours is. Both begin with the
same parameters and see the same batch again and again, which is on the device already.
The two take turns, a few steps each.

PyTorch is no dependency. Where it is not installed, ours is measured alone.
"""

import argparse
import contextlib
import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from benchmarks import pictures, report, torch_twin
from benchmarks.report import Row
from benchmarks.torch_twin import Twin
from configs import base
from poseseg_jax import config, devices, speed, targets, train_step
from poseseg_jax.config import Settings
from poseseg_jax.structs import Batch, TrainState

PEOPLE = 4  # in a picture


def main(argv: Sequence[str]) -> list[Row]:
    """Measures; the flags are described by --help."""
    given = _parse(argv)
    with contextlib.suppress(RuntimeError):  # JAX has its devices: it was asked before
        devices.use_every_core(min(given.batches or [8]))
    is_cpu = jax.default_backend() == "cpu"
    rows = []
    for backbone in given.backbones or (["tiny", "resnet18"] if is_cpu else [""]):
        for batch_size in given.batches or ([8] if is_cpu else [8, 16, 32]):
            settings = _settings(backbone, batch_size, given, is_cpu=is_cpu)
            rows += _Case(settings, given).rows()
    return rows


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    flags = report.parser("train_step", __doc__)
    flags.add_argument("--backbones", nargs="+", help="of configs/base.py")
    flags.add_argument("--batches", type=int, nargs="+", help="pictures in a step")
    flags.add_argument("--side", type=int, help="of the pictures, px")
    flags.add_argument("--steps", type=int, default=5, help="in a turn")
    text = "leaves torch.compile out, as where there is no compiler for C++"
    flags.add_argument("--eager", action="store_true", help=text)
    given = flags.parse_args(argv)
    if given.smallest:
        given.backbones, given.batches, given.side = ["tiny"], [2], 65
        given.steps, given.repeats, given.eager = 1, 1, True
    return given


def _settings(
    backbone: str, batch_size: int, given: argparse.Namespace, *, is_cpu: bool
) -> Settings:
    fields = base.get_config("tiny" if backbone == "tiny" else "").to_dict()
    fields["train"]["batch_size"] = batch_size
    if given.smallest:
        fields["model"] |= {"width": 0.1, "neck_channels": 8}
    if backbone:
        fields["model"]["backbone"] = backbone
    if is_cpu:
        fields["model"]["dtype"] = "float32"
    if is_cpu and backbone != "tiny":
        fields["train"]["image_size"] = 129
    if given.side:
        fields["train"]["image_size"] = given.side
    return config.parse(fields)


class _Case:
    """What is measured of one network, at one size and batch."""

    def __init__(self, settings: Settings, given: argparse.Namespace):
        self._settings, self._given = settings, given
        train = settings.train
        self._label = (
            f"{settings.model.backbone}, {train.image_size} px, batch of "
            f"{train.batch_size}"
        )
        self._batch = _batch(settings)
        self._flops = speed.step_flops(settings) or float("nan")

    def rows(self) -> list[Row]:
        """Of ours, and of the twin if there is one."""
        state, step, rows = self._ours()
        tasks = {f"{self._label}, ours": step}
        twin = f"{self._label}, PyTorch"
        if torch_twin.is_installed():
            tasks[twin], of_twin = self._twin(state)
            rows += of_twin
        else:
            note = "torch is not installed"
            rows.append(Row(twin, 0, "steps", note=note))
        rows += self._timed(tasks)
        return rows

    def _ours(self) -> tuple[TrainState, Callable[[], Any], list[Row]]:
        """The state, as it was before the first step; a step; what is known of it."""
        init, step = train_step.build(self._settings)
        place = _places(self._settings)
        kept = jax.jit(init, out_shardings=place[0])()
        batch = jax.device_put(self._batch, place[1])
        start = time.perf_counter()
        compiled: Any = jax.jit(step, donate_argnums=0).lower(kept, batch).compile()
        seconds = time.perf_counter() - start
        memory = compiled.memory_analysis()
        state, current = jax.device_get((kept.params, kept.batch_stats)), [kept]

        def one() -> Any:
            current[0], said = compiled(current[0], batch)
            return said

        name = f"{self._label}, ours"
        needed = memory.argument_size_in_bytes + memory.temp_size_in_bytes
        flops = self._flops
        count = sum(leaf.size for leaf in jax.tree.leaves(state[0]))
        rows = [
            Row(f"{name}, compilation", seconds, "s"),
            Row(f"{name}, memory", needed / 2**20, "MiB", note="of each device"),
            Row(f"{name}, parameters", count / 1e6, "million"),
            Row(f"{name}, operations", flops / 1e9, "GFLOP", note="of a step, by XLA"),
        ]
        return state, one, rows

    def _twin(self, state: Any) -> tuple[Callable[[], Any], list[Row]]:
        device = "cpu" if jax.default_backend() == "cpu" else "cuda"
        variables = {"params": state[0], "batch_stats": state[1]}
        is_compiled = not self._given.eager
        twin = Twin(self._settings, variables, device=device, is_compiled=is_compiled)
        truth = jax.device_get(_targets(self._settings, self._batch))
        batch = twin.put(self._batch, truth)
        flops = twin.flops(*batch)
        how = "not compiled" if self._given.eager else "and the first step"
        if device == "cpu":
            how += f"; threads: {twin.choose_threads(*batch)}"
        start = time.perf_counter()
        twin.step(*batch)
        twin.wait()
        seconds = time.perf_counter() - start

        def one() -> Any:
            twin.step(*batch)
            return twin

        name, ours = f"{self._label}, PyTorch", f"{self._label}, ours"
        count = sum(leaf.size for leaf in jax.tree.leaves(state[0]))
        rows = [
            Row(f"{name}, compilation", seconds, "s", note=how),
            Row(
                f"{name}, parameters",
                twin.num_parameters / 1e6,
                "million",
                f"{ours}, parameters",
                twin.num_parameters / count,
            ),
            Row(
                f"{name}, operations",
                flops / 1e9,
                "GFLOP",
                f"{ours}, operations",
                flops / self._flops,
                "convolutions and products only, padding counted",
            ),
        ]
        return one, rows

    def _timed(self, tasks: dict[str, Callable[[], Any]]) -> list[Row]:
        """Steps in turns, once each has been made."""
        steps, batch = self._given.steps, self._settings.train.batch_size
        for task in tasks.values():
            _wait(task())
        turns = {
            name: functools.partial(_turn, task, steps) for name, task in tasks.items()
        }
        seconds = report.alternate(turns, self._given.repeats)
        ours = next(iter(seconds))
        rows = []
        for name, values in seconds.items():
            ratio = report.median_ratio(values, seconds[ours])
            each = statistics.median(values)
            rows += [
                Row(f"{name}, step", 1000 * each, "ms", f"{ours}, step", ratio),
                Row(
                    f"{name}, pictures",
                    batch / each,
                    "1/s",
                    f"{ours}, pictures",
                    1 / ratio,
                ),
            ]
        return rows + self._utilised(ours, statistics.median(seconds[ours]))

    def _utilised(self, name: str, each: float) -> list[Row]:
        peak = speed.peak(jax.devices()[0].device_kind)
        if peak is None:
            return []
        share = self._flops / each / peak
        note = f"of {peak / 1e12:.0f} TFLOP/s, {jax.devices()[0].device_kind}"
        return [Row(f"{name}, MFU", 100 * share, "%", note=note)]


def _turn(task: Callable[[], Any], steps: int) -> float:
    """Seconds of a step."""
    start = time.perf_counter()
    for _ in range(steps):
        last = task()
    _wait(last)
    return (time.perf_counter() - start) / steps


def _wait(last: Any) -> None:
    if isinstance(last, Twin):
        last.wait()
    else:
        jax.block_until_ready(last)


def _places(settings: Settings) -> tuple[Any, Any]:
    """Of parameters and of batches: a CPU's cores, or one accelerator."""
    if jax.default_backend() == "cpu" and not (
        settings.train.batch_size % jax.device_count()
    ):
        return devices.everywhere(), devices.split()
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return place, place


def _batch(settings: Settings) -> Batch:
    """Pictures of a few people, with noise in them."""
    train, rows = settings.train, settings.data.max_people
    one = pictures.crowd(train.image_size, PEOPLE, rows)
    batch = jax.tree.map(lambda leaf: np.stack([leaf] * train.batch_size), one)
    noise = np.random.default_rng(0).integers(0, 256, batch.image.shape, np.uint8)
    return dataclasses.replace(batch, image=noise)


def _targets(settings: Settings, batch: Batch) -> Any:
    make = functools.partial(
        targets.make,
        representation=settings.representation,
        hard_keypoint_weight=settings.loss.hard_keypoint_weight,
    )
    return jax.jit(make)(batch)


if __name__ == "__main__":
    report.run("train_step", main)
