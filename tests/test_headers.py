"""A picture file is looked through before it is decoded."""

import cv2
import numpy as np
import pytest

from poseseg_jax.coco.picture import MAX_PIXELS
from poseseg_jax.data.decoding import decode_image
from poseseg_jax.data.headers import end_of_data, read_header
from tests import bad_input
from tests.coco_files import real_data

FLAGS = {
    "baseline": [],
    "progressive": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "restarts": [cv2.IMWRITE_JPEG_RST_INTERVAL, 1],
}
NAME = "7.jpg (image id 7)"


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("shape", [(1, 1), (48, 65), (33, 7, 3)])
def test_the_size_is_the_pictures(suffix, shape):
    header = read_header(bad_input.encode(suffix, np.zeros(shape, np.uint8)))
    assert (header.height, header.width) == shape[:2]


def test_a_jpegs_data_end_at_its_end_marker():
    data = bad_input.good_jpeg()
    assert end_of_data(data + b"more", read_header(data).jpeg_data) == len(data) - 2


def test_a_thumbnails_end_is_not_the_pictures():
    thumbnail = bad_input.encode(".jpg", np.zeros((8, 8), np.uint8))
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    data = bad_input.good_jpeg()
    data = data[:2] + segment + data[2:]
    assert (read_header(data).height, read_header(data).width) == (48, 64)
    with pytest.raises(ValueError, match="cut off"):
        read_header(data[:-2])


@pytest.mark.parametrize("kind", FLAGS)
@pytest.mark.parametrize("gray", [False, True])
def test_no_beginning_of_a_jpeg_passes_for_a_whole_one(kind, gray):
    """With its end put behind, as long as a few of its blocks are missing."""
    pixels = bad_input.good_pixels()[..., 0] if gray else bad_input.good_pixels()
    pixels = np.ascontiguousarray(pixels)
    data = cv2.imencode(".jpg", pixels, FLAGS[kind])[1].tobytes()
    start = read_header(data).jpeg_data
    whole = end_of_data(data, start)
    for cut in range(3, whole, 41):
        with pytest.raises(ValueError, match="cut off"):
            read_header(data[:cut])
        if start < cut < whole * 3 // 4:
            with pytest.raises(ValueError, match="the rest is gray"):
                decode_image(data[:cut] + b"\xff\xd9", name=NAME)


@pytest.mark.parametrize("kind", FLAGS)
@pytest.mark.parametrize("level", [0, 127, 128, 129, 255])
def test_a_picture_of_one_gray_is_a_picture(level, kind):
    pixels = np.full((48, 64, 3), level, np.uint8)
    data = cv2.imencode(".jpg", pixels, FLAGS[kind])[1].tobytes()
    image = decode_image(data, name=NAME)
    assert np.abs(image.astype(int) - level).max() <= 1


@pytest.mark.parametrize("side", [8192, 8193])
def test_more_pixels_than_are_allowed_are_refused_before_they_are_made(side):
    data = bad_input.resized(side, 8192)(bad_input.good_jpeg())
    message = "cannot hold" if side * 8192 <= MAX_PIXELS else "at most"
    with pytest.raises(ValueError, match=message):
        read_header(data)


@pytest.mark.parametrize(
    "folder", ["coco_original_sample/val2017", "coco_persons_mini/val2017"]
)
def test_real_pictures_are_whole(folder):
    for path in sorted(real_data(folder).iterdir()):
        read_header(path.read_bytes())
