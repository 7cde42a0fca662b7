"""Videos and cameras through a Predictor, frame by frame, onto the disk.

Of a video, threads work ahead as for pictures (seeing.py); frames are written in their
order all the same.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

from poseseg_jax.colors import Colors
from poseseg_jax.data.named import Input
from poseseg_jax.data.photos import of_pixels
from poseseg_jax.data.videos import Frames, Recorder
from poseseg_jax.people import Person
from poseseg_jax.predictor import Look
from poseseg_jax.seeing import (
    Canvas,
    Job,
    ahead,
    drawings_of,
    leave_out,
    scene_of,
    write_down,
)
from poseseg_jax.structs import Instances

_log = logging.getLogger(__name__)


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
        leave_out(job, source, str(error))
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
        leave_out(job, source, problem)


def _looks_of(
    job: Job, place: int, source: Input, first_id: int, frames: Frames
) -> Iterator[Look]:
    for count, (number, frame) in enumerate(frames):
        photo = of_pixels(frame, f"{source}, frame {number}")
        image_id = first_id + count
        scene = scene_of(job, source, photo, place=(place, number), image_id=image_id)
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
        canvases = drawings_of(job, *seen)
        drawn = [f"{name}_{kind}.mp4" for kind in canvases]
        write_down(job, *seen[:2], drawn)
        return canvases

    if is_live:
        for look in looks:
            seen = map(people, job.predictor.find([look]))
            yield from map(finish, colored(seen))
    else:
        seen = ahead(job.pool, people, job.predictor.find(looks))
        yield from ahead(job.pool, finish, colored(seen))
