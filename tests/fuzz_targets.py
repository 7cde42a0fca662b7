"""What is fuzzed: functions of bytes that hold the readers to what they promise.

Whatever the bytes are, a reader returns a value that keeps its invariants, or raises
ValueError with a message that names what was read. Anything else that is raised here is
a finding; so are a crash, a hang, and too much memory, which `fuzz.py` watches.
"""

import functools
import json
import struct
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from poseseg_jax.coco import scoring
from poseseg_jax.coco.annotations import AnnotationFile, parse, people_map
from poseseg_jax.coco.document import read_document
from poseseg_jax.coco.picture import MAX_PIXELS, parse_picture
from poseseg_jax.coco.segmentation import check_segmentation, to_mask
from poseseg_jax.data.coco_persons.record import make_record
from poseseg_jax.data.decoding import decode_image, decode_record
from poseseg_jax.structs import IGNORE, SEVERAL, UNKNOWN_MASK
from tests.coco_files import document, image, person

NAME = "some-picture.jpg (image id 7)"
# Of a picture that is rasterised and scored here: larger ones only take longer.
SMALL = 2**16


@dataclass(frozen=True)
class Target:
    """A function of bytes, and inputs from which the others are made."""

    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


def accepted(names: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What the call returns; None if it refuses in the way that is promised."""
    try:
        return call(*args, **kwargs)
    except ValueError as error:
        refusal = error
    assert type(refusal) is ValueError, f"{type(refusal).__name__}: {refusal}"
    assert names in str(refusal), f"does not name {names}: {refusal}"
    assert len(str(refusal)) < 4000, f"a message that nobody reads: {refusal}"
    return None


# Annotation files -------------------------------------------------------------------


def read_annotations(data: bytes) -> None:
    """Reads an annotation file, makes people maps and scores: the whole way.

    The first byte says how the file is made of the others: 0: they are changes of a
    good document, of 6 bytes each (`changed`); else they are its text.
    """
    if data[:1] == b"\0":
        data = text_of(changed(good_document(), data[1:]))
    else:
        data = data[1:]
    path = _folder() / "some.json"
    path.write_bytes(data)
    content = accepted(str(path), read_document, path)
    if content is None:
        return
    read = parse(content, source=str(path), on_error="skip")
    assert (accepted(str(path), parse, content, source=str(path)) is None) == bool(
        read.problems
    )
    _check_nothing_is_lost(content, read)
    pictures = [p for p in read.pictures if p.height * p.width <= SMALL]
    for picture in pictures:
        _check_picture(picture)
    if pictures:
        _check_scores(path, pictures)


def _check_nothing_is_lost(content: dict, read: AnnotationFile) -> None:
    kept = [picture.image_id for picture in read.pictures]
    assert kept == sorted(set(kept))
    left_out = {problem.image_id for problem in read.problems}
    assert left_out.isdisjoint(kept)
    nameless = sum(problem.image_id is None for problem in read.problems)
    there = [e for e in content["images"] if isinstance(e, dict)]
    known = {e.get("id") for e in there if type(e.get("id")) is int}
    assert {i for i in known if 0 <= i < 2**63} == set(kept) | (left_out & known)
    assert nameless or len(there) == len(content["images"])
    names = [picture.file_name for picture in read.pictures]
    assert len(names) == len(set(names))
    for picture in read.pictures:
        entries = [
            entry
            for entry in content["annotations"]
            if isinstance(entry, dict)
            and entry.get("image_id") == picture.image_id
            and entry.get("category_id") == 1
        ]
        assert len(picture.people) + len(picture.crowds) == len(entries)


def _check_picture(picture) -> None:
    assert 0 < picture.height * picture.width <= MAX_PIXELS
    areas = [person.area for person in picture.people]
    assert areas == sorted(areas, reverse=True)
    for somebody in picture.people:
        assert 1 <= somebody.area < np.inf
        assert np.isfinite(somebody.box.astype(np.float32)).all()
        assert (somebody.box[2:] >= somebody.box[:2]).all()
        assert np.isfinite(somebody.keypoints.astype(np.float32)).all()
        assert set(somebody.visibility.tolist()) <= {0, 1, 2}
        assert not somebody.keypoints[somebody.visibility == 0].any()
        assert 0 <= somebody.annotation_id < 2**63
    codes = people_map(picture)
    assert codes.shape == (picture.height, picture.width)
    allowed = {*range(len(areas) + 1), UNKNOWN_MASK, SEVERAL, IGNORE}
    assert set(np.unique(codes).tolist()) <= allowed


def _check_scores(path: Path, pictures: list) -> None:
    """The truth, given as result, scores between 0 and 1, and crashes nobody."""
    image_ids = [picture.image_id for picture in pictures]
    entries: dict[str, list[dict]] = {"keypoints": [], "segm": []}
    for picture in pictures:
        common = {"image_id": picture.image_id, "category_id": 1, "score": 0.5}
        size = {"height": picture.height, "width": picture.width}
        for somebody in picture.people:
            points = np.c_[somebody.keypoints, np.ones(17)].reshape(-1).tolist()
            entries["keypoints"].append({**common, "keypoints": points})
            if somebody.segmentation is not None:
                mask = np.asfortranarray(to_mask(somebody.segmentation, **size))
                entries["segm"].append(
                    {**common, "segmentation": coco_mask.encode(mask)}
                )
    for task, results in entries.items():
        scores = scoring.score(results, path, task, image_ids=image_ids)
        assert all(s is None or 0 <= s <= 1 + 1e-9 for s in scores.values()), scores


@functools.cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="fuzz-"))


def good_document() -> dict:
    """Two small pictures with a crowd, polygons, run lengths and an unknown mask."""
    small = {"height": 24, "width": 30}
    box = (3, 4, 12, 15)
    counts = {"size": [24, 30], "counts": [0, 20, 500, 200]}
    diagonal = np.asfortranarray(np.eye(24, 30, dtype=np.uint8))
    text = {"size": [24, 30], "counts": coco_mask.encode(diagonal)["counts"].decode()}
    people = [
        person(1, 1, box=box),
        person(2, 1, box=box, segmentation=[], labelled=5),
        person(3, 1, box=box, segmentation=text),
        person(4, 2, box=box, segmentation=counts, iscrowd=1),
        person(5, 2, box=box),
        {"id": 6, "image_id": 2, "category_id": 3},
    ]
    made = document([image(1, **small), image(2, **small)], people)
    made["categories"].append({"id": 3, "name": "bird"})
    return made


ODD_NUMBERS = (
    *(0, -1, 1, 2, 3, 1.0, 0.5, 1e-300, -0.0, 1e9, 1e300, 65500, 1_000_000, True),
    *(2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 10**30, 10**299, 10**400, -(10**400)),
    *(float("nan"), float("inf"), float("-inf"), None, "1"),
)
ODD_TEXTS = (
    *("", "1", "person", "..", "a/../b", "/etc/passwd", "a\0b", "a\nb", "\ud800", "é"),
    *("x" * 300, "000000000001.png", "000000000002.png", "[[[[", "0", "PPPP0", "é0"),
)
ODD_LISTS = (
    *([], [[]], [1], [0] * 51, [0, 0, 2] * 17, [0.5, 0.5, 2] * 17, [1, 1, 0] * 17),
    *([[1, 1, 5, 5]], [[1, 1, 5, 1, 5, 5]], [[0, 0, 1e9, 0, 1, 1]], [[0, 0] * 3000]),
    *([0, 0, 1, 1], [0, 0, 0, 0], [1e6, 0, 1, 1], [3, 4, 12, 10**400], [24, 30]),
    functools.reduce(lambda inner, _: [inner], range(50), []),
)
ODD_OBJECTS = (
    *({}, {"id": 1}, {"id": 1, "name": "person", "keypoints": ["nose"] * 17}),
    *({"size": [24, 30], "counts": [720]}, {"size": [24, 30], "counts": [0, 0, 720]}),
    *({"size": [24, 30], "counts": "oooooooooooo0"}, {"size": [30, 24], "counts": "0"}),
    *({"size": [24.0, 30.0], "counts": [720]}, {"size": [24, 30], "counts": "`0é1"}),
    functools.reduce(lambda inner, _: {"a": inner}, range(80), 1),
)
ODD = (*ODD_NUMBERS, *ODD_TEXTS, *ODD_LISTS, *ODD_OBJECTS)
ODD_OF = {str: ODD_TEXTS, list: ODD_LISTS, dict: ODD_OBJECTS}


def changed(content: Any, changes: bytes) -> Any:
    """A document after changes of 6 bytes: where (4), how, and to what."""
    for place, how, what in struct.iter_unpack(
        "<IBB", changes[: len(changes) // 6 * 6]
    ):
        if not content:
            break
        _change(content, place, how, what)
    return content


def _change(content: Any, place: int, how: int, what: int) -> None:
    holder, key = _slot(content, place)
    value = holder[key]
    match how % 8:
        case 0 | 1 | 2:
            odd = ODD if how % 8 == 2 else ODD_OF.get(type(value), ODD_NUMBERS)
            holder[key] = json.loads(json.dumps(odd[what % len(odd)]))
        case 3:
            del holder[key]
        case 4 if isinstance(holder, list):
            holder.insert(key, json.loads(json.dumps(value)))
        case 5 if isinstance(value, int | float) and abs(value) < 1e300:
            edits = (value + 1, -value, value / 2, value * 1000, float(value))
            holder[key] = edits[what % len(edits)]
        case 6 if isinstance(value, str | list):
            holder[key] = value[: what % (len(value) + 1)]
        case 7:
            other, its = _slot(content, place // 7919 + what)
            holder[key] = json.loads(json.dumps(other[its]))


def _slot(content: Any, place: int) -> tuple[Any, Any]:
    """A container and one of its keys, deeper ones as likely as outer ones."""
    while True:
        keys = list(content) if isinstance(content, dict) else range(len(content))
        key = keys[place % len(keys)]
        place //= len(keys)
        inner = content[key]
        if not isinstance(inner, dict | list) or not inner or place % 4 == 0:
            return content, key
        place, content = place // 4, inner


def text_of(content: Any) -> bytes:
    """As a file."""
    return json.dumps(content).encode()


def annotation_seeds() -> list[bytes]:
    """Texts, whole and broken, and changes."""
    text = text_of(good_document())
    texts = [text, text[:-9], b"\xef\xbb\xbf" + text, b"[" * 2000, b"{}", b"", b"NaN"]
    texts += [text.decode().encode("utf-16"), text.replace(b"images", b"annotations")]
    changes = [struct.pack("<IBB", 7919 * i, i, i) * (1 + i % 3) for i in range(64)]
    return [b"\1" + one for one in texts] + [b"\0" + one for one in changes]


# Masks ------------------------------------------------------------------------------


def read_segmentation(data: bytes) -> None:
    """Checks a segmentation; what passes has pycocotools' pixels.

    Bytes: how they are meant, height, width, and then text, run lengths, corners, JSON,
    or the pixels of a mask that has to come back from all ways of writing it, or whose
    text is changed.
    """
    if len(data) < 3:
        return
    how, height, width, rest = data[0], data[1] % 48 + 1, data[2] % 48 + 1, data[3:]
    size = {"height": height, "width": width}
    if how % 8 == 5:
        _check_round_trip(rest, height, width)
        return
    segmentation = _made(how % 8, rest, height, width)
    if how >= 8 and isinstance(segmentation, dict):
        odd = ([width, height], [float(height), width], [height, True], f"{height}", [])
        segmentation["size"] = odd[how // 8 % len(odd)]
    if accepted("", _checked, segmentation, size) is None:
        return
    pixels = to_mask(segmentation, **size)
    assert pixels.shape == (height, width)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, oracle(segmentation, height, width))


def _checked(segmentation: Any, size: dict[str, int]) -> Any:
    """The segmentation if it is whole and not empty."""
    check_segmentation(segmentation, **size)
    return segmentation or None


def _made(how: int, rest: bytes, height: int, width: int) -> Any:
    size = [height, width]
    if how == 0:  # any text
        return {"size": size, "counts": rest.decode("latin-1")}
    if how == 1:  # text of the right alphabet
        return {"size": size, "counts": bytes(48 + byte % 64 for byte in rest).decode()}
    if how == 2:  # run lengths, of which the last fills the picture up
        runs = [byte - (byte == 255) for byte in rest]
        return {"size": size, "counts": [*runs, height * width - sum(runs)]}
    if how == 3:  # corners of up to 4 polygons, in eighths of a pixel
        corners = [value / 8 for (value,) in struct.iter_unpack("<h", _even(rest))]
        parts = 1 + len(rest) % 4
        step = max(len(corners) // parts, 1)
        return [corners[i : i + step] for i in range(0, len(corners), step)]
    if how in (6, 7):  # the text of a mask, changed in two places
        text = coco_mask.encode(_mask_of(rest[4:], height, width))["counts"].decode()
        for place, what in (rest[:2], rest[2:4]) if len(rest) > 4 else ():
            text = _other_text(text, place, what)
        return {"size": size, "counts": text}
    try:
        return json.loads(rest)
    except (ValueError, RecursionError):
        return rest.decode("latin-1")


def _other_text(text: str, place: int, what: int) -> str:
    """A text with another way of writing a number, or another letter."""
    place %= len(text)
    letter, rest = text[place], text[place + 1 :]
    digit = ord(letter) - 48
    if what < 64 and 0 <= digit < 32:  # a last digit, to which more of 0 or -1 are put
        more = "P" * (what % 20) + "0" if digit < 16 else "o" * (what % 20) + "O"
        return text[:place] + chr(80 + digit) + more + rest
    if what < 128:
        return text.replace(letter, "éß?~"[what % 4])
    return text[:place] + chr(what % 64 + 48) + rest


def _mask_of(rest: bytes, height: int, width: int) -> np.ndarray:
    bits = np.unpackbits(np.frombuffer(rest or b"\0", np.uint8))
    return np.asfortranarray(np.resize(bits, (height, width)))


def _even(data: bytes) -> bytes:
    return data[: len(data) // 2 * 2]


def oracle(segmentation: Any, height: int, width: int) -> np.ndarray:
    """The pixels as pycocotools alone makes them."""
    if isinstance(segmentation, list):
        rle: Any = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    elif isinstance(segmentation["counts"], list):
        rle = coco_mask.frPyObjects(segmentation, height, width)
    else:
        rle = segmentation
    with warnings.catch_warnings():  # of NumPy, about pycocotools
        warnings.simplefilter("ignore", DeprecationWarning)
        return coco_mask.decode(rle)


def _check_round_trip(rest: bytes, height: int, width: int) -> None:
    mask = _mask_of(rest, height, width)
    text = coco_mask.encode(mask)["counts"]
    changes = np.flatnonzero(np.diff(mask.flatten("F"), prepend=0, append=2))
    counts = np.diff(changes, prepend=0).tolist()
    for written in (text.decode(), text, counts):
        rle = {"size": [height, width], "counts": written}
        check_segmentation(rle, height=height, width=width)
        np.testing.assert_array_equal(to_mask(rle, height=height, width=width), mask)


def segmentation_seeds() -> list[bytes]:
    """One and more of each kind."""
    square = struct.pack("<8h", 8, 8, 80, 8, 80, 80, 8, 80)
    mask = np.asfortranarray(np.eye(24, 30, dtype=np.uint8))
    text = coco_mask.encode(mask)["counts"]
    return [
        b"\0\x17\x1d" + text,
        b"\1\x17\x1d" + bytes(byte - 48 for byte in text),
        b"\2\x17\x1d" + bytes([0, 20, 200, 30, 40]),
        b"\3\x17\x1d" + square,
        b"\3\x17\x1d" + square + square[:12] + square,
        b"\4\x17\x1d[[1, 2, 3, 4, 5, 6.5]]",
        b'\4\x17\x1d{"size": [24, 30], "counts": [10, 710]}',
        b'\4\x17\x1d{"size": [24, 30], "counts": "oooo0"}',
        b"\5\x17\x1d" + b"\x0f\xf3\x81" * 9,
        *(b"\6\x17\x1d" + bytes([i, 60 + i, i, i]) + b"\x0f\xf3" * 9 for i in range(8)),
        # Runs of 15, which are written as a question mark.
        *(
            b"\6\x17\x1d" + bytes([i, 66, i, 66]) + b"\0\1\xff\xfc" * 6
            for i in range(4)
        ),
        *(b"\x0e\x17\x1d\0\0\0\0" + bytes([i]) for i in range(4)),
    ]


# Pictures ---------------------------------------------------------------------------


def read_picture(data: bytes) -> None:
    """Decodes a picture file, whole, reduced, and on its way into a record and out.

    If the first byte is large, checksums of a PNG are put right first: decoders refuse
    nearly every other change.
    """
    is_mended, data = data[:1] > b"\x7f", data[1:]
    if is_mended:
        data = with_right_checksums(data)
    whole = accepted(NAME, decode_image, data, name=NAME)
    accepted(NAME, decode_image, data, name=NAME, reduction=8)
    assert whole is None or (whole.dtype, whole.ndim) == (np.uint8, 3)
    height, width = (24, 30) if whole is None else whole.shape[:2]
    assert 0 < height * width <= MAX_PIXELS
    name = "some-picture.jpg"
    entry = {"id": 7, "file_name": name, "height": height, "width": width}
    (_folder() / name).write_bytes(data)
    record = accepted(NAME, make_record, parse_picture(entry, []), _folder())
    assert (record is None) == (whole is None)
    if record is None:
        return
    decode_record(record, shrink=8)  # what was prepared is not refused in training
    sample = decode_record(record)
    np.testing.assert_array_equal(sample.image, whole)
    assert not sample.people.any()
    assert sample.people.shape == (height, width)
    sample = accepted(NAME, decode_record, {**record, "people": data})
    assert sample is None or sample.people.shape == (height, width)


def with_right_checksums(data: bytes) -> bytes:
    """A PNG file as it is, but with the checksums of its chunks; others unchanged."""
    if not data.startswith(b"\x89PNG"):
        return data
    return data[:8] + b"".join(_chunks(data))


def _chunks(data: bytes) -> Iterator[bytes]:
    place = 8
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if end + 4 > len(data):
            break
        checksum = zlib.crc32(data[place + 4 : end]).to_bytes(4, "big")
        yield data[place:end] + checksum
        place = end + 4
    yield data[place:]


def picture_seeds() -> list[bytes]:
    """JPEG and PNG files of every kind that OpenCV writes, of very few pixels."""
    rng = np.random.default_rng(0)
    color = cv2.GaussianBlur(rng.integers(0, 256, (19, 27, 3), np.uint8), (5, 5), 2)
    flags = {
        "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
        "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 1],
        "optimal": [cv2.IMWRITE_JPEG_OPTIMIZE, 1],
    }
    made = [cv2.imencode(".jpg", color, flag)[1].tobytes() for flag in flags.values()]
    alpha = np.dstack([color, color[..., 0]])
    for pixels in (color, color[..., 0], alpha, color.astype(np.uint16) * 257):
        made.append(cv2.imencode(".png", np.ascontiguousarray(pixels))[1].tobytes())
    made.append(cv2.imencode(".jpg", np.ascontiguousarray(color[..., 0]))[1].tobytes())
    bilevel = [cv2.IMWRITE_PNG_BILEVEL, 1]
    made.append(cv2.imencode(".png", color[..., 0] // 128 * 255, bilevel)[1].tobytes())
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    exif = b"\xff\xe1" + (len(tiff) + 8).to_bytes(2, "big") + b"Exif\0\0" + tiff
    made.append(made[0][:2] + exif + made[0][2:])
    return [start + one for one in made for start in (b"\0", b"\xff")]


TARGETS = {
    "annotations": Target(read_annotations, annotation_seeds),
    "segmentation": Target(read_segmentation, segmentation_seeds),
    "picture": Target(read_picture, picture_seeds),
}
