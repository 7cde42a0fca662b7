"""Pictures and videos through a Predictor, onto the disk.

Threads read and decode ahead of the network, and behind it make masks, draw and write;
OpenCV lets go of Python's lock for most of that. What is under way is bounded, however
many pictures there are.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import UInt8

from poseseg_jax import visualize
from poseseg_jax.colors import Colors
from poseseg_jax.data.named import Input
from poseseg_jax.data.photos import of_pixels, open_photo
from poseseg_jax.data.videos import Frames, Recorder
from poseseg_jax.people import Person
from poseseg_jax.predictions import DRAWINGS, Predictions, draw
from poseseg_jax.predictor import Look, Predictor
from poseseg_jax.sheets.said import said_sheet
from poseseg_jax.structs import Instances

_log = logging.getLogger(__name__)

MAX_SIDE = 1600
THREADS = min(os.cpu_count() or 1, 8)
_AHEAD = 2 * THREADS  # pictures that are read, and that are drawn, at a time

T = TypeVar("T")
R = TypeVar("R")
Canvas = UInt8[np.ndarray, "_ _ 3"]


@dataclass(frozen=True)
class Wishes:
    """What is to be left, and of what.

    Attributes:
      drawings: some of DRAWINGS.
      max_side: px of drawings; the longer side of larger pictures is reduced to it. 0:
        drawings are as large as their picture.
      maps: whether pictures get a sheet with everything that the network says.
      every: of so many frames of a video, the first is looked at.
    """

    drawings: tuple[str, ...] = DRAWINGS
    max_side: int = MAX_SIDE
    maps: bool = False
    every: int = 1

    def __post_init__(self):
        unknown = [name for name in self.drawings if name not in DRAWINGS]
        if unknown:
            raise ValueError(
                f"drawings are {unknown}; expected some of {list(DRAWINGS)}"
            )
        if self.max_side < 0:
            raise ValueError(f"max_side is {self.max_side}; expected px, 0 or more")
        if self.every < 1:
            raise ValueError(f"every is {self.every}; expected frames, 1 or more")


@dataclass(frozen=True, eq=False)
class Job:
    """What it takes to see inputs and to leave what was found.

    Attributes:
      predictor: who finds people.
      output: the folder to write into.
      wishes: what to write.
      predictions: where what was found is collected.
      pool: threads to read, draw and write.
      advance: called after each picture.
    """

    predictor: Predictor
    output: Path
    wishes: Wishes
    predictions: Predictions
    pool: ThreadPoolExecutor
    advance: Callable[[], object]


@dataclass(frozen=True, eq=False)
class _Scene:
    """What a look's people are drawn upon, and how they are written down."""

    place: tuple[int, int]
    canvas: Canvas | None
    image: dict[str, Any]  # entry of COCO's `images`
    common: dict[str, Any]  # fields of all entries of `predictions.json`


def see_pictures(job: Job, inputs: Sequence[tuple[int, Input, int]]) -> None:
    """Sees pictures, each with its place among the inputs and its image id."""

    def read(one: tuple[int, Input, int]) -> Look | tuple[Input, str]:
        place, source, image_id = one
        assert isinstance(source.source, Path)
        try:
            photo = open_photo(source.source)
            canvas = photo.reduced(job.wishes.max_side) if job.wishes.drawings else None
            scene = _scene((place, 0), source, photo.size, image_id, canvas)
            return job.predictor.look(photo, tag=scene)
        except (ValueError, MemoryError) as error:
            return source, str(error) or type(error).__name__

    def looks() -> Iterator[Look]:
        for found in ahead(job.pool, read, inputs):
            if isinstance(found, Look):
                yield found
            else:
                _leave_out(job, *found)
                job.advance()

    def finish(found: tuple[Look, Instances]) -> None:
        look, people = found[0], job.predictor.people(*found)
        name = look.tag.image["name"]
        canvases = _drawn(job, look, people)
        files = {f"{name}_{kind}.png": canvas for kind, canvas in canvases.items()}
        if job.wishes.maps:
            files[f"{name}_maps.png"] = _map_sheet(job, *found)
        for name, canvas in files.items():
            visualize.write_png(job.output / name, canvas)
        _write_down(job, look, people, list(files))

    for _ in ahead(job.pool, finish, job.predictor.find(looks())):
        job.advance()


