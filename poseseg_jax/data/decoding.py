"""Records -> arrays. Nothing else in the project decodes pictures.

A record is a mapping, in original pixels: `image` (bytes of the picture's file),
`people` (the people map, codes of structs.py, in the bytes of run_lengths.py),
`image_id`, `file_name`, `size` (height, width) and, with one row per person by
decreasing area, `keypoints` [n K 2], `visibility` [n K], `box` [n 4] (x0, y0, x1, y1),
`area` [n] and `has_mask` [n]. Row i has code i + 1.

Stored pixels are taken as they are: EXIF orientation is ignored, because COCO's labels
refer to the stored pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from poseseg_jax import geometry
from poseseg_jax.data.headers import Header, end_of_data, read_header
from poseseg_jax.data.run_lengths import decode_runs

Record = Mapping[str, Any]

_JPEG_MAGIC = b"\xff\xd8"
_MISSING = 128
# As good as random to a Huffman decoder, with every marker from which it may go on.
_MORE = b"".join(bytes([*range(1, 255), 0xFF, 0xD0 + i]) for i in range(8))
_COLOR_FLAGS = {
    1: cv2.IMREAD_COLOR_RGB,
    # OpenCV names no reduced RGB; "gray" is the reduction alone.
    2: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
_TO_IMAGE = {factor: geometry.resize_affine(1 / factor) for factor in _COLOR_FLAGS}


@dataclass(frozen=True)
class Sample:
    """A decoded record. Coordinates are original pixels.

    Attributes:
      image: RGB, possibly decoded to a fraction of the original size.
      to_image: affine, original px -> px of `image`; the identity at full size.
      people: codes of structs.py at full size; row i has code i + 1.
      keypoints, visibility, box, area: as in structs.Batch, by decreasing area.
      has_mask: False where the pixels of the person are not known.
      image_id: COCO's.
    """

    image: UInt8[np.ndarray, "h w 3"]
    to_image: Float[np.ndarray, "2 3"]
    people: UInt8[np.ndarray, "H W"]
    keypoints: Float[np.ndarray, "n K 2"]
    visibility: UInt8[np.ndarray, "n K"]
    box: Float[np.ndarray, "n 4"]
    area: Float[np.ndarray, " n"]
    has_mask: Bool[np.ndarray, " n"]
    image_id: int


def decode_record(record: Record, *, shrink: float = 1.0) -> Sample:
    """Decodes a record.

    Args:
      record: see the top of this file.
      shrink: by how much the picture is going to be reduced. Its pixels may then be
        decoded to a fraction of their size (a JPEG does that almost for free), but to
        no less than what is needed.

    Raises:
      ValueError: naming file and id, for a picture that is broken or has another size
        than the record says.
    """
    image, to_image = decode_picture(record, shrink=shrink)
    rows = ("keypoints", "visibility", "box", "area", "has_mask")
    return Sample(
        image=image,
        to_image=to_image,
        people=decode_people(record),
        image_id=int(record["image_id"]),
        **{key: record[key] for key in rows},
    )


def decode_picture(
    record: Record, *, shrink: float = 1.0
) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "2 3"]]:
    """`image` and `to_image` of a record's Sample; arguments and errors as there."""
    name = name_of(record)
    height, width = record["size"].tolist()
    reduction = possible_reduction(record["image"], shrink)
    image = decode_image(record["image"], name=name, reduction=reduction)
    _check_size(image, -(-height // reduction), -(-width // reduction), name)
    return image, _TO_IMAGE[reduction]


def decode_people(record: Record) -> UInt8[np.ndarray, "H W"]:
    """The people map of a record, without its picture; errors as in `decode_record`."""
    height, width = record["size"].tolist()
    name = f"{name_of(record)}, people map"
    return decode_runs(record["people"], height=height, width=width, name=name)


def name_of(record: Record) -> str:
    """File and id, as errors and captions name a record."""
    file_name = record["file_name"]
    if isinstance(file_name, bytes):  # as TFDS hands out text
        file_name = file_name.decode()
    return f"{file_name} (image id {int(record['image_id'])})"


def decode_image(
    data: bytes, *, name: str, reduction: int = 1
) -> UInt8[np.ndarray, "h w 3"]:
    """Decodes a picture to RGB; grayscale becomes three equal channels.

    Args:
      data: a JPEG or PNG file. Of 16 bits, the upper 8 count; transparency does not.
      name: what to call the picture in an error: file and id.
      reduction: 1, or for a JPEG also 2, 4 or 8: pixel j of the result is the mean of
        the stored pixels from `reduction` j on; the side is rounded up.

    Raises:
      ValueError: if the bytes are no whole picture of one frame, naming it and saying
        why.
    """
    return _decode(data, _COLOR_FLAGS[reduction], name, reduction=reduction)


def decode_checked(
    data: bytes, header: Header, *, reduction: int = 1
) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "2 3"]]:
    """Decodes a JPEG or PNG file whose header was read; see `decode_image`.

    Returns:
      RGB pixels, and the affine that takes stored px there.

    Raises:
      ValueError: if the bytes are no whole picture. It lacks the name.
    """
    pixels = _decode_whole(data, _COLOR_FLAGS[reduction], header, reduction)
    said = tuple(-(-side // reduction) for side in (header.height, header.width))
    if pixels.shape[:2] != said:
        raise ValueError(
            f"decodes to {pixels.shape[0]} x {pixels.shape[1]} pixels (height x width) "
            f"where its header says {said[0]} x {said[1]}; expected one picture"
        )
    return pixels, _TO_IMAGE[reduction]


def possible_reduction(data: bytes, shrink: float) -> int:
    """By how much a file may be reduced while it is decoded, to `shrink` at most."""
    # OpenCV reduces other formats by a ratio that is not exact, and with aliasing.
    if not data.startswith(_JPEG_MAGIC):
        return 1
    return max(factor for factor in _COLOR_FLAGS if factor <= max(shrink, 1))


def _decode(data: bytes, flags: int, name: str, *, reduction: int = 1) -> np.ndarray:
    try:
        header = read_header(data)
        pixels = _decode_whole(data, flags, header, reduction)
    except ValueError as error:
        raise ValueError(
            f"{name}: {error}. Restore the file, or prepare the data set again without "
            "it."
        ) from None
    _check_size(
        pixels, -(-header.height // reduction), -(-header.width // reduction), name
    )
    return pixels


def _decode_whole(
    data: bytes, flags: int, header: Header, reduction: int
) -> np.ndarray:
    pixels = _try(data, flags)
    if pixels is None:
        raise ValueError(
            f"{len(data)} bytes that are no whole picture, though they begin and end "
            "like one; expected a JPEG or PNG file that can be decoded"
        )
    # Looked at in full size alone: what was prepared must not be refused in training.
    is_gray = reduction == 1 and (pixels[-8:, -8:] == _MISSING).all()
    if is_gray and header.jpeg_data:
        # The decoder fills up what is missing in this gray. If it is a part of the
        # picture, then more data behind the picture's change nothing.
        middle = end_of_data(data, header.jpeg_data)
        more = _try(data[:middle] + _MORE + data[middle:], flags)
        if more is None or not np.array_equal(more, pixels):
            raise ValueError(
                "a JPEG file whose picture data stop before the picture does, the rest "
                "is gray; expected a whole one"
            )
    return pixels


def _try(data: bytes, flags: int) -> np.ndarray | None:
    flags |= cv2.IMREAD_IGNORE_ORIENTATION
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ValueError(f"cannot be decoded ({error.err})") from None


def _check_size(pixels: np.ndarray, height: int, width: int, name: str) -> None:
    if pixels.shape[:2] != (height, width):
        raise ValueError(
            f"{name}: decodes to {pixels.shape[0]} x {pixels.shape[1]} pixels (height "
            f"x width), but the record's size asks for {height} x {width}. Prepare "
            "the data set again."
        )
