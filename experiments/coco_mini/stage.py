"""What crowds are made of, and the making of a picture."""

import functools
import multiprocessing
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from experiments.coco_mini import casting, cutouts, scenes
from experiments.coco_mini.folders import annotations_of, pictures_of
from experiments.coco_mini.splits import masks_are_known
from poseseg_jax.coco.annotations import Picture, parse, read_document
from poseseg_jax.data.decoding import decode_image

_QUALITY = 92  # of JPEG
_CHUNK = 16  # pictures that a process is given at once


@dataclass(frozen=True, eq=False)
class Stage:
    """What pictures are made of.

    Attributes:
      folder: with the pictures.
      backgrounds: onto which people are pasted.
      donors: the people.
      entries: annotations of each background, by image id.
      fewest, most: people in a picture, drawn uniformly.
      seed: picture i depends on what is here, the seed and i.
    """

    folder: Path
    backgrounds: tuple[Picture, ...]
    donors: tuple[cutouts.Donor, ...]
    entries: Mapping[int, list[dict]]
    fewest: int
    most: int
    seed: int


@dataclass(frozen=True, eq=False)
class Made:
    """A picture that was made: the bytes of its file, and what COCO says of it.

    Attributes:
      data: JPEG.
      size: (height, width), px.
      background: image id.
      donors: image ids of the pictures of those who were pasted.
      annotations: of everybody; ids count from 0, and image_id is 0.
    """

    data: bytes
    size: tuple[int, int]
    background: int
    donors: list[int]
    annotations: list[dict]


def set_stage(root: Path, *, fewest: int, most: int, seed: int) -> Stage:
    """Reads what there is to paste; arguments and errors as of `enlarge`."""
    if not 1 <= fewest <= most:
        raise ValueError(
            f"--fewest={fewest} and --most={most}; expected 1 or more, and in order"
        )
    path = annotations_of(root, "train")
    document = read_document(path)
    pictures = parse(document, source=str(path)).pictures
    backgrounds = tuple(picture for picture in pictures if masks_are_known(picture))
    donors = tuple(cutouts.donors(pictures))
    if not backgrounds or len({donor.picture.image_id for donor in donors}) < 2:
        raise ValueError(
            f"{path}: {len(backgrounds)} pictures with every mask and {len(donors)} "
            "people to paste; expected people with masks, of 48 x 48 px and 8 "
            "keypoints or more, in two pictures at least"
        )
    wanted = {picture.image_id for picture in backgrounds}
    entries: dict[int, list[dict]] = defaultdict(list)
    for entry in document["annotations"]:
        if entry["image_id"] in wanted:
            entries[entry["image_id"]].append(entry)
    folder = pictures_of(root, "train")
    return Stage(folder, backgrounds, donors, dict(entries), fewest, most, seed)


def make(stage: Stage, index: int) -> Made:
    """Makes a picture; each index gives another one."""
    rng = np.random.default_rng([stage.seed, index])
    read = functools.partial(_read, stage.folder)
    placed: list[casting.Placed] = []
    while not placed:
        background = stage.backgrounds[int(rng.integers(len(stage.backgrounds)))]
        number = int(rng.integers(stage.fewest, stage.most + 1))
        placed = casting.cast(rng, background, stage.donors, read, number=number)
    entries = stage.entries.get(background.image_id, [])
    image, people = casting.perform(
        read(background), scenes.people_of(background, entries), placed
    )
    found = [
        scenes.annotation(person, annotation_id=0, image_id=0) for person in people
    ]
    found += [entry for entry in entries if entry.get("iscrowd")]
    quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    bgr = np.ascontiguousarray(image[..., ::-1])
    return Made(
        data=cv2.imencode(".jpg", bgr, quality)[1].tobytes(),
        size=(background.height, background.width),
        background=background.image_id,
        donors=[one.donor.picture.image_id for one in placed],
        annotations=[
            {**entry, "id": row, "image_id": 0}
            for row, entry in enumerate(entry for entry in found if entry is not None)
        ],
    )


def make_all(stage: Stage, number: int, *, jobs: int = 1) -> Iterator[Made]:
    """Makes pictures 0, 1, ... in so many processes; they come in their order."""
    if jobs == 1:
        yield from (make(stage, index) for index in range(number))
        return
    # Not forked: libraries here have threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, _begin, (stage,)) as pool:
        yield from pool.map(_make_here, range(number), chunksize=_CHUNK)


# What a process has been given at its start.
_given: list[Stage] = []


def _begin(stage: Stage) -> None:
    cv2.setNumThreads(0)  # processes are what runs in parallel
    _given[:] = [stage]


def _make_here(index: int) -> Made:
    return make(_given[0], index)


def _read(folder: Path, picture: Picture) -> casting.Pixels:
    path = folder / picture.file_name
    name = f"{path} (image id {picture.image_id})"
    try:
        image = decode_image(path.read_bytes(), name=name)
    except OSError as error:
        raise ValueError(f"{name}: cannot be read ({error.strerror})") from None
    if image.shape[:2] != (picture.height, picture.width):
        raise ValueError(
            f"{name}: {image.shape[1]} x {image.shape[0]} px; its annotations say "
            f"{picture.width} x {picture.height} (width x height)"
        )
    return image