def see_video(job: Job, place: int, source: Input, first_id: int) -> None:
    """Sees every frame of a video, or of a camera until Ctrl-C.

    Args:
      job: what to do with it.
      place: of the input among all.
      source: the video or the camera.
      first_id: image id of its first frame; the next ones follow.

    Raises:
      KeyboardInterrupt: for a video; what was found until then is written.
    """
    is_camera = isinstance(source.source, int)
    try:
        frames = Frames(source.source, every=job.wishes.every)
    except ValueError as error:
        _leave_out(job, source, str(error))
        return
    base = job.output / source.name
    base.parent.mkdir(parents=True, exist_ok=True)
    with frames, ExitStack() as stack:
        recorders = {
            kind: stack.enter_context(
                Recorder(base.with_name(f"{base.name}_{kind}.mp4"), frames.rate)
            )
            for kind in job.wishes.drawings
        }

        looks = _looks_of(job, place, source, first_id, frames)
        try:
            for canvases in _drawn_in_order(job, looks, source.name, is_live=is_camera):
                for kind, canvas in canvases.items():
                    add = recorders[kind].add_live if is_camera else recorders[kind].add
                    add(canvas)
                job.advance()
        except KeyboardInterrupt:
            if not is_camera:
                raise
            _log.info("Interrupted: this is the end of what %s saw.", source)
    if problem := frames.problem():
        _leave_out(job, source, problem)


def _looks_of(
    job: Job, place: int, source: Input, first_id: int, frames: Frames
) -> Iterator[Look]:
    for count, (number, frame) in enumerate(frames):
        photo = of_pixels(frame, f"{source}, frame {number}")
        canvas = photo.reduced(job.wishes.max_side) if job.wishes.drawings else None
        scene = _scene((place, number), source, photo.size, first_id + count, canvas)
        scene.image["frame"] = scene.common["frame"] = number
        yield job.predictor.look(photo, tag=scene)


def _drawn_in_order(
    job: Job, looks: Iterator[Look], name: str, *, is_live: bool
) -> Iterator[dict[str, Canvas]]:
    """Of a camera one after the other: what is ahead would be seen too late."""
    colors = Colors()

    def people(found: tuple[Look, Instances]) -> tuple[Look, list[Person]]:
        return found[0], job.predictor.people(*found)

    def colored(
        seen: Iterable[tuple[Look, list[Person]]],
    ) -> Iterator[tuple[Look, list[Person], list[int]]]:
        for look, people in seen:
            yield look, people, colors.of([person.box for person in people])

    def finish(seen: tuple[Look, list[Person], list[int]]) -> dict[str, Canvas]:
        canvases = _drawn(job, *seen)
        drawn = [f"{name}_{kind}.mp4" for kind in canvases]
        _write_down(job, *seen[:2], drawn)
        return canvases

    if is_live:
        for look in looks:
            seen = map(people, job.predictor.find([look]))
            yield from map(finish, colored(seen))
    else:
        seen = ahead(job.pool, people, job.predictor.find(looks))
        yield from ahead(job.pool, finish, colored(seen))


def ahead(
    pool: ThreadPoolExecutor,
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    limit: int = _AHEAD,
) -> Iterator[R]:
    """As `map`, with up to `limit` items under way in threads."""
    running: deque[Future[R]] = deque()
    for item in items:
        running.append(pool.submit(function, item))
        if len(running) >= limit:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()


def _scene(
    place: tuple[int, int],
    source: Input,
    size: tuple[int, int],
    image_id: int,
    canvas: Canvas | None,
) -> _Scene:
    height, width = size
    image = {"id": image_id, "file_name": str(source), "name": source.name}
    image |= {"height": height, "width": width}
    return _Scene(place, canvas, image, {"file_name": str(source)})


def _drawn(
    job: Job, look: Look, people: Sequence[Person], colors: Sequence[int] | None = None
) -> dict[str, Canvas]:
    canvas: Canvas | None = look.tag.canvas
    if canvas is None:
        return {}
    return {
        kind: draw(kind, canvas, people, colors=colors) for kind in job.wishes.drawings
    }


def _map_sheet(job: Job, look: Look, instances: Instances) -> Canvas:
    return said_sheet(
        look.input,
        job.predictor.maps(look),
        job.predictor.sure(instances),
        representation=job.predictor.settings.representation,
        title=f"{look.name}: what the network says",
    )


def _write_down(
    job: Job, look: Look, people: Sequence[Person], drawn: list[str]
) -> None:
    scene: _Scene = look.tag
    image = {**scene.image, "drawn": drawn}
    del image["name"]
    entries = [{**person.to_coco(image["id"]), **scene.common} for person in people]
    job.predictions.add(scene.place, image, entries)


def _leave_out(job: Job, source: Input, why: str) -> None:
    job.predictions.skipped[str(source)] = why
    _log.warning("%s", why if str(source) in why else f"{source}: {why}")
