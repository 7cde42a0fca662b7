"""Pictures through a Predictor, onto the disk, and what frames need of it, too.

Threads read and decode ahead of the network, and behind it make masks, draw and write;
OpenCV lets go of Python's lock for most of that. What is under way is bounded, however
many pictures there are.
"""

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import UInt8

from poseseg_jax import visualize
from poseseg_jax.data.named import Input
from poseseg_jax.data.photos import Photo, open_photo
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
class Scene:
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
            scene = scene_of(job, source, photo, place=(place, 0), image_id=image_id)
            return job.predictor.look(photo, tag=scene)
        except (ValueError, MemoryError) as error:
            return source, str(error) or type(error).__name__

    def looks() -> Iterator[Look]:
        for found in ahead(job.pool, read, inputs):
            if isinstance(found, Look):
                yield found
            else:
                leave_out(job, *found)
                job.advance()

    def finish(found: tuple[Look, Instances]) -> None:
        look, people = found[0], job.predictor.people(*found)
        name = look.tag.image["name"]
        canvases = drawings_of(job, look, people)
        files = {f"{name}_{kind}.png": canvas for kind, canvas in canvases.items()}
        if job.wishes.maps:
            files[f"{name}_maps.png"] = _map_sheet(job, *found)
        for name, canvas in files.items():
            visualize.write_png(job.output / name, canvas)
        write_down(job, look, people, list(files))

    for _ in ahead(job.pool, finish, job.predictor.find(looks())):
        job.advance()


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


def scene_of(
    job: Job, source: Input, photo: Photo, *, place: tuple[int, int], image_id: int
) -> Scene:
    """What a Look takes along as its `tag`.

    Args:
      job: what to do with it.
      source: the input.
      photo: its pixels, or a frame's.
      place: of the input among all, and of the frame within it.
      image_id: of the picture or the frame.
    """
    canvas = photo.reduced(job.wishes.max_side) if job.wishes.drawings else None
    height, width = photo.size
    image = {"id": image_id, "file_name": str(source), "name": source.name}
    image |= {"height": height, "width": width}
    return Scene(place, canvas, image, {"file_name": str(source)})


def drawings_of(
    job: Job, look: Look, people: Sequence[Person], colors: Sequence[int] | None = None
) -> dict[str, Canvas]:
    """The drawings that are wished for, by their kind.

    Args:
      job: what to do.
      look: the picture, with its scene.
      people: of the picture.
      colors: of the people; None: neighbours get different ones.
    """
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


def write_down(
    job: Job, look: Look, people: Sequence[Person], drawn: list[str]
) -> None:
    """Takes a picture's people, and the names of its drawings, into the predictions."""
    scene: Scene = look.tag
    image = {**scene.image, "drawn": drawn}
    del image["name"]
    entries = [{**person.to_coco(image["id"]), **scene.common} for person in people]
    job.predictions.add(scene.place, image, entries)


def leave_out(job: Job, source: Input, why: str) -> None:
    """Says of an input that nothing, or not all, is known of it, and why."""
    job.predictions.skipped[str(source)] = why
    _log.warning("%s", why if str(source) in why else f"{source}: {why}")
