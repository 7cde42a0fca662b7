"""The input pipeline beside a bare loop of JPEG decoding and one warp.

    python -m benchmarks.loader
    python -m benchmarks.loader --root=coco

The pipeline is the one of training: prepared records -> augmented batches, in this
process (0 workers) and in 1, 2, ... loader processes. The bare loop does for the same
pictures, in the same views, what no pipeline can leave out: one thread decodes the
bytes at full size and warps them once to the input's size. People, colors and batches
are no concern of it. All has been read once before, so that no disk is measured.

"per core" is per second of processor time, of this process and all its children: what
a core gives that does nothing else.
"""

import functools
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import report
from benchmarks.loader_stages import Job, stages
from benchmarks.report import Row
from configs import base
from poseseg_jax.data.augment import AugmentSettings
from poseseg_jax.data.form import Form
from poseseg_jax.data.pipeline import TrainBatches, train_batches
from poseseg_jax.data.prepared import prepare, prepare_val
from poseseg_jax.data.settings import DataSettings
from poseseg_jax.data.sources import EMBEDDED

_BARE = "bare loop"
_STAGES = "stages"
_EMBEDDED_PICTURES = 1000


@dataclass(frozen=True)
class Cost:
    """Of one picture, in seconds."""

    wall: float
    processor: float


