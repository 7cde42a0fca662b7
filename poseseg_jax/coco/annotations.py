"""COCO-keypoint annotation files: read, checked, and nothing dropped silently."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from poseseg_jax.coco.document import READ_ERRORS, AnyPath, read_document
from poseseg_jax.coco.picture import (
    PERSON_CATEGORY,
    Crowd,
    Person,
    Picture,
    parse_picture,
    people_map,
)
from poseseg_jax.coco.quoting import quote

__all__ = [
    "READ_ERRORS",
    "AnnotationFile",
    "AnyPath",
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

# Ids become 64-bit integers; -1 marks rows of a batch that are no picture.
_ID_LIMIT = 2**63
_EXPECTED_ID = "expected an integer from 0 to 2^63 - 1"


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


def _index_images(entries: list) -> tuple[dict[int, dict], list[Problem]]:
    images: dict[int, dict] = {}
    owner: dict[object, int] = {}  # of file names
    problems = []
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            problem = f"images[{index}] is {quote(entry)}; expected an object"
            problems.append(Problem(None, problem))
            continue
        here: Any = entry.get("id")
        name = entry.get("file_name")
        if not _is_id(here):
            problem = f"images[{index}]: id is {quote(here)}; {_EXPECTED_ID}"
            problems.append(Problem(None, problem))
            continue
        if here in images:
            problems.append(Problem(here, "the picture's id is used twice"))
            continue
        images[here] = entry
        if not isinstance(name, str):  # which is met later
            continue
        other = owner.setdefault(name, here)
        if other != here:
            # Each would teach that the people of the other are not there.
            both = f"file_name {quote(name)} is also that of picture"
            problems += [
                Problem(other, f"{both} {here}"),
                Problem(here, f"{both} {other}"),
            ]
    return images, problems


def _is_id(value: object) -> bool:
    return type(value) is int and 0 <= value < _ID_LIMIT


def _group_people(
    entries: list, images: dict[int, dict], problems: list[Problem]
) -> tuple[dict[int, list[dict]], int]:
    """Annotations of people by picture; appends to `problems` what has no place."""
    people: dict[int, list[dict]] = defaultdict(list)
    owner: dict[int, int] = {}
    num_other = 0
    for index, entry in enumerate(entries):
        problem = _misses_place(entry, index)
        if problem is not None:
            problems.append(problem)
            continue
        here, image_id = entry["id"], entry["image_id"]
        if image_id not in images:
            problems.append(
                Problem(image_id, f"annotation {here} is of a picture not in 'images'")
            )
        elif here in owner:
            for user in sorted({owner[here], image_id}):
                problems.append(Problem(user, f"annotation id {here} is used twice"))
        elif entry["category_id"] != PERSON_CATEGORY:
            num_other += 1
        else:
            people[image_id].append(entry)
        owner.setdefault(here, image_id)
    return people, num_other


def _misses_place(entry: object, index: int) -> Problem | None:
    """Whether an annotation does not say which one it is, of which picture and kind."""
    if not isinstance(entry, dict):
        found = f"annotations[{index}] is {quote(entry)}; expected an object"
        return Problem(None, found)
    image_id, category = entry.get("image_id"), entry.get("category_id")
    if _is_id(entry.get("id")) and _is_id(image_id) and type(category) is int:
        return None
    for key in ("image_id", "id"):
        if not _is_id(entry.get(key)):
            found = f"{key} is {quote(entry.get(key))}; {_EXPECTED_ID}"
            break
    else:
        found = f"category_id is {quote(category)}; expected an integer, 1 for people"
    return Problem(_intended(image_id), f"annotations[{index}]: {found}")


def _intended(image_id: object) -> int | None:
    """Whose picture it was to be: without its people, that one must not be taken."""
    try:
        number = int(image_id) if isinstance(image_id, int | float | str) else -1
    except (ValueError, OverflowError):
        return None
    return number if _is_id(number) else None


def _describe(source: str, problems: Sequence[Problem], shown: int = 5) -> str:
    lines = [
        f"picture {problem.image_id}: {problem.message}"
        if problem.image_id is not None
        else problem.message
        for problem in problems
    ]
    more = f"\n  and {len(lines) - shown} more" if len(lines) > shown else ""
    return (
        f"{source}: {len(lines)} problem(s)\n  "
        + "\n  ".join(lines[:shown])
        + more
        + "\nCorrect the file, or leave these pictures out with on_error='skip'."
    )
