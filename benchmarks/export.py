"""What the exported program costs beside the Predictor's own function.

    python -m benchmarks.export [--workdir=W]

One drawn picture after the other, with 3 people: at the network's own size, and at
640 x 480, where the Predictor reduces it and samples the masks on the host, and the
program on the device. Without a workdir, the model in the box is exported.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import jax
import numpy as np

from benchmarks import report
from benchmarks.report import Row
from poseseg_jax import export, inference
from poseseg_jax.data.drawing.scenes import draw_scene
from poseseg_jax.data.photos import of_pixels
from poseseg_jax.predictor import Predictor

_BARE = "Predictor's function"
_WHOLE = "Predictor, 640 x 480"


def main(argv: Sequence[str]) -> list[Row]:
    """Exports both formats, and times the program."""
    flags = report.parser("export", __doc__)
    flags.add_argument("--workdir", help="a trained network; default: the box")
    given = flags.parse_args(argv)
    workdir = Path(given.workdir) if given.workdir else inference.BOX
    repeats = 1 if given.smallest else 4 * given.repeats
    changes: dict[str, Any] = {}
    if given.smallest:  # fewer slots and a smaller input compile faster
        changes = {"eval.zoom": 0.5, "decode.max_people": 4}
    with tempfile.TemporaryDirectory() as folder:
        weights = export.export_safetensors(workdir, Path(folder), changes=changes)
        start = time.perf_counter()
        path = export.export_program(workdir, Path(folder), changes=changes)
        exporting = time.perf_counter() - start
        predictor = Predictor.from_workdir(folder, square=True, min_score=0.0)
        sizes = [file.stat().st_size / 1e6 for file in (weights, path)]
        start = time.perf_counter()
        exported = jax.export.deserialize(bytearray(path.read_bytes()))
        loading = time.perf_counter() - start
    find = jax.jit(exported.call)
    rows, compiling = _time(predictor, find, repeats)
    return [
        *rows,
        Row("exporting", exporting, "s", note="cpu and cuda"),
        Row("loading", loading, "s"),
        Row("compiling", compiling, "s", note=f"640 x 480, {jax.default_backend()}"),
        Row("model.safetensors", sizes[0], "MB", "model.safetensors", 1.0),
        Row("program.jax", sizes[1], "MB", "model.safetensors", sizes[1] / sizes[0]),
    ]


def _time(
    predictor: Predictor, find: Callable[..., Any], repeats: int
) -> tuple[list[Row], float]:
    """The rows, and seconds until the program has seen its first picture."""
    side = predictor.settings.eval_image_size
    scene = draw_scene(np.random.default_rng(0), 3).image
    small, large = (_resized(scene, size) for size in ((side, side), (640, 480)))
    look = predictor.look(of_pixels(small))
    tasks = {
        _BARE: lambda: list(predictor.find([look])),
        "program, the same input": lambda: _call(find, small),
        _WHOLE: lambda: predictor(large),
        "program, 640 x 480": lambda: _call(find, large),
    }
    took = {name: report.seconds(task) for name, task in tasks.items()}
    compiling = took["program, 640 x 480"]
    spent = report.alternate(
        {name: lambda task=task: report.seconds(task) for name, task in tasks.items()},
        repeats,
    )
    rows = [
        Row(
            name,
            1000 * statistics.median(seconds),
            "ms a picture",
            reference,
            report.median_ratio(seconds, spent[reference]),
        )
        for (name, seconds), reference in zip(
            spent.items(), (_BARE, _BARE, _WHOLE, _WHOLE), strict=True
        )
    ]
    return rows, compiling


def _call(find: Callable[..., Any], picture: np.ndarray) -> Any:
    size = np.array([picture.shape[:2]], np.int32)
    return jax.device_get(find(picture[None], size))


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC))


if __name__ == "__main__":
    report.run("export", main)
