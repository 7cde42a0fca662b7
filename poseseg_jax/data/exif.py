"""How a picture is to be turned before it is looked at, as cameras note it.

A camera stores what its sensor sees, and beside it how it was held (Exif, tag 0x0112).
"""

import re

import numpy as np
from jaxtyping import UInt8

# Where a JPEG, PNG or WebP file keeps its Exif data, which begin like a TIFF file.
_START = re.compile(
    rb"(?:Exif\0\0|eXIf|EXIF.{4}(?:Exif\0\0)?)(II\*\0|MM\0\*)", re.DOTALL
)
_TAG = 0x0112
_ENTRY = 12  # bytes


def read_orientation(data: bytes) -> int:
    """1 ... 8 as Exif counts them; 1, upright, where nothing readable is said.

    Args:
      data: of a JPEG, PNG or WebP file; of a JPEG, what comes before the picture data.
    """
    match = _START.search(data)
    if match is None:
        return 1
    base = match.start(1)
    order = "little" if data[base : base + 1] == b"I" else "big"

    def number(place: int, size: int) -> int:
        return int.from_bytes(data[base + place : base + place + size], order)

    entries = number(4, 4)
    for index in range(number(entries, 2)):
        place = entries + 2 + index * _ENTRY
        if number(place, 2) == _TAG:
            found = number(place + 8, 2)
            return found if 1 <= found <= 8 else 1
    return 1


def turn_upright(
    stored: UInt8[np.ndarray, "h w 3"], orientation: int
) -> UInt8[np.ndarray, "H W 3"]:
    """The picture as its orientation says that it is to be shown."""
    turned = stored.swapaxes(0, 1) if orientation >= 5 else stored
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return np.ascontiguousarray(turned)