def main(argv: Sequence[str]) -> list[Row]:
    """Measures; the flags are described by --help.

    Raises:
      ValueError: for data that cannot be used.
    """
    args = _parse(argv)
    source = _source(args)
    config = base.get_config().to_dict()
    form = Form(args.batch_size, args.image_size, config["data"]["max_people"])
    augment = AugmentSettings(**config["augment"])
    # Batches that are made ahead are used up before the wall clock starts.
    ahead = 4 + 3 * max(args.workers)
    count = ahead + -(-args.pictures // args.batch_size)
    jobs = _jobs(source, form, augment, (args.repeats + 1) * count * form.rows)
    step = count * form.rows
    windows = [jobs[start : start + step] for start in range(0, len(jobs), step)]
    bare, apart = iter(windows), iter(windows)
    loaders = {w: _start(source, form, augment, w) for w in args.workers}
    tasks: dict[str, Callable[[], Any]] = {
        _BARE: lambda: _bare(source, next(bare), form.side),
        _STAGES: lambda: stages(source, next(apart), form, augment),
    }
    for workers, batches in loaders.items():
        tasks[_name(workers)] = functools.partial(
            _load, batches, count, ahead, form.rows
        )
    try:
        for task in tasks.values():
            task()  # starts processes, opens files, fills caches
        measured = report.alternate(tasks, args.repeats)
    finally:
        for batches in loaders.values():
            batches.close()
    parts = measured.pop(_STAGES)
    return [*_speeds(measured), *_shares(measured, parts)]


def _name(workers: int) -> str:
    return "1 worker" if workers == 1 else f"{workers} workers"


def _parse(argv: Sequence[str]) -> Any:
    flags = report.parser("loader", __doc__)
    flags.add_argument("--root", default="", help="data in COCO's layout: train2017")
    flags.add_argument("--annotations", type=Path, help="instead: a COCO-keypoint file")
    flags.add_argument("--images", type=Path, help="and the folder of its pictures")
    flags.add_argument("--prepared_dir", default="", help="as data.prepared_dir")
    flags.add_argument("--image_size", type=int, default=401, help="input side, px")
    flags.add_argument("--batch_size", type=int, default=8, help="pictures")
    flags.add_argument("--pictures", type=int, default=512, help="for each repeat")
    flags.add_argument(
        "--workers",
        type=lambda text: [int(number) for number in text.split(",")],
        default=[0, 1, 2],
        help="loader processes, 0: threads; a list with commas",
    )
    args = flags.parse_args(argv)
    if args.smallest:
        args.repeats, args.pictures, args.image_size = 1, 8, 33
        args.batch_size, args.workers = 4, [0, 1]
    return args


def _source(args: Any) -> Any:
    if args.annotations:
        if not args.images:
            raise ValueError("--annotations wants --images, the folder of its pictures")
        return prepare_val(
            args.annotations, args.images, prepared_dir=args.prepared_dir
        ).val
    data = base.get_config().to_dict()["data"] | {
        "root": args.root or EMBEDDED,
        "prepared_dir": args.prepared_dir,
        "embedded_train": args.pictures if args.smallest else _EMBEDDED_PICTURES,
        "embedded_val": 1,
    }
    return prepare(DataSettings(**data)).train


def _start(
    source: Any, form: Form, augment: AugmentSettings, workers: int
) -> TrainBatches:
    return train_batches(
        source,
        image_size=form.side,
        max_people=form.max_people,
        augment=augment,
        batch_size=form.rows,
        seed=0,
        num_workers=workers,
    )


class _Remembering:
    """A source that remembers which picture was where."""

    def __init__(self, source: Any):
        self.source = source
        self.places: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Any:
        record = self.source[index]
        self.places[int(record["image_id"])] = index
        return record


def _jobs(source: Any, form: Form, augment: AugmentSettings, count: int) -> list[Job]:
    """What the bare loop is given: what the pipeline makes its first pictures of."""
    remembering = _Remembering(source)
    batches = _start(remembering, form, augment, 0)
    jobs: list[Job] = []
    while len(jobs) < count:
        batch = next(batches)
        for image_id, view in zip(
            batch.image_id.tolist(), np.array(batch.to_input, np.float64), strict=True
        ):
            jobs.append(Job(remembering.places[image_id], view))
    batches.close()
    return jobs


def _bare(source: Any, jobs: list[Job], side: int) -> Cost:
    files = [np.frombuffer(source[job.index]["image"], np.uint8) for job in jobs]
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    _settle(_family(os.getpid()))
    wall, processor = time.perf_counter(), time.process_time()
    for file, job in zip(files, jobs, strict=True):
        image: Any = cv2.imdecode(file, cv2.IMREAD_COLOR)
        cv2.warpAffine(image, job.view, (side, side), flags=cv2.INTER_LINEAR)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    cv2.setNumThreads(threads)
    return Cost(wall / len(jobs), processor / len(jobs))


def _load(batches: TrainBatches, count: int, ahead: int, batch_size: int) -> Cost:
    """Takes `count` batches, the first `ahead` of them before the wall clock starts.

    Processor time runs from rest to rest, when all that is made ahead is made: so as
    many batches are made as are taken.
    """
    processes = _family(os.getpid())
    processor = _settle(processes)
    for _ in range(ahead):
        next(batches)
    start = time.perf_counter()
    for _ in range(count - ahead):
        next(batches)
    wall = time.perf_counter() - start
    processor = _settle(processes) - processor
    return Cost(wall / (count - ahead) / batch_size, processor / count / batch_size)


def _settle(processes: list[int]) -> float:
    """Waits until nobody makes batches ahead any more.

    Returns:
      The processor time that they have spent until then, seconds.
    """
    before, now = -1.0, 0.0
    while now - before > 1e-3:
        time.sleep(0.1)
        before, now = now, sum(_clock(process) for process in processes)
    return now


def _family(process: int) -> list[int]:
    """A process and its descendants."""
    found = [process]
    for thread in Path(f"/proc/{process}/task").iterdir():
        for child in (thread / "children").read_text().split():
            found += _family(int(child))
    return found


def _clock(process: int) -> float:
    # What clock_getcpuclockid of Linux' C library gives.
    return time.clock_gettime((~process << 3) | 2)


def _speeds(costs: dict[str, list[Cost]]) -> list[Row]:
    """Pictures per second and per core of each way to load."""
    rows = []
    for attribute, what in (("wall", ""), ("processor", ", per core")):
        series = {
            name: [1 / getattr(cost, attribute) for cost in measured]
            for name, measured in costs.items()
        }
        rows += [
            Row(
                name=name + what,
                value=statistics.median(values),
                unit="pictures/s",
                reference=_BARE + what,
                ratio=report.median_ratio(values, series[_BARE]),
            )
            for name, values in series.items()
        ]
    return rows


def _shares(costs: dict[str, list[Cost]], parts: list[dict[str, float]]) -> list[Row]:
    """Where a picture's processor time goes, as shares of the bare loop's."""
    spent = {name: [c.processor for c in measured] for name, measured in costs.items()}
    times = {name: [part[name] for part in parts] for name in parts[0]}
    inline = [sum(part.values()) for part in parts]
    rests = {
        "0 workers": "order, batch, threads",
        "1 worker": "order, batch, hand-over",
    }
    for name, rest in rests.items():
        if name in spent:
            pairs = zip(spent[name], inline, strict=True)
            times[f"the rest of {name}: {rest}"] = [a - b for a, b in pairs]
    return [
        Row(
            name,
            1e3 * statistics.median(seconds),
            "ms/picture",
            f"{_BARE}, per core",
            report.median_ratio(seconds, spent[_BARE]),
        )
        for name, seconds in times.items()
    ]


if __name__ == "__main__":
    report.run("loader", main)
