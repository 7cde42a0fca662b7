"""The outline of an annotation file: is it COCO-keypoint JSON, whole, and of people?

What is wrong here is wrong with the whole file, so there is nothing to skip.
"""

import gzip
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np

from poseseg_jax.coco.picture import PERSON_CATEGORY
from poseseg_jax.coco.quoting import quote
from poseseg_jax.skeleton import KEYPOINT_NAMES

AnyPath = Path | zipfile.Path  # archives are read as they are downloaded
READ_ERRORS = (OSError, EOFError, KeyError, zlib.error, zipfile.BadZipFile)

# COCO's files are 5 deep. Deeper ones end Python's JSON reader or writer, at a depth
# that depends on the version and on who calls.
MAX_DEPTH = 64
_LISTS = ("images", "annotations")


def read_document(path: AnyPath, *, need_labels: bool = True) -> dict:
    """The JSON of an annotation file, its outline checked, its entries not.

    Args:
      path: `.json` or `.json.gz`.
      need_labels: whether to refuse a file without 'annotations'.

    Raises:
      ValueError: if there is no such file, or it is empty, no JSON, or JSON of another
        kind than {"images": [...], "annotations": [...]} with people in category 1 and
        COCO's 17 keypoints.
    """
    source = str(path)
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except READ_ERRORS as error:
        raise ValueError(
            f"{source}: cannot be read ({error}). Is it there, and whole?"
        ) from None
    if not data or data.isspace():
        raise ValueError(f"{source}: empty; expected a COCO-keypoint JSON")
    _check_depth(data, source)
    document = _with_outline(_decode(data, source), source, need_labels=need_labels)
    _check_categories(document, source)
    return document


def _decode(data: bytes, source: str) -> object:
    # Of a key that comes twice, Python's reader keeps the last: people would be lost
    # without a word. To look costs a twentieth of reading and parsing COCO's file.
    try:
        return json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:  # of the JSON or of its text encoding
        raise ValueError(
            f"{source}: no JSON, or cut off ({error}). Export or download it again."
        ) from None


def _unique(pairs: list) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"an object has the key {quote(twice)} twice")
    return found


def _check_depth(data: bytes, source: str) -> None:
    # Brackets in texts count as well, but nobody writes dozens that are never closed.
    brackets = data.translate(None, delete=_NO_BRACKETS)
    steps = _STEP[np.frombuffer(brackets, np.uint8)]
    depth = int(np.cumsum(steps, dtype=np.int32).max(initial=0))
    if depth > MAX_DEPTH:
        raise ValueError(
            f"{source}: lists and objects are nested {depth} deep; expected a "
            f"COCO-keypoint JSON, which is 5 deep (the limit is {MAX_DEPTH})"
        )


_NO_BRACKETS = bytes(byte for byte in range(256) if chr(byte) not in "[]{}")
_STEP = np.zeros(256, np.int8)
_STEP[[ord("["), ord("{")]] = 1
_STEP[[ord("]"), ord("}")]] = -1


def _with_outline(document: object, source: str, *, need_labels: bool) -> dict:
    if not isinstance(document, dict):
        kind = type(document).__name__
        raise ValueError(
            f"{source}: holds a {kind}; expected an object with 'images' and "
            "'annotations' (a list is what result files hold)"
        )
    for key in _LISTS:
        if key == "annotations" and key not in document and not need_labels:
            continue
        if key not in document:
            raise ValueError(
                f"{source}: no list {key!r}; found the keys {quote(sorted(document))}, "
                "expected a COCO-keypoint JSON with 'images' and 'annotations'"
            )
        if not isinstance(document[key], list):
            raise ValueError(
                f"{source}: {key!r} is {quote(document[key])}; expected a list"
            )
    if not document["images"]:
        raise ValueError(f"{source}: no pictures in 'images'")
    return document


def _check_categories(document: dict, source: str) -> None:
    """Whether people are category 1: otherwise all of them would count as others."""
    categories = document.get("categories")
    if categories is None:
        categories = []
    if not isinstance(categories, list):
        raise ValueError(
            f"{source}: 'categories' is {quote(categories)}; expected a list of "
            "objects with 'id', 'name' and 'keypoints'"
        )
    for index, category in enumerate(categories):
        if not isinstance(category, dict) or type(category.get("id")) is not int:
            raise ValueError(
                f"{source}: categories[{index}] is {quote(category)}; expected an "
                "object with an integer 'id'"
            )
    people = [c for c in categories if c["id"] == PERSON_CATEGORY]
    persons = [c["id"] for c in categories if c.get("name") == "person"]
    if len(people) > 1:
        raise ValueError(f"{source}: category {PERSON_CATEGORY} is there twice")
    if (categories and not people) or (persons and PERSON_CATEGORY not in persons):
        names = {c["id"]: c.get("name") for c in categories}
        raise ValueError(
            f"{source}: the categories are {quote(names)}; expected people as category "
            f"{PERSON_CATEGORY}. Number the categories anew, in the annotations too."
        )
    for category in people:
        _check_keypoint_names(category.get("keypoints"), source)
    _check_there_are_people(document.get("annotations", []), source)


def _check_keypoint_names(names: object, source: str) -> None:
    if names is None:
        return
    if not isinstance(names, list) or len(names) != len(KEYPOINT_NAMES):
        found = f"{len(names)} keypoints" if isinstance(names, list) else quote(names)
        raise ValueError(
            f"{source}: category {PERSON_CATEGORY} has {found}; expected COCO's "
            f"{len(KEYPOINT_NAMES)}: {', '.join(KEYPOINT_NAMES)}"
        )
    # Other names may be a translation, but the same names in another order would
    # train and score without a complaint, wrongly.
    wrong = [i for i, name in enumerate(KEYPOINT_NAMES) if names[i] != name]
    if wrong and sorted(map(str, names)) == sorted(KEYPOINT_NAMES):
        raise ValueError(
            f"{source}: keypoint {wrong[0]} is {names[wrong[0]]!r}; expected COCO's "
            f"order, {KEYPOINT_NAMES[wrong[0]]!r}"
        )


def _check_there_are_people(annotations: list, source: str) -> None:
    others = set()
    for annotation in annotations:
        category = annotation.get("category_id") if isinstance(annotation, dict) else ""
        if category == PERSON_CATEGORY:
            return
        if type(category) is int:  # others are met by who reads the entries
            others.add(category)
    if others:
        raise ValueError(
            f"{source}: all {len(annotations)} annotations are of the categories "
            f"{quote(sorted(others))}; expected people, as category {PERSON_CATEGORY}"
        )
