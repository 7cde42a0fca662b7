"""The fuzzers, briefly, and everything that they have found."""

import base64
import zlib

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz import NAMES, Watched, inputs
from tests.fuzz_targets import TARGETS, good_document, text_of

EXAMPLES = {"annotations": 60, "segmentation": 150, "picture": 60}


def with_labels(index: int, **fields: object) -> bytes:
    """Annotation `index` of the good document, changed."""
    content = good_document()
    content["annotations"][index].update(fields)
    return b"\1" + text_of(content)


def unpacked(text: str) -> bytes:
    """Bytes, out of something that fits here."""
    return zlib.decompress(base64.b64decode(text))


# What the fuzzers have found: in words -> the target and the input.
FOUND = {
    "a message as long as all of its integers": (
        "annotations",
        with_labels(0, keypoints=[10**299] * 51),
    ),
    "a message as long as all of its lists": (
        "annotations",
        with_labels(0, id=[good_document()] * 9, image_id=2),
    ),
    "a negative number with a seventh digit is another one in pycocotools": (
        "segmentation",
        bytes.fromhex("063d171d054105050ff33f0200"),
    ),
    "a JPEG that is whole in full size, and cut off when reduced": (
        "picture",
        unpacked(
            "eNr7///G/wcMDIyMQAyEDP9vMzgzgAETA/mAkZGRCQRYmEEkKwsLMwsbKxsbGys3DzcXDycX"
            "FxfIHsYsT5dAJnYuDJAENYaLy9PDJQhZRpFS/SjqqkAGHWAQ5GAQZpBmZlRiYBJkZAYiZgNm"
            "JhZ2BnEl18LGiRsP/r/FwMPMCJRkFmSwZ2C8bkoVQ/7fBAC0Ditw"
        ),
    ),
    "an integer of 31 digits, unlabelled, reached pycocotools": (
        "annotations",
        with_labels(0, keypoints=[*[5, 5, 2] * 16, 10**30, 0, 0]),
    ),
    "a crowd's area of null reached pycocotools": (
        "annotations",
        with_labels(3, area=None),
    ),
}


@pytest.mark.parametrize("name", NAMES)
def test_readers_keep_their_promise(name):
    target = TARGETS[name]

    @settings(max_examples=EXAMPLES[name], suppress_health_check=list(HealthCheck))
    @given(inputs(name, target.seeds()))
    def examples(data):
        target.run(data)

    examples()


@pytest.mark.parametrize("name", NAMES)
def test_readers_keep_their_promise_of_what_the_others_are_made_of(name):
    for data in TARGETS[name].seeds():
        TARGETS[name].run(data)


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_stays_mended(name):
    target, data = FOUND[name]
    TARGETS[target].run(data)


def test_a_finding_ends_the_run_and_leaves_its_input(tmp_path):
    def crash(data):
        raise KeyError(data)

    watched = Watched(crash, tmp_path)
    with pytest.raises(KeyError):
        watched(b"some input")
    assert (watched.executions, watched.last.read_bytes()) == (1, b"some input")
