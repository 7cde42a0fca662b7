"""Pictures that people have: any file, any orientation, any depth -> RGB.

Unlike the records of a data set (decoding.py), whose labels refer to the stored pixels,
a photo is turned as its Exif data say.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from poseseg_jax import geometry
from poseseg_jax.coco.picture import MAX_PIXELS
from poseseg_jax.data.decoding import decode_checked, possible_reduction
from poseseg_jax.data.exif import read_orientation, turn_upright
from poseseg_jax.data.headers import Header, is_jpeg, is_png, read_header

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".avif", ".jp2")
_WHOLE = geometry.resize_affine(1.0)
_WHITE = 255.0
_ADVICE = "It is left out: restore or convert the file."

Pixels = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture to find people in.

    Attributes:
      name: in errors.
      size: (height, width), px, as it is to be shown.
      data: of a JPEG file that is stored upright: it is decoded when it is asked for,
        to a fraction of its size where that will do. Else empty.
      header: of `data`.
      pixels: RGB of any other; None: decode `data`.
    """

    name: str
    size: tuple[int, int]
    data: bytes = b""
    header: Header | None = None
    pixels: Pixels | None = None

    def decode(self, *, shrink: float = 1.0) -> tuple[Pixels, Float[np.ndarray, "2 3"]]:
        """The picture, and the affine that takes its px to those that are returned.

        Args:
          shrink: by how much the picture is going to be reduced; see decode_record.

        Raises:
          ValueError: naming it, if it is no whole picture.
        """
        if self.pixels is not None:
            return self.pixels, _WHOLE
        assert self.header is not None, "a photo is pixels or a file"
        reduction = possible_reduction(self.data, shrink)
        try:
            return decode_checked(self.data, self.header, reduction=reduction)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}. {_ADVICE}") from None

    def reduced(self, side: int) -> Pixels:
        """RGB whose longer side has at most so many pixels; 0: as it is."""
        longest = max(self.size)
        if not side or longest <= side:
            return self.decode()[0]
        pixels, _ = self.decode(shrink=longest / side)
        height, width = (max(round(s * side / longest), 1) for s in self.size)
        smaller = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(smaller)


def open_photo(path: str | Path) -> Photo:
    """Reads a picture file.

    JPEG, PNG and whatever else OpenCV decodes. Of 16 bits the upper 8 count, grey
    becomes three equal channels, and what is transparent lies on white.

    Raises:
      ValueError: naming the file and saying why, if it is no picture, cut off, or has
        more than 2^26 pixels.
    """
    try:
        return _from_bytes(Path(path).read_bytes(), str(path))
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be read ({error.strerror or error})"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}. {_ADVICE}") from None


def of_pixels(image: np.ndarray, name: str = "the picture") -> Photo:
    """A picture that is in memory already.

    Args:
      image: uint8, [H W 3] RGB or [H W] grey.
      name: in errors.

    Raises:
      ValueError: naming it, for another shape or type.
    """
    given = np.asarray(image)
    is_one = given.ndim == 2 or (given.ndim == 3 and given.shape[-1] == 3)
    if given.dtype != np.uint8 or not is_one or not given.size:
        raise ValueError(
            f"{name} is {given.dtype} {list(given.shape)}; expected uint8 [height "
            "width 3], RGB, or [height width], grey. (OpenCV reads BGR: turn it with "
            "image[..., ::-1].)"
        )
    if given.ndim == 2:
        given = given[..., None].repeat(3, axis=-1)
    _check_pixels(*given.shape[:2], name=f"{name}: ")
    return Photo(name, given.shape[:2], pixels=np.ascontiguousarray(given))


def _from_bytes(data: bytes, name: str) -> Photo:
    if not (is_jpeg(data) or is_png(data)) and data:
        pixels = turn_upright(_decode_other(data), read_orientation(data))
        return Photo(name, pixels.shape[:2], pixels=pixels)
    header = read_header(data)
    if header.jpeg_data:
        orientation = read_orientation(data[: header.jpeg_data])
        if orientation == 1:
            return Photo(name, (header.height, header.width), data, header)
        pixels, _ = decode_checked(data, header)
    else:
        orientation = read_orientation(data)
        pixels = _decode_other(data)
    pixels = turn_upright(pixels, orientation)
    return Photo(name, pixels.shape[:2], pixels=pixels)


def _decode_other(data: bytes) -> Pixels:
    """Of any format, with what is transparent on white."""
    try:
        stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(f"cannot be decoded ({error.err})") from None
    if stored is None:
        raise ValueError(
            f"its {len(data)} bytes are no picture that can be decoded; expected a "
            "JPEG or PNG file"
        )
    _check_pixels(*stored.shape[:2])
    if stored.dtype == np.uint16:
        stored = np.right_shift(stored, 8).astype(np.uint8)
    if stored.dtype != np.uint8:
        raise ValueError(f"its pixels are {stored.dtype}; expected 8 or 16 bits")
    if stored.ndim == 2:
        return np.asarray(cv2.cvtColor(stored, cv2.COLOR_GRAY2RGB))
    if stored.shape[-1] == 3:
        return np.asarray(cv2.cvtColor(stored, cv2.COLOR_BGR2RGB))
    opacity = stored[..., 3:] / np.float32(255)
    on_white = stored[..., 2::-1] * opacity + np.float32(_WHITE) * (1 - opacity)
    return on_white.round().astype(np.uint8)


def _check_pixels(height: int, width: int, name: str = "") -> None:
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"{name}{width} x {height} px (width x height); expected at most "
            f"{MAX_PIXELS} pixels: scale it down"
        )
