"""A picture is turned as its camera was held, and only then."""

import struct

import cv2
import numpy as np
import pytest

from poseseg_jax.data.exif import read_orientation, turn_upright


def exif(orientation, *, order="<", before=0):
    """Exif data with an orientation, behind `before` other entries."""
    entries = [(0x010E + i, 3, 1, 7) for i in range(before)]
    entries.append((0x0112, 3, 1, orientation))
    start = {"<": b"II*\0", ">": b"MM\0*"}[order]
    body = start + struct.pack(f"{order}IH", 8, len(entries))
    for tag, kind, count, value in entries:
        body += struct.pack(f"{order}HHIHH", tag, kind, count, value, 0)
    return body + bytes(4)


def with_exif(jpeg, body):
    """A JPEG file with Exif data behind its first marker."""
    content = b"Exif\0\0" + body
    segment = b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
    return jpeg[:2] + segment + jpeg[2:]


def jpeg_of(image):
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_opencv_turns_it(orientation, order):
    image = np.zeros((48, 64, 3), np.uint8)
    image[:16, :16] = 255
    image[:16, 32:] = 120
    data = with_exif(jpeg_of(image), exif(orientation, order=order, before=2))
    stored = cv2.imdecode(
        np.frombuffer(data, np.uint8),
        cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION,
    )
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert read_orientation(data) == orientation
    np.testing.assert_array_equal(turn_upright(stored, orientation), shown)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nothing",
        b"Exif\0\0II*\0",
        b"Exif\0\0" + exif(6)[:10],
        b"Exif\0\0" + exif(0),
        b"Exif\0\0" + exif(9),
        b"Exif\0\0II*\0" + b"\xff" * 40,
    ],
)
def test_what_is_not_readable_leaves_a_picture_upright(data):
    assert read_orientation(data) == 1


def test_png_and_webp_keep_it_elsewhere():
    assert read_orientation(b"...eXIf" + exif(6)) == 6
    assert read_orientation(b"...EXIF\x1a\0\0\0" + exif(8)) == 8
    assert read_orientation(b"...EXIF\x1a\0\0\0Exif\0\0" + exif(3)) == 3
