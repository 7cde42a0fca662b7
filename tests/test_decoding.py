"""Bytes become the pixels that were labelled, or an error that names the picture."""

import cv2
import numpy as np
import pytest

from poseseg_jax import geometry
from poseseg_jax.data.decoding import (
    decode_image,
    decode_people,
    decode_record,
    name_of,
)
from poseseg_jax.data.run_lengths import encode_runs

OTHER_MAP = encode_runs(np.zeros((7, 9), np.uint8))
NAME = "000000000139.jpg (image id 139)"


def encode(rgb, extension=".png"):
    pixels = rgb[..., ::-1] if rgb.ndim == 3 else rgb
    return cv2.imencode(extension, np.ascontiguousarray(pixels))[1].tobytes()


def make_record(pixels, **fields):
    height, width = pixels.shape[:2]
    return {
        "image": encode(pixels, ".jpg"),
        "people": encode_runs(np.zeros((height, width), np.uint8)),
        "image_id": np.int64(139),
        "file_name": b"000000000139.jpg",
        "size": np.array([height, width], np.int32),
        "keypoints": np.zeros((0, 17, 2), np.float32),
        "visibility": np.zeros((0, 17), np.uint8),
        "box": np.zeros((0, 4), np.float32),
        "area": np.zeros(0, np.float32),
        "has_mask": np.zeros(0, bool),
        "annotation_id": np.zeros(0, np.int64),
        **fields,
    }


def test_colors_are_rgb():
    image = np.full((9, 7, 3), (250, 20, 100), np.uint8)
    np.testing.assert_array_equal(decode_image(encode(image), name=NAME), image)


def test_grayscale_becomes_three_channels():
    gray = np.arange(63, dtype=np.uint8).reshape(9, 7)
    image = decode_image(encode(gray), name=NAME)
    np.testing.assert_array_equal(image, np.stack([gray] * 3, axis=-1))


def test_exif_orientation_is_ignored():
    jpeg = encode(np.zeros((9, 7, 3), np.uint8), ".jpg")
    tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    rotated = jpeg[:2] + segment + jpeg[2:]
    as_shown = cv2.imdecode(np.frombuffer(rotated, np.uint8), cv2.IMREAD_COLOR)
    assert as_shown.shape[:2] == (7, 9)  # the orientation is really there
    assert decode_image(rotated, name=NAME).shape == (9, 7, 3)


@pytest.mark.parametrize("shrink", [1.0, 1.9, 2.0, 3.9, 5.0, 8.0, 40.0])
@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_reduced_decoding_keeps_positions(shrink, extension):
    """A spot stays where it is, also where the sides are no multiples."""
    image = np.zeros((101, 139, 3), np.uint8)
    image[40:57, 80:97] = 255  # centred on (88, 48)
    record = make_record(image, image=encode(image, extension))
    sample = decode_record(record, shrink=shrink)
    reduction = 139 / sample.image.shape[1]
    assert reduction <= max(shrink, 1)
    weight = sample.image[..., 0].astype(float)
    weight[weight < 30] = 0  # what JPEG adds around
    y, x = np.indices(weight.shape)
    found = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
    expected = geometry.apply_affine(sample.to_image, np.array([88.0, 48.0]))
    assert np.abs(found - expected).max() < 0.1


@pytest.mark.parametrize(
    ("what", "fields", "message"),
    [
        ("no bytes", {"image": b""}, "0 bytes"),
        ("garbage", {"image": b"\xff\xd8 garbage"}, "begins with"),
        ("text", {"image": b"Not Found"}, "begins with b'Not"),
        ("broken people map", {"people": b"\x89PNG"}, "people map"),
        ("size", {"size": np.array([9, 8], np.int32)}, "9 x 7 .* 9 x 8"),
        (
            "size of the people map",
            {"people": OTHER_MAP},
            "people map: .*7 x 9 .*9 x 7",
        ),
    ],
)
def test_broken_pictures_are_named(what, fields, message):
    record = make_record(np.zeros((9, 7, 3), np.uint8), **fields)
    with pytest.raises(ValueError, match=message) as error:
        decode_record(record)
    assert "000000000139.jpg (image id 139)" in str(error.value), what


def test_a_people_map_is_read_without_its_picture():
    codes = np.arange(63, dtype=np.uint8).reshape(9, 7)
    record = make_record(
        np.zeros((9, 7, 3), np.uint8), people=encode_runs(codes), image=b""
    )
    np.testing.assert_array_equal(decode_people(record), codes)
    small = {**record, "people": encode_runs(codes[:5])}
    with pytest.raises(ValueError, match=r"139\.jpg .*people map: .*5 x 7 .*9 x 7"):
        decode_people(small)


def test_a_name_is_text_whoever_stored_it():
    record = make_record(np.zeros((9, 7, 3), np.uint8))
    assert name_of(record) == NAME
    assert name_of({**record, "file_name": "000000000139.jpg"}) == NAME
