"""What a perfect network would score: ground truth through targets and decoder."""

import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from configs import base
from poseseg_jax import config, geometry, occupancy, targets
from poseseg_jax.coco import results, scoring
from poseseg_jax.coco.picture import Picture, people_map
from poseseg_jax.coco.results import Results
from poseseg_jax.coco.segmentation import to_mask
from poseseg_jax.data import augment
from poseseg_jax.data.decoding import Sample
from poseseg_jax.decode.decode import decode
from poseseg_jax.decode.settings import DecodeSettings
from poseseg_jax.representation import Representation
from poseseg_jax.structs import Batch, Instances

_log = logging.getLogger(__name__)

_TOLD_EVERY = 500  # pictures
_USUAL_AREA = 64**2  # px, of a person whose score is 1/2
Scores = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes:
      size: input side, px.
      representation, decode: as in a run.
    """

    size: int
    representation: Representation
    decode: DecodeSettings


def case(changes: Mapping[str, Any]) -> Case:
    """The defaults with some fields changed: "group.field" -> value.

    Raises:
      ValueError: naming the field, for a value that no run could have.
    """
    fields = base.get_config()
    fields.update_from_flattened_dict(changes)
    return case_of(fields.to_dict())


def case_of(fields: Mapping[str, Any]) -> Case:
    """What a run with this config can reach at most.

    Raises:
      ValueError: for a config that makes no sense.
    """
    settings = config.parse(fields)
    size = settings.eval_image_size
    return Case(size, settings.representation, settings.decode)


def measure(what: Case, pictures: Sequence[Picture], truth: Path) -> Scores:
    """Scores of what comes back of all people of a file.

    Args:
      what: size, representation and decoder.
      pictures: of the file.
      truth: the file.

    Returns:
      Both tasks' scores as of `coco.scoring.score`; "images"; "ms_per_image" of targets
      and decoder alone, once compiled.
    """
    answer = _program(what)
    rows = max([len(picture.people) for picture in pictures] + [1])
    found, seconds = Results([], []), []
    for picture in tell(pictures, "pictures decoded"):
        to_input = geometry.letterbox_affine(picture.height, picture.width, what.size)
        batch = _batch(picture, to_input, side=what.size, rows=rows)
        start = time.perf_counter()
        instances = jax.device_get(answer(batch))
        seconds.append(time.perf_counter() - start)
        one = results.from_instances(
            instances,
            to_input=to_input,
            size=(picture.height, picture.width),
            image_id=picture.image_id,
            person_stride=what.representation.person_stride,
        )
        found.keypoints.extend(one.keypoints)
        found.segm.extend(entry for entry in one.segm if _counts(entry, picture))
    scores: Scores = {}
    for task in scoring.TASKS:
        scores |= scoring.score(getattr(found, task), truth, task)
    warm = seconds[1:] or seconds  # the first one compiles
    ms = 1000 * float(np.mean(warm)) if warm else None
    return {**scores, "images": len(pictures), "ms_per_image": ms}


def grid_bound(what: Case, pictures: Sequence[Picture], truth: Path) -> Scores:
    """Masks' scores if everybody had a person map of their own: what the grid costs.

    What `measure` gives less than that is lost by people who share cells and by what
    the decoder does with them. Larger people come first, as whatever a decoder goes by
    makes them surer.

    Returns:
      "grid/segm/AP" and so on.
    """
    stride = what.representation.person_stride
    cover = jax.jit(functools.partial(occupancy.fraction, stride=stride))
    entries: list[dict[str, Any]] = []
    for picture in tell(pictures, "pictures of the grid"):
        size = picture.height, picture.width
        to_input = geometry.letterbox_affine(*size, what.size)
        for person in picture.people:
            if person.segmentation is None:
                continue
            alone = dataclasses.replace(picture, people=(person,), crowds=())
            batch = _batch(alone, to_input, side=what.size, rows=1)
            mask = np.asarray(cover(batch.people)[0])
            if what.representation.masks == "hard":
                mask = (mask >= results.MASK_LEVEL).astype(np.float32)
            pixels = results.resample_mask(mask, to_cell=to_input / stride, size=size)
            area = int(pixels.sum())
            entry = {"image_id": picture.image_id, "category_id": 1}
            entry |= {"segmentation": results.encode_mask(pixels)}
            entries.append(entry | {"score": area / (area + _USUAL_AREA)})
    scores = scoring.score(entries, truth, "segm")
    return {f"grid/{name}": value for name, value in scores.items()}


def tell(pictures: Sequence[Picture], what: str) -> Iterator[Picture]:
    """The pictures, one by one; every so many, the log says how many are done."""
    for done, picture in enumerate(pictures):
        if done and done % _TOLD_EVERY == 0:
            _log.info("%d of %d %s", done, len(pictures), what)
        yield picture


def _counts(entry: dict[str, Any], picture: Picture) -> bool:
    """False for the empty mask of somebody whose mask nobody knows."""
    if all(person.segmentation is not None for person in picture.people):
        return True
    size = {"height": picture.height, "width": picture.width}
    return bool(to_mask(entry["segmentation"], **size).any())


def _program(what: Case) -> Callable[[Batch], Instances]:
    @jax.jit
    def answer(batch: Batch) -> Instances:
        batched = jax.tree.map(lambda leaf: leaf[None], batch)
        made = targets.make(batched, representation=what.representation)
        maps = jax.tree.map(lambda leaf: leaf[0], made.maps)
        return decode(maps, representation=what.representation, settings=what.decode)

    return answer


def _batch(picture: Picture, to_input: np.ndarray, *, side: int, rows: int) -> Batch:
    """The people as the loader would hand them over; of the picture, nothing."""
    people = picture.people
    sample = Sample(
        image=np.zeros((1, 1, 3), np.uint8),
        to_image=np.eye(2, 3),
        people=people_map(picture),
        keypoints=np.array([p.keypoints for p in people]).reshape(-1, 17, 2),
        visibility=np.array([p.visibility for p in people], np.uint8).reshape(-1, 17),
        box=np.array([p.box for p in people]).reshape(-1, 4),
        area=np.array([p.area for p in people], np.float64),
        has_mask=np.array([p.segmentation is not None for p in people], bool),
        image_id=picture.image_id,
    )
    batch = augment.render(sample, to_input, side=side, max_people=rows)
    return dataclasses.replace(batch, image=np.zeros((1, 1, 3), np.uint8))
