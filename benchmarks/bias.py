"""What the bias reduction of a whole annotation file costs, stage by stage.

    python -m benchmarks.bias --annotations=J

Without a file, one of COCO's size is made up: as many pictures, heads and keypoints.
The reference, in the same run, makes the same iterations as one would without much
thought: for each, the entries of its pictures are picked and given to `json`, by
`json.dump` into the file, or by `json.dumps`, which is faster and needs more memory.
Whatever is measured runs in a process of its own, so that its peak of memory is its.
"""

import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.report import Row
from poseseg_jax.coco.annotations import parse, read_document
from poseseg_jax.data import iteration_files
from poseseg_jax.data.bias import COCO_HEAD_COUNTS, REDUCTIONS, count_heads
from poseseg_jax.data.iterations import Iteration, plan

_REDUCTIONS = [reduction for reduction in REDUCTIONS if reduction]
_PICTURES = 56_599  # of COCO train2017 with somebody who has a labelled keypoint
_FEW = 60


def command(annotations: Path, output: Path) -> None:
    """What `python -m poseseg_jax.data.bias` does, charts and summary included."""
    iteration_files.write_all(annotations, output, reductions=_REDUCTIONS)


def stages(annotations: Path, output: Path) -> dict[str, float]:
    """Seconds of each of its stages."""
    clock = _Clock()
    document = read_document(annotations)
    clock.stop("read")
    labels = parse(document, source=str(annotations))
    clock.stop("parse")
    heads = count_heads(labels.pictures, count="labelled")
    whole, *iterations = plan(heads, seed=0, reductions=_REDUCTIONS)
    clock.stop("order")
    entries = iteration_files.serialise(document, whole.image_ids)
    clock.stop("serialise")
    for part in iterations:
        path = output / f"{part.name}.json"
        iteration_files.write(path, entries.file_of(part.image_ids))
    clock.stop("write")
    return clock.seconds


def reference(annotations: Path, output: Path) -> dict[str, float]:
    """Seconds of writing the same iterations by `json`, in both ways."""
    document = read_document(annotations)
    labels = parse(document, source=str(annotations))
    heads = count_heads(labels.pictures, count="labelled")
    _, *iterations = plan(heads, seed=0, reductions=_REDUCTIONS)
    clock = _Clock()
    for part in iterations:
        with (output / f"{part.name}.json").open("w") as file:
            json.dump(_pick(document, part), file)
    clock.stop("json.dump")
    for part in iterations:
        (output / f"{part.name}.json").write_text(json.dumps(_pick(document, part)))
    clock.stop("json.dumps")
    return clock.seconds


def main(argv: Sequence[str]) -> list[Row]:
    """Measures every stage once; the peak of memory is the process' own."""
    flags = report.parser("bias", __doc__, repeats=False)
    flags.add_argument("--annotations", type=Path, help="COCO-keypoint file")
    given = flags.parse_args(argv)
    if given.annotations:
        return _measured(given.annotations)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "made_up.json"
        make_up(path, num_pictures=_FEW if given.smallest else _PICTURES)
        return _measured(path)


def make_up(path: Path, *, num_pictures: int) -> None:
    """Writes an annotation file without masks, with COCO's share of every head count.

    Args:
      path: of the file.
      num_pictures: how many; every one shows somebody.
    """
    rng = np.random.default_rng(0)
    shares = np.array(COCO_HEAD_COUNTS) / sum(COCO_HEAD_COUNTS)
    heads = 1 + rng.choice(len(shares), num_pictures, p=shares)
    images = [
        {"id": i, "file_name": f"{i:012d}.jpg", "height": 480, "width": 640}
        for i in range(1, num_pictures + 1)
    ]
    person = {"category_id": 1, "iscrowd": 0, "segmentation": [], "num_keypoints": 17}
    person |= {"bbox": [100.5, 100.25, 150.0, 200.75], "area": 12345.6}
    places = rng.integers(110, 240, (heads.sum(), 17, 3))
    places[..., 2] = 2
    owners = np.repeat(np.arange(1, num_pictures + 1), heads)
    annotations = [
        {"id": i, "image_id": int(owner), "keypoints": place.ravel().tolist(), **person}
        for i, (owner, place) in enumerate(zip(owners, places, strict=True), 1)
    ]
    categories = [{"id": 1, "name": "person"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))


def _measured(annotations: Path) -> list[Row]:
    _, total, peak = _alone(command, annotations)
    ours, _, _ = _alone(stages, annotations)
    theirs, _, theirs_peak = _alone(reference, annotations)
    files = f"{len(_REDUCTIONS)} files"
    notes = {
        "read": "JSON, decompressed",
        "parse": "every entry checked",
        "order": "heads counted, pictures shuffled",
        "serialise": "every entry once",
        "write": f"{files}, joined and hashed",
    }
    faster = min(theirs, key=theirs.__getitem__)
    both = ours["serialise"] + ours["write"]
    name, of_both = f"reference: {faster}", "reference, peak memory"
    return [
        Row("command", total, "s", note=f"{annotations.name}, all files and charts"),
        Row("command, peak memory", peak, "MiB", of_both, peak / theirs_peak),
        *(Row(stage, ours[stage], "s", note=note) for stage, note in notes.items()),
        Row("serialise and write", both, "s", name, both / theirs[faster]),
        *(Row(f"reference: {how}", theirs[how], "s", note=files) for how in theirs),
        Row(of_both, theirs_peak, "MiB", note="of both ways"),
    ]


def _pick(document: dict, part: Iteration) -> dict:
    kept = set(part.image_ids)
    images = [e for e in document["images"] if e["id"] in kept]
    annotations = [e for e in document["annotations"] if e["image_id"] in kept]
    return {**document, "images": images, "annotations": annotations}


class _Clock:
    """Seconds since it was last stopped, by name."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def stop(self, name: str) -> None:
        now = time.perf_counter()
        self.seconds[name], self._last = now - self._last, now


def _alone(measured: Callable[[Path, Path], Any], annotations: Path) -> Any:
    """What it returns, seconds, and MiB at its peak, in a process of its own."""
    with (
        multiprocessing.get_context("spawn").Pool(1) as pool,
        tempfile.TemporaryDirectory() as output,
    ):
        return pool.apply(_measure, (measured, annotations, Path(output)))


def _measure(measured: Callable, annotations: Path, output: Path) -> Any:
    start = time.perf_counter()
    result = measured(annotations, output)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return result, seconds, peak / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    report.run("bias", main)
