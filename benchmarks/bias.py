"""What the bias reduction of a whole annotation file costs, stage by stage.

    python -m benchmarks.bias --annotations=J

The reference, in the same run, makes the same iterations as one would without much
thought: for each, the entries of its pictures are picked and given to `json`, by
`json.dump` into the file, or by `json.dumps`, which is faster and needs more memory.
Whatever is measured runs in a process of its own, so that its peak of memory is its.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poseseg_jax.coco.annotations import parse, read_document
from poseseg_jax.data import iteration_files
from poseseg_jax.data.bias import REDUCTIONS, count_heads
from poseseg_jax.data.iterations import Iteration, plan

Row = dict[str, Any]
_REDUCTIONS = [reduction for reduction in REDUCTIONS if reduction]


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


def main(argv: list[str]) -> list[Row]:
    """Measures and prints; returns the rows: name, value, unit, note."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--annotations", type=Path, required=True, help="COCO-keypoint file"
    )
    annotations = parser.parse_args(argv).annotations
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
    rows = [
        _row("command", total, "s", f"{annotations.name}, all files and charts"),
        _row("command, peak memory", peak, "MiB", "with Python and its libraries"),
        *(_row(stage, ours[stage], "s", note) for stage, note in notes.items()),
        *(_row(f"reference: {how}", theirs[how], "s", files) for how in theirs),
        _row("reference, peak memory", theirs_peak, "MiB", "of both ways"),
        _row(
            "times as fast",
            min(theirs.values()) / (ours["serialise"] + ours["write"]),
            "x",
            "serialise and write, against the faster of the two",
        ),
    ]
    for row in rows:
        print(f"{row['name']:24}{row['value']:>10.2f} {row['unit']:4} {row['note']}")
    return rows


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


def _row(name: str, value: float, unit: str, note: str) -> Row:
    return {"name": name, "value": value, "unit": unit, "note": note}


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
    main(sys.argv[1:])
