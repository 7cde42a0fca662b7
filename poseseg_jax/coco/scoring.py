"""COCO's average precision and recall, by pycocotools, for keypoints and for masks.

pycocotools matches the results of every picture with its people once (`match`); the
scores of any set of pictures are then sums over those matches (`summarize`). Who scores
both tasks reads the annotation file once (`read_truth`, `match_truth`).
"""

import contextlib
import copy
import io
import logging
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from poseseg_jax.coco.annotations import Picture, parse, read_document
from poseseg_jax.coco.picture import PERSON_CATEGORY
from poseseg_jax.coco.quoting import quote
from poseseg_jax.coco.segmentation import check_segmentation
from poseseg_jax.skeleton import NUM_KEYPOINTS

_log = logging.getLogger(__name__)

TASKS = ("keypoints", "segm")
AREA_KEYS = {
    "keypoints": {"AP_M": "medium", "AP_L": "large"},
    "segm": {"AP_S": "small", "AP_M": "medium", "AP_L": "large"},
}


@dataclass(frozen=True, eq=False)
class Truth:
    """An annotation file, read and checked.

    Attributes:
      document: its JSON, down to the pictures that are scored.
      pictures: these, with their people.
      is_part: whether there are others, whose results are passed over.
    """

    document: dict[str, Any]
    pictures: tuple[Picture, ...]
    is_part: bool


@dataclass(frozen=True, eq=False)
class Matches:
    """Which result met which person, in every picture of a split.

    Attributes:
      task: "keypoints" or "segm".
      pictures: those that are scored, with their people.
      evaluator: pycocotools' own, after `evaluate`.
    """

    task: str
    pictures: tuple[Picture, ...]
    evaluator: Any


def score(
    results: Sequence[dict[str, Any]],
    ground_truth: Path,
    task: str,
    image_ids: Collection[int] | None = None,
) -> dict[str, float | None]:
    """COCO's scores of a split.

    Args:
      results: entries of a COCO result file.
      ground_truth: the annotation file, `.json` or `.json.gz`.
      task: "keypoints" or "segm".
      image_ids: the pictures that count; None: all, also those without people.

    Returns:
      `<task>/AP`, AP50, AP75, AP_M, AP_L, AR, and AP_S for segm, each 0 to 1; None
      where no person is to be found. Without any results the scores are 0.

    Raises:
      ValueError: for a broken annotation file or result, naming picture and value.
    """
    return summarize(match(results, ground_truth, task, image_ids))


def keys() -> list[str]:
    """What is reported of both tasks, as `summarize` names it."""
    return [
        f"{task}/{key}"
        for task in TASKS
        for key in ("AP", "AP50", "AP75", *AREA_KEYS[task], "AR")
    ]


def match(
    results: Sequence[dict[str, Any]],
    ground_truth: Path,
    task: str,
    image_ids: Collection[int] | None = None,
) -> Matches:
    """The part of scoring that is done once; arguments and errors as of `score`."""
    return match_truth(results, read_truth(ground_truth, image_ids), task)


def read_truth(path: Path, image_ids: Collection[int] | None = None) -> Truth:
    """Reads an annotation file for `match_truth`; arguments and errors of `score`."""
    return check_truth(read_document(path), source=str(path), image_ids=image_ids)


def check_truth(
    document: dict[str, Any],
    *,
    source: str,
    image_ids: Collection[int] | None = None,
) -> Truth:
    """The same of a file that `read_document` has read, whose name is the source."""
    document = _restrict(document, source, image_ids)
    pictures = parse(document, source=source).pictures
    return Truth(document, pictures, is_part=image_ids is not None)


def match_truth(results: Sequence[dict[str, Any]], truth: Truth, task: str) -> Matches:
    """As `match`, of a file that need not be read again for every task.

    Persons whose mask is unknown are regions to be ignored when masks are scored: a
    result that lies mostly in their box is neither right nor wrong. Persons without
    labelled keypoints are, in pycocotools, the same when keypoints are scored.
    """
    if task not in TASKS:
        raise ValueError(f"There is no task {task!r} to score; expected one of {TASKS}")
    by_id = {picture.image_id: picture for picture in truth.pictures}
    results = [entry for entry in results if _counts(entry, by_id, truth.is_part, task)]
    if not results:
        _log.warning("There are no %s results at all: they score 0.", task)
    with contextlib.redirect_stdout(io.StringIO()):
        people = _index(_people(truth.document, task))
        evaluator = COCOeval(people, _found(people, results, task), task)
        evaluator.params.catIds = [PERSON_CATEGORY]
        evaluator.params.imgIds = sorted(by_id)
        evaluator.evaluate()
    return Matches(task, truth.pictures, evaluator)


def summarize(
    matches: Matches, image_ids: Collection[int] | None = None
) -> dict[str, float | None]:
    """The scores, as of `score`, over some of the matched pictures (None: all)."""
    evaluator = matches.evaluator
    if image_ids is not None:
        evaluator = _only(evaluator, set(image_ids))
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.accumulate()
    params = evaluator.params
    # [threshold, recall, category, area, detections] and the same without recall
    precision, recall = evaluator.eval["precision"], evaluator.eval["recall"]
    levels = {"AP50": 0.5, "AP75": 0.75}
    scores = {"AP": _mean(precision[:, :, 0, 0, -1])}
    for key, level in levels.items():
        scores[key] = _mean(precision[np.isclose(params.iouThrs, level), :, 0, 0, -1])
    for key, label in AREA_KEYS[matches.task].items():
        area = params.areaRngLbl.index(label)
        scores[key] = _mean(precision[:, :, 0, area, -1])
    scores["AR"] = _mean(recall[:, 0, 0, -1])
    return {f"{matches.task}/{key}": value for key, value in scores.items()}


