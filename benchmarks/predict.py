"""What `predict` costs beside the bare network, stage by stage, and what it compiles.

    python -m benchmarks.predict --workdir=runs/tiny

Drawn pictures of mixed sizes and shapes, JPEG files, go through `predict` as the
command does it, and their inputs through the network and its decoder alone. Then every
stage is timed by itself, one picture after the other in one thread; its ratio is its
share of their sum. Without a workdir, the network has random weights, and finds nobody.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import jax
import numpy as np

from benchmarks import report
from benchmarks.report import Row
from configs import base
from poseseg_jax import config as config_lib
from poseseg_jax import inference, visualize
from poseseg_jax.data import named
from poseseg_jax.data.drawing.scenes import draw_scene
from poseseg_jax.data.photos import open_photo
from poseseg_jax.decode.decode import decode
from poseseg_jax.inference import Trained
from poseseg_jax.models import poseseg
from poseseg_jax.predict import predict
from poseseg_jax.predictions import DRAWINGS, draw
from poseseg_jax.predictor import Look, Predictor
from poseseg_jax.seeing import MAX_SIDE

# (width, height), as phones, cameras, COCO and videos have them.
_SIZES = (
    *((640, 480), (480, 640), (640, 427), (500, 375), (1280, 720), (720, 1280)),
    *((800, 800), (2048, 1536), (333, 500), (1920, 1080)),
)
_WHOLE = "predict"
_ALL = "all stages, one by one"


def main(argv: Sequence[str]) -> list[Row]:
    """Times the command, the bare network, and every stage."""
    flags = report.parser("predict", __doc__, repeats=False)
    flags.add_argument("--workdir", help="a trained run; default: random weights")
    flags.add_argument("--preset", default="tiny", help="of the config without a run")
    flags.add_argument("--pictures", type=int, default=200, help="how many")
    flags.add_argument("--batch_size", type=int, help="as the command has it")
    given = flags.parse_args(argv)
    count = 3 if given.smallest else given.pictures
    trained = (
        inference.restore(Path(given.workdir))
        if given.workdir
        else _untrained(given.preset)
    )
    predictor = Predictor(trained, batch_size=given.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        files = _draw(Path(folder) / "in", count)
        return _measure(predictor, files, Path(folder) / "out")


def _measure(predictor: Predictor, files: Sequence[Path], output: Path) -> list[Row]:
    inputs, _ = named.find([str(path) for path in files], output=output)
    looks = [predictor.look(open_photo(path)) for path in files]
    shapes = {look.input.shape: look for look in looks}
    with _compilations() as warm_up:
        for look in shapes.values():
            list(predictor.find([look]))
            predictor.maps(look)
    with _compilations() as again:
        whole = report.seconds(lambda: predict(predictor, inputs, output))
        bare = report.seconds(lambda: list(predictor.find(looks)))
    stages = _stages(predictor, files, output)
    total = sum(stages.values())
    pictures = len(files)
    people = sum(
        len(predictor.people(*found)) for found in predictor.find(looks[:20])
    ) / min(pictures, 20)
    return [
        Row("bare network", pictures / bare, "pictures/s", "bare network", 1.0),
        Row(
            _WHOLE,
            pictures / whole,
            "pictures/s",
            "bare network",
            bare / whole,
            f"{pictures} pictures, {people:.1f} people in each, batches of "
            f"{predictor.batch_size}, {jax.default_backend()}",
        ),
        Row("programs compiled before", len(warm_up), f"of {len(shapes)} shapes"),
        Row("programs compiled meanwhile", len(again), "programs"),
        Row(_ALL, 1000 * total, "ms a picture", _ALL, 1.0),
        *(
            Row(name, 1000 * seconds, "ms a picture", _ALL, seconds / total)
            for name, seconds in stages.items()
        ),
    ]


def _stages(
    predictor: Predictor, files: Sequence[Path], output: Path
) -> dict[str, float]:
    """Mean seconds a picture, of each stage by itself."""
    spent: dict[str, list[float]] = {}
    settings = predictor.settings
    read = partial(
        decode, representation=settings.representation, settings=settings.decode
    )
    compiled: dict[tuple[int, ...], Any] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = jax.block_until_ready(work())
        spent.setdefault(name, []).append(time.perf_counter() - start)
        return result

    for path in files:
        photo, canvas = timed("read and decode, to draw on", lambda p=path: _read(p))
        look: Look = timed("input, decoded to size", lambda p=photo: predictor.look(p))
        # All maps come to the host here, which they do not have to elsewhere.
        maps = timed("network", lambda seen=look: predictor.maps(seen))
        maps = jax.block_until_ready(jax.device_put(maps))
        shape = look.input.shape
        if shape not in compiled:
            compiled[shape] = jax.jit(read).lower(maps).compile()
        timed("decoder", lambda m=maps, s=shape: compiled[s](m))
        found = next(iter(predictor.find([look])))
        people = timed("masks", lambda f=found: predictor.people(*f))
        for kind in DRAWINGS:
            drawn = timed(
                f"drawing {kind}",
                lambda k=kind, c=canvas, p=people: draw(k, c, p),
            )
            target = output / f"{path.stem}_{kind}.png"
            timed(
                f"writing {kind}",
                lambda t=target, d=drawn: visualize.write_png(t, d),
            )
        timed("run lengths", lambda p=people: [one.to_coco(1) for one in p])
    return {name: statistics.fmean(seconds) for name, seconds in spent.items()}


def _read(path: Path) -> tuple[Any, np.ndarray]:
    photo = open_photo(path)
    return photo, photo.reduced(MAX_SIDE)


def _untrained(preset: str) -> Trained:
    settings = config_lib.parse(base.get_config(preset).to_dict())
    network = poseseg.build(settings.model, settings.representation)
    side = settings.train.image_size
    images = np.zeros((1, side, side, 3), np.uint8)
    start: Any = jax.jit(lambda key: network.init(key, images, train=False))
    return Trained(settings, start(jax.random.key(0)), step=0)


def _draw(folder: Path, count: int) -> list[Path]:
    """JPEG files of drawn people at all sizes."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    files = []
    for index in range(count):
        image = draw_scene(rng, int(rng.integers(1, 8))).image
        size = _SIZES[index % len(_SIZES)]
        path = folder / f"{index + 1:06d}.jpg"
        resized = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(path), cv2.cvtColor(resized, cv2.COLOR_RGB2BGR))
        files.append(path)
    return files


@contextmanager
def _compilations() -> Iterator[list[str]]:
    """Notes every program that JAX hands to XLA meanwhile."""
    seen: list[str] = []

    def hear(event: str, duration_secs: float, **_: Any) -> None:
        del duration_secs
        if event.endswith("backend_compile_duration"):
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(hear)
    try:
        yield seen
    finally:
        jax.monitoring.unregister_event_duration_listener(hear)


if __name__ == "__main__":
    report.run("predict", main)
