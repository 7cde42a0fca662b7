"""People in the types of other libraries; those need not be installed."""

import sys
import types

import numpy as np
import pytest

from poseseg_jax.interop import to_supervision
from tests.test_people import somebody


class Recorded:
    def __init__(self, *values, **fields):
        self.values, self.fields = values, fields

    @classmethod
    def empty(cls):
        return cls("nobody")


@pytest.fixture
def supervision(monkeypatch):
    """Stands for the library, as of the fields that all of its versions have."""
    module = types.ModuleType("supervision")
    module.Detections = type("Detections", (Recorded,), {})
    module.KeyPoints = type("KeyPoints", (Recorded,), {})
    monkeypatch.setitem(sys.modules, "supervision", module)
    return module


def test_everybody_is_there_in_order(supervision):
    people = [somebody(score=0.7), somebody(score=0.2)]
    detections, keypoints = to_supervision(people)
    assert isinstance(detections, supervision.Detections)
    fields = detections.fields
    assert fields["xyxy"].tolist() == [person.box.tolist() for person in people]
    assert fields["mask"].shape == (2, 6, 8)
    assert fields["mask"].dtype == bool
    np.testing.assert_allclose(fields["confidence"], [0.7, 0.2])
    assert fields["class_id"].tolist() == [0, 0]
    xy, classes, confidence = keypoints.values
    assert (xy.shape, confidence.shape, classes.tolist()) == (
        (2, 17, 2),
        (2, 17),
        [0, 0],
    )


@pytest.mark.usefixtures("supervision")
def test_nobody_is_its_own_nobody():
    assert [one.values for one in to_supervision([])] == [("nobody",)] * 2


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ValueError, match="pip install supervision"):
        to_supervision([somebody()])


def test_the_library_itself_takes_them():
    sv = pytest.importorskip("supervision")
    detections, keypoints = to_supervision([somebody()])
    assert isinstance(detections, sv.Detections)
    assert len(detections) == len(keypoints) == 1
