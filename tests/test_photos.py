"""Any picture that people have becomes RGB, or is refused by its name."""

import re

import cv2
import numpy as np
import pytest

from poseseg_jax.coco.picture import MAX_PIXELS
from poseseg_jax.data import photos
from poseseg_jax.data.photos import of_pixels, open_photo
from tests.test_exif import exif, jpeg_of, with_exif

RED = (200, 30, 10)


def bgr(shape=(24, 32), color=RED):
    return np.full((*shape, 3), color[::-1], np.uint8)


def write(path, image, *settings):
    done, data = cv2.imencode(path.suffix, image, list(settings))
    assert done
    path.write_bytes(data.tobytes())
    return path


def with_alpha(opacity):
    image = np.dstack([bgr(), np.full((24, 32), 255, np.uint8)])
    image[:12, :, 3] = opacity
    return image


GRAY = bgr().mean(-1).astype(np.uint8)
PICTURES = {
    "a colour JPEG": (".jpg", bgr(), RED),
    "a grey JPEG": (".jpg", GRAY, (80, 80, 80)),
    "a colour PNG": (".png", bgr(), RED),
    "a grey PNG": (".png", GRAY, (80, 80, 80)),
    "a PNG of 16 bits": (".png", bgr().astype(np.uint16) * 257, RED),
    "a grey PNG of 16 bits": (".png", GRAY.astype(np.uint16) * 257, (80, 80, 80)),
    "an opaque RGBA": (".png", with_alpha(255), RED),
    "a WebP": (".webp", bgr(), RED),
    "a BMP": (".bmp", bgr(), RED),
    "a TIFF": (".tiff", bgr(), RED),
    "a TIFF of 16 bits": (".tiff", bgr().astype(np.uint16) * 257, RED),
}


@pytest.mark.parametrize("case", PICTURES)
def test_it_becomes_rgb(tmp_path, case):
    suffix, image, color = PICTURES[case]
    photo = open_photo(write(tmp_path / f"a{suffix}", image))
    pixels, to_image = photo.decode()
    assert photo.size == pixels.shape[:2] == (24, 32)
    np.testing.assert_array_equal(to_image, [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(pixels, np.broadcast_to(color, pixels.shape), atol=6)


def test_a_palette_is_looked_up(tmp_path):
    """Written by Pillow: OpenCV writes none."""
    image = pytest.importorskip("PIL.Image")
    indexed = image.new("P", (32, 24))
    indexed.putpalette([0, 0, 0, *RED])
    indexed.paste(1, (0, 0, 32, 24))
    indexed.save(tmp_path / "a.png")
    pixels, _ = open_photo(tmp_path / "a.png").decode()
    np.testing.assert_array_equal(pixels, np.broadcast_to(RED, (24, 32, 3)))
    indexed.save(tmp_path / "b.png", transparency=1)
    assert (open_photo(tmp_path / "b.png").decode()[0] == 255).all()


@pytest.mark.parametrize(("opacity", "share"), [(0, 0.0), (51, 0.2), (255, 1.0)])
def test_what_is_transparent_lies_on_white(tmp_path, opacity, share):
    pixels, _ = open_photo(write(tmp_path / "a.png", with_alpha(opacity))).decode()
    expected = np.array(RED) * share + 255 * (1 - share)
    np.testing.assert_allclose(pixels[0, 0], expected, atol=1)
    np.testing.assert_array_equal(pixels[-1, -1], RED)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_photo_is_shown_as_it_was_taken(tmp_path, orientation):
    path = tmp_path / "a.jpg"
    path.write_bytes(with_exif(jpeg_of(bgr()), exif(orientation)))
    photo = open_photo(path)
    expected = (24, 32) if orientation in (1, 3) else (32, 24)
    assert photo.size == photo.decode()[0].shape[:2] == expected
    assert photo.decode(shrink=2.0)[0].shape[0] in (expected[0], expected[0] // 2)


def test_a_jpeg_is_decoded_to_a_fraction_where_that_will_do(tmp_path):
    photo = open_photo(write(tmp_path / "a.jpg", bgr((101, 203))))
    pixels, to_image = photo.decode(shrink=2.5)
    assert photo.size == (101, 203)
    assert pixels.shape == (51, 102, 3)
    assert to_image[0, 0] == 0.5


@pytest.mark.parametrize(
    ("side", "shape"), [(0, (90, 200)), (200, (90, 200)), (50, (22, 50))]
)
def test_a_canvas_has_no_more_than_so_many_pixels(side, shape):
    canvas = of_pixels(bgr((90, 200))).reduced(side)
    assert canvas.shape == (*shape, 3)


def test_arrays_are_taken_as_they_are():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    pixels, _ = of_pixels(grey).decode()
    assert pixels.shape == (3, 4, 3)
    np.testing.assert_array_equal(pixels[..., 1], grey)
    flipped = bgr()[:, ::-1]
    np.testing.assert_array_equal(of_pixels(flipped).decode()[0], flipped)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((3, 4, 4), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(5, np.uint8),
    ],
)
def test_other_arrays_are_refused(image):
    shape = re.escape(str(list(image.shape)))
    with pytest.raises(ValueError, match=f"the picture is .*{shape}; expected uint8"):
        of_pixels(image)


def jpeg(size=64):
    noise = np.random.default_rng(0).integers(0, 255, (size, size, 3), np.uint8)
    return jpeg_of(noise)


BROKEN = {
    "nothing": (b"", "empty, 0 bytes"),
    "text": (b"hello", "no picture that can be decoded"),
    "a cut-off JPEG": (jpeg()[:-300], "cut off"),
    "a JPEG without its middle": (jpeg()[:700] + jpeg()[-2:], "stop before"),
    "a cut-off PNG": (cv2.imencode(".png", bgr())[1].tobytes()[:-9], "cut off"),
    "a cut-off WebP": (
        cv2.imencode(".webp", bgr((99, 99)))[1].tobytes()[:20],
        "no pic",
    ),
    "a page": (b"<html></html>", "no picture that can be decoded"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_refused_by_its_name(tmp_path, case):
    data, reason = BROKEN[case]
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf"a\.jpg: .*{reason}"):
        open_photo(path).decode()


def test_what_is_not_there_is_refused_by_its_name(tmp_path):
    with pytest.raises(ValueError, match=r"none\.jpg: cannot be read .*No such file"):
        open_photo(tmp_path / "none.jpg")
    with pytest.raises(ValueError, match=r"cannot be read .*Is a directory"):
        open_photo(tmp_path)


def test_floats_are_refused(tmp_path):
    path = write(tmp_path / "a.tiff", np.zeros((4, 4, 3), np.float32))
    with pytest.raises(ValueError, match=r"a\.tiff: its pixels are float32"):
        open_photo(path)


def test_a_huge_picture_is_refused_before_it_takes_the_memory(monkeypatch, tmp_path):
    monkeypatch.setattr(photos, "MAX_PIXELS", 100)
    with pytest.raises(ValueError, match=r"32 x 24 px .*at most 100"):
        open_photo(write(tmp_path / "a.bmp", bgr()))
    with pytest.raises(ValueError, match="the picture: 32 x 24 px"):
        of_pixels(bgr())
    header = np.frombuffer(write(tmp_path / "a.png", bgr()).read_bytes(), np.uint8)
    huge = header.copy()
    huge[16:24] = np.frombuffer(np.array([MAX_PIXELS, 2], ">u4").tobytes(), np.uint8)
    (tmp_path / "b.png").write_bytes(huge.tobytes())
    with pytest.raises(ValueError, match=r"b\.png: its header says"):
        open_photo(tmp_path / "b.png")
