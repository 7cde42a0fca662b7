"""Do the labels of a data set look as a person's would? Sides, order, places.

Somebody whose eyes are both seen faces the camera, so that their left side is to the
right in the picture. In COCO that holds for 99.6 % of left eyes, and for as many right
ones in a file with sides swapped, which trains without a complaint and scores badly.
So each check is a share of people, beside what it is in COCO train2017.

COCO's shares of sides and order are measured on its 149,813 people with labelled
keypoints; those of places on 9,088 people of its pictures with their masks.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool

from poseseg_jax.data.statistics import Labels
from poseseg_jax.skeleton import KEYPOINT_NAMES

# How often the left one of a pair lies to the right: (of people with both eyes visible,
# of everybody). A file with sides swapped has what is left to 1.
COCO_LEFT_RIGHT = {
    "eye": (0.996, 0.996),
    "ear": (0.997, 0.708),
    "shoulder": (0.976, 0.723),
    "elbow": (0.976, 0.779),
    "wrist": (0.913, 0.770),
    "hip": (0.970, 0.711),
    "knee": (0.907, 0.661),
    "ankle": (0.835, 0.622),
}
# How often the first lies above the second, on the same side of the person.
COCO_ABOVE = {
    ("eye", "ankle"): 0.994,
    ("eye", "shoulder"): 0.976,
    ("shoulder", "hip"): 0.993,
    ("hip", "knee"): 0.915,
    ("knee", "ankle"): 0.977,
}
COCO_PLACES = {
    "visible keypoints in the person's box": 1.0,
    "visible keypoints on the person's mask": 0.993,
    "boxes inside of their picture": 1.0,
    "areas of 5 to 100 % of the box": 1.0,
}
_FEWEST = 10  # below that, nothing is said
_SLACK = 1.0  # px by which labels may be rounded
_PLACES_SLACK = 0.1  # by which a share of places may lie below COCO's
_USUAL, _SWAPPED, _DOUBTFUL, _TOO_FEW = "as in COCO", "swapped", "doubtful", "too few"
_UNLIKE = (_SWAPPED, _DOUBTFUL)


def check(labels: Labels) -> dict[str, Any]:
    """All checks.

    Returns:
      "left_right": for each pair a row of people facing the camera and one of
      everybody; "above" and "places": a row for each check; "warnings": what to look
      at, in words, empty if nothing is. A row has the number "of" people or labels, the
      "share", COCO's, and a "verdict".
    """
    facing = (labels.visibility[:, _both("eye")] == 2).all(-1)
    everybody = np.ones(len(facing), bool)
    left_right = {
        f"{part}s": {
            "facing": _side_row(labels, part, facing, usual[0]),
            "everybody": _side_row(labels, part, everybody, usual[1]),
        }
        for part, usual in COCO_LEFT_RIGHT.items()
    }
    above = {
        f"{upper}s above {lower}s": _row(
            _above(labels, upper, lower), usual, at_least=_nearer_to_chance(usual)
        )
        for (upper, lower), usual in COCO_ABOVE.items()
    }
    values = _places(labels)
    places = {
        what: _row(values[what], usual, at_least=usual - _PLACES_SLACK)
        for what, usual in COCO_PLACES.items()
    }
    found = {"left_right": left_right, "above": above, "places": places}
    return {**found, "warnings": _warnings(found)}


def _both(part: str) -> list[int]:
    return [KEYPOINT_NAMES.index(f"{side}_{part}") for side in ("left", "right")]


def _side_row(
    labels: Labels, part: str, who: Bool[np.ndarray, " P"], usual: float
) -> dict[str, Any]:
    left, right = _both(part)
    has_both = who & (labels.visibility[:, [left, right]] > 0).all(-1)
    x = labels.keypoints[has_both, :, 0]
    holds = np.greater(x[:, left], x[:, right])
    row = _row(holds, usual, at_least=_nearer_to_chance(usual))
    row["swapped"] = round(1 - usual, 3)
    if row["verdict"] == _DOUBTFUL and _at_most(row["share"], row["of"]) < 0.5:
        row["verdict"] = _SWAPPED
    return row


def _above(labels: Labels, upper: str, lower: str) -> Bool[np.ndarray, " n"]:
    """For each side of each person that has both."""
    high, low = _both(upper), _both(lower)
    is_labelled = labels.visibility > 0
    y = labels.keypoints[..., 1]
    holds = np.less(y[:, high], y[:, low])
    return holds[is_labelled[:, high] & is_labelled[:, low]]


def _places(labels: Labels) -> dict[str, Bool[np.ndarray, " n"]]:
    first, last = labels.box[:, None, :2] - _SLACK, labels.box[:, None, 2:] + _SLACK
    points, visible = labels.keypoints, labels.visibility == 2
    in_box = np.all((points >= first) & (points <= last), axis=-1)
    size = labels.size[labels.picture]
    limit = size[:, ::-1] - 0.5 + _SLACK  # outer edges, (x, y)
    in_picture = (labels.box[:, :2] >= -0.5 - _SLACK) & (labels.box[:, 2:] <= limit)
    sides = labels.box[:, 2:] - labels.box[:, :2]
    # COCO rounds; a box of a pixel or less says nothing.
    box_area = sides.prod(-1)
    share = labels.area / np.maximum(box_area, 1)
    return {
        "visible keypoints in the person's box": in_box[visible],
        "visible keypoints on the person's mask": np.equal(
            labels.on_mask[visible & (labels.on_mask >= 0)], 1
        ),
        "boxes inside of their picture": np.all(in_picture, axis=-1),
        "areas of 5 to 100 % of the box": np.logical_and(share >= 0.05, share <= 1.01),
    }


def _row(
    holds: Bool[np.ndarray, " n"], usual: float, *, at_least: float
) -> dict[str, Any]:
    count = len(holds)
    share = float(holds.mean()) if count else None
    if share is None or count < _FEWEST:
        verdict = _TOO_FEW
    elif _at_most(share, count) < at_least:
        verdict = _DOUBTFUL
    else:
        verdict = _USUAL
    return {"of": count, "share": share, "coco": usual, "verdict": verdict}


def _nearer_to_chance(usual: float) -> float:
    """Below that, a share is nearer to the toss of a coin than to COCO."""
    return (usual + 0.5) / 2


def _at_most(share: float, count: int) -> float:
    """The largest share that the sample is compatible with (Agresti and Coull)."""
    middle = (share * count + 2) / (count + 4)
    return middle + 2 * float(np.sqrt(middle * (1 - middle) / (count + 4)))


def _warnings(found: dict[str, dict]) -> list[str]:
    return [*_side_warnings(found["left_right"]), *_other_warnings(found)]


def _side_warnings(pairs: dict[str, dict]) -> list[str]:
    told = []
    facing = {part: rows["facing"] for part, rows in pairs.items()}
    unlike = [part for part in facing if facing[part]["verdict"] in _UNLIKE]
    if unlike:
        is_swapped = any(facing[part]["verdict"] == _SWAPPED for part in unlike)
        first, *others = unlike
        share = _in_words(first, facing[first])
        more = f", and likewise {', '.join(others)}" if others else ""
        told.append(
            f"Left and right look {'swapped' if is_swapped else 'mixed'}. Of people "
            "who face the camera (both eyes visible), the left one of a pair lies to "
            f"the right in the picture in so many: {share}{more}."
        )
    shoulders = pairs["shoulders"]
    # Where eyes are not labelled, nobody is known to face the camera.
    if shoulders["facing"]["verdict"] == _TOO_FEW:
        row = shoulders["everybody"]
        if row["verdict"] == _SWAPPED:
            told.append(
                "Left and right look swapped, or most people turn their backs. The "
                "left one of a pair lies to the right in the picture in so many: "
                f"{_in_words('shoulders', row)}."
            )
    return told


def _other_warnings(found: dict[str, dict]) -> list[str]:
    meaning = {
        "above": "Are the keypoints in COCO's order, the people upright?",
        "places": "Are all labels in pixels of the pictures, boxes as [x, y, w, h]?",
    }
    told = []
    for group, question in meaning.items():
        doubtful = [
            _in_words(what, row)
            for what, row in found[group].items()
            if row["verdict"] == _DOUBTFUL
        ]
        if doubtful:
            told.append(f"{question} {'; '.join(doubtful)}.")
    return told


def _in_words(what: str, row: dict[str, Any]) -> str:
    swapped = f", swapped {row['swapped']:.1%}" if "swapped" in row else ""
    usual = f"COCO {row['coco']:.1%}"
    return f"{what} {row['share']:.1%} of {row['of']} ({usual}{swapped})"
