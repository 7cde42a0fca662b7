"""COCO-keypoint annotation files: read, checked, and nothing dropped silently."""

import gzip
import json
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from poseseg_jax.coco.picture import (
    PERSON_CATEGORY,
    Crowd,
    Person,
    Picture,
    parse_picture,
    people_map,
)
from poseseg_jax.skeleton import KEYPOINT_NAMES

__all__ = [
    "AnnotationFile",
    "Crowd",
    "Person",
    "Picture",
    "Problem",
    "is_labelled",
    "load",
    "parse",
    "people_map",
    "read_document",
]

ON_ERROR = ("raise", "skip")

AnyPath = Path | zipfile.Path  # archives are read as they are downloaded
READ_ERRORS = (OSError, EOFError, KeyError, zlib.error, zipfile.BadZipFile)


@dataclass(frozen=True)
class Problem:
    """What is wrong with a picture's labels; image_id None: no picture was named."""

    image_id: int | None
    message: str


@dataclass(frozen=True, eq=False)
class AnnotationFile:
    """The content of an annotation file.

    Attributes:
      source: the file's name, for messages.
      pictures: those without a problem, by id; also pictures without people.
      problems: why the others are missing; empty unless they were to be skipped.
      num_other: annotations of other categories than people, which are not read.
    """

    source: str
    pictures: tuple[Picture, ...]
    problems: tuple[Problem, ...]
    num_other: int


def load(path: AnyPath, *, on_error: str = "raise") -> AnnotationFile:
    """Reads an annotation file, `.json` or `.json.gz`; see `parse`."""
    return parse(read_document(path), source=str(path), on_error=on_error)


def is_labelled(path: AnyPath) -> bool:
    """Whether a file holds annotations at all; those of COCO's test sets do not.

    Raises:
      ValueError: if it cannot be read; see `read_document`.
    """
    return "annotations" in read_document(path, need_labels=False)


def read_document(path: AnyPath, *, need_labels: bool = True) -> dict:
    """The JSON of an annotation file, its outline checked, its entries not.

    Args:
      path: `.json` or `.json.gz`.
      need_labels: whether to refuse a file without 'annotations'.

    Raises:
      ValueError: if there is no such file, or it is empty, no JSON, or JSON of another
        kind than {"images": [...], "annotations": [...]} with COCO's 17 keypoints.
    """
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except READ_ERRORS as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    if not data.strip():
        raise ValueError(f"{path}: empty; expected a COCO-keypoint JSON")
    try:
        document = json.loads(data)
    except ValueError as error:  # of the JSON or of its text encoding
        raise ValueError(f"{path}: no JSON, or cut off ({error})") from None
    _check_outline(document, str(path), need_labels=need_labels)
    return document


def parse(document: dict, *, source: str, on_error: str = "raise") -> AnnotationFile:
    """Checks every entry of an annotation file.

    Args:
      document: as `read_document` returns it. Without labels, nobody is known.
      source: the file's name, for messages.
      on_error: "raise", or "skip": pictures with a problem are left out and listed.

    Raises:
      ValueError: naming the file, the ids, the values and what was expected.
    """
    if on_error not in ON_ERROR:
        raise ValueError(f"on_error is {on_error!r}; expected one of {ON_ERROR}")
    images, problems = _index_images(document["images"])
    annotations = document.get("annotations", [])
    people, num_other = _group_people(annotations, images, problems)
    bad = {problem.image_id for problem in problems}
    pictures = []
    for image_id in sorted(images):
        if image_id in bad:
            continue
        try:
            pictures.append(parse_picture(images[image_id], people[image_id]))
        except ValueError as error:
            problems.append(Problem(image_id, str(error)))
    if problems and on_error == "raise":
        raise ValueError(_describe(source, problems))
    return AnnotationFile(source, tuple(pictures), tuple(problems), num_other)


