"""People in the types of other libraries, which need not be installed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from poseseg_jax.people import Person
from poseseg_jax.skeleton import NUM_KEYPOINTS

_PERSON = 0  # the class as `supervision` and its annotators count it


def to_supervision(people: Sequence[Person]) -> tuple[Any, Any]:
    """People for the annotators, trackers and zones of Roboflow's `supervision`.

    Args:
      people: of one picture.

    Returns:
      `sv.Detections` with masks, scores and boxes, for example for `sv.ByteTrack`, and
      `sv.KeyPoints` with confidences, in the same order. Class 0 is a person. Without
      people, both are its own empty values.

    Raises:
      ValueError: if `supervision` is not installed.
    """
    try:
        import supervision as sv  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            "to_supervision needs the package supervision, which cannot be imported "
            f"({error}). Install it: pip install supervision"
        ) from None
    if not people:
        return sv.Detections.empty(), sv.KeyPoints.empty()
    classes = np.full(len(people), _PERSON)
    detections = sv.Detections(
        xyxy=np.array([person.box for person in people], np.float32),
        mask=np.array([person.mask for person in people]),
        confidence=np.array([person.score for person in people], np.float32),
        class_id=classes,
    )
    keypoints = np.array([person.keypoints for person in people], np.float32)
    confidence = np.array([person.confidence for person in people], np.float32)
    assert keypoints.shape[1:] == (NUM_KEYPOINTS, 2)
    # By place: its third field has had two names.
    return detections, sv.KeyPoints(keypoints, classes, confidence)