def _mean(values: np.ndarray) -> float | None:
    """pycocotools writes -1 where there is nothing to find."""
    known = values[values > -1]
    return float(known.mean()) if known.size else None


def _only(evaluator: Any, image_ids: set[int]) -> Any:
    """The evaluator as if it had been asked for these pictures only.

    `accumulate` takes a list of pictures, but then reads the matches of others: it
    numbers them within that list instead of within all pictures.
    """
    every = evaluator.params.imgIds
    chosen = [index for index, image_id in enumerate(every) if image_id in image_ids]
    part = copy.copy(evaluator)
    part.params = copy.deepcopy(evaluator.params)
    part.params.imgIds = [every[index] for index in chosen]
    part._paramsEval = part.params
    areas = range(len(evaluator.params.areaRng))
    part.evalImgs = [
        evaluator.evalImgs[area * len(every) + index]
        for area in areas
        for index in chosen
    ]
    return part


def _restrict(document: dict, source: str, image_ids: Collection[int] | None) -> dict:
    if image_ids is None:
        return document
    wanted = {int(image_id) for image_id in image_ids}
    images, annotations = (
        [
            entry
            for entry in document[key]
            if isinstance(entry, dict)
            and type(entry.get(owner)) is int
            and entry[owner] in wanted
        ]
        for key, owner in (("images", "id"), ("annotations", "image_id"))
    )
    unknown = wanted - {entry["id"] for entry in images}
    if unknown or not wanted:
        raise ValueError(
            f"{source}: of the {len(wanted)} pictures to score, {len(unknown)} are not "
            f"in it, such as {sorted(unknown)[:5]}"
        )
    return {**document, "images": images, "annotations": annotations}


def _counts(
    entry: dict, pictures: dict[int, Picture], is_part: bool, task: str
) -> bool:
    """Whether a result is of a scored picture; refuses one that cannot be scored."""
    image_id: Any = entry.get("image_id")
    value = entry.get("score")
    if not isinstance(image_id, int | np.integer) or image_id not in pictures:
        if not is_part:
            raise ValueError(
                f"A {task} result is of picture {quote(image_id)}, which the ground "
                "truth does not hold. Are these the results of another split?"
            )
        return False
    if not _is_finite(value):
        raise ValueError(
            f"A {task} result of picture {image_id} has the score {quote(value)}; "
            "expected a finite number"
        )
    try:
        _check_payload(entry, pictures[int(image_id)], task)
    except ValueError as error:
        raise ValueError(f"A {task} result of picture {image_id}: {error}") from None
    return entry.get("category_id") == PERSON_CATEGORY


def _check_payload(entry: dict, picture: Picture, task: str) -> None:
    if task == "segm":
        segmentation = entry.get("segmentation") or None
        check_segmentation(segmentation, height=picture.height, width=picture.width)
        # pycocotools takes the area of nothing else.
        if not isinstance(segmentation, dict) or isinstance(
            segmentation["counts"], list
        ):
            raise ValueError(
                f"segmentation is {quote(segmentation)}; expected compressed run "
                "lengths, {'size': [height, width], 'counts': text}"
            )
        return
    values = entry.get("keypoints")
    if (
        not isinstance(values, list)
        or len(values) != 3 * NUM_KEYPOINTS
        or not all(map(_is_finite, values))
    ):
        raise ValueError(
            f"keypoints are {quote(values)}; expected {3 * NUM_KEYPOINTS} finite "
            "numbers"
        )


def _is_finite(value: object) -> bool:
    is_number = isinstance(value, int | float | np.number)
    return is_number and bool(abs(value) <= sys.float_info.max)  # NaN is not


def _people(document: dict, task: str) -> dict:
    """The ground truth as pycocotools needs it; the document stays as it was."""
    annotations = []
    people = [e for e in document["annotations"] if e["category_id"] == PERSON_CATEGORY]
    # Numbered from 1: pycocotools takes a match with annotation 0 for no match.
    for number, entry in enumerate(people, start=1):
        entry = {"iscrowd": 0, "area": 0.0, **entry, "id": number}
        entry["keypoints"] = entry.get("keypoints") or [0] * (3 * NUM_KEYPOINTS)
        entry["num_keypoints"] = sum(v > 0 for v in entry["keypoints"][2::3])
        if task == "segm" and not entry["segmentation"]:
            x, y, width, height = entry["bbox"]
            right, bottom = x + width, y + height
            entry["segmentation"] = [[x, y, right, y, right, bottom, x, bottom]]
            entry["iscrowd"] = 1
        annotations.append(entry)
    return {
        "images": document["images"],
        "annotations": annotations,
        "categories": [{"id": PERSON_CATEGORY, "name": "person"}],
    }


def _index(dataset: dict) -> Any:
    coco: Any = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco


def _found(truth: Any, results: list[dict], task: str) -> Any:
    if not results:  # which loadRes does not take
        return _index({**truth.dataset, "annotations": []})
    # Nothing else may come in: given a box, pycocotools takes the mask's area from it.
    payload = {"keypoints": "keypoints", "segm": "segmentation"}[task]
    keys = ("image_id", "category_id", "score", payload)
    return truth.loadRes([{key: entry[key] for key in keys} for entry in results])