def _check_outline(document: object, source: str, *, need_labels: bool) -> None:
    if not isinstance(document, dict):
        kind = type(document).__name__
        raise ValueError(
            f"{source}: holds a {kind}; expected an object with 'images' and "
            "'annotations' (a list is what result files hold)"
        )
    for key in ("images", "annotations"):
        if key == "annotations" and key not in document and not need_labels:
            continue
        if not isinstance(document.get(key), list):
            raise ValueError(
                f"{source}: no list {key!r}; found the keys {sorted(document)}, "
                "expected a COCO-keypoint JSON with 'images' and 'annotations'"
            )
    if not document["images"]:
        raise ValueError(f"{source}: no pictures in 'images'")
    for category in document.get("categories") or []:
        if isinstance(category, dict) and category.get("id") == PERSON_CATEGORY:
            _check_keypoint_names(category.get("keypoints"), source)


def _check_keypoint_names(names: object, source: str) -> None:
    if not isinstance(names, list):
        return
    if len(names) != len(KEYPOINT_NAMES):
        raise ValueError(
            f"{source}: category {PERSON_CATEGORY} has {len(names)} keypoints; "
            f"expected COCO's {len(KEYPOINT_NAMES)}: {', '.join(KEYPOINT_NAMES)}"
        )
    # Other names may be a translation, but the same names in another order would
    # train and score without a complaint, wrongly.
    wrong = [i for i, name in enumerate(KEYPOINT_NAMES) if names[i] != name]
    if wrong and sorted(map(str, names)) == sorted(KEYPOINT_NAMES):
        raise ValueError(
            f"{source}: keypoint {wrong[0]} is {names[wrong[0]]!r}; expected COCO's "
            f"order, {KEYPOINT_NAMES[wrong[0]]!r}"
        )


def _index_images(entries: list) -> tuple[dict[int, dict], list[Problem]]:
    images: dict[int, dict] = {}
    problems = []
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict) or type(entry.get("id")) is not int:
            problems.append(Problem(None, f"images[{index}] has no integer id"))
        elif entry["id"] in images:
            problems.append(Problem(entry["id"], "the picture's id is used twice"))
        else:
            images[entry["id"]] = entry
    return images, problems


def _group_people(
    entries: list, images: dict[int, dict], problems: list[Problem]
) -> tuple[dict[int, list[dict]], int]:
    """Annotations of people by picture; appends to `problems` what has no place."""
    people: dict[int, list[dict]] = defaultdict(list)
    owner: dict[int, int] = {}
    num_other = 0
    for index, entry in enumerate(entries):
        ids = ("id", "image_id", "category_id")
        if not isinstance(entry, dict) or any(
            type(entry.get(i)) is not int for i in ids
        ):
            message = f"annotations[{index}] lacks an integer among {ids}"
            image_id = entry.get("image_id") if isinstance(entry, dict) else None
            problems.append(
                Problem(image_id if type(image_id) is int else None, message)
            )
            continue
        here, image_id = entry["id"], entry["image_id"]
        if image_id not in images:
            problems.append(
                Problem(image_id, f"annotation {here} is of a picture not in 'images'")
            )
        elif here in owner:
            for user in {owner[here], image_id}:
                problems.append(Problem(user, f"annotation id {here} is used twice"))
        elif entry["category_id"] != PERSON_CATEGORY:
            num_other += 1
        else:
            people[image_id].append(entry)
        owner.setdefault(here, image_id)
    return people, num_other


def _describe(source: str, problems: Sequence[Problem], shown: int = 5) -> str:
    lines = [f"picture {problem.image_id}: {problem.message}" for problem in problems]
    more = f"\n  and {len(lines) - shown} more" if len(lines) > shown else ""
    return (
        f"{source}: {len(lines)} problem(s)\n  "
        + "\n  ".join(lines[:shown])
        + more
        + "\nCorrect the file, or leave these pictures out with on_error='skip'."
    )
