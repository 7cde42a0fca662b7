"""What a picture file says of itself, read before anything is decoded.

Decoders are generous: they make a grey rest of what is missing, take the first frame of
an animation, and reserve the memory that a header asks for. Here a file has to be a
JPEG or PNG file with its end, of a size that its bytes can hold.
"""

import re
from dataclasses import dataclass

from poseseg_jax.coco.picture import MAX_PIXELS
from poseseg_jax.coco.quoting import quote

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
# A marker ends a JPEG's picture data; 0 and restarts are part of them.
_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])", re.DOTALL)
_ALONE = (0x01, *range(0xD0, 0xD9))  # markers without a segment
_SIZES = (
    *range(0xC0, 0xC4),
    *range(0xC5, 0xC8),
    *range(0xC9, 0xCC),
    *range(0xCD, 0xD0),
)
_SCAN, _END = 0xDA, 0xD9
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG, by its color type
# No Huffman code is shorter than a bit, and each 8 x 8 block of a JPEG has one. zlib
# shrinks by 1032 at most.
_JPEG_PIXELS_PER_BYTE = 8 * 64
_PNG_BYTES_PER_BYTE = 1032
_OTHERS = {
    b"GIF8": "a GIF file",
    b"RIFF": "a WebP file",
    b"BM": "a BMP file",
    b"II*\0": "a TIFF file",
    b"MM\0*": "a TIFF file",
    b"\0\0\0\x0cjP": "a JPEG 2000 file",
    b"version https://git-lfs": "a Git LFS pointer",
    b"<": "HTML or XML",
    b"{": "a JSON file",
}


@dataclass(frozen=True)
class Header:
    """A picture file's size, px, and where the data of a JPEG begin (PNG: 0)."""

    height: int
    width: int
    jpeg_data: int = 0


def is_jpeg(data: bytes) -> bool:
    """Whether it begins like a JPEG file."""
    return data.startswith(_JPEG)


def is_png(data: bytes) -> bool:
    """Whether it begins like a PNG file."""
    return data.startswith(_PNG)


def end_of_data(data: bytes, start: int) -> int:
    """Where a JPEG's picture data end that begin at `start`."""
    match = _MARKER.search(data, start)
    return match.start() if match else len(data)


def read_header(data: bytes) -> Header:
    """Reads the header of a JPEG or PNG file.

    Raises:
      ValueError: if it is another file, is cut off, holds several pictures, or claims
        more pixels than are allowed or than its bytes can hold. It lacks the name,
        which who calls adds.
    """
    if not data:
        raise ValueError("empty, 0 bytes; expected a JPEG or PNG file")
    if is_jpeg(data):
        header, held = _read_jpeg(data), len(data) * _JPEG_PIXELS_PER_BYTE
    elif is_png(data):
        header, held = _read_png(data)
    else:
        kind = next((k for start, k in _OTHERS.items() if data.startswith(start)), "")
        found = f"this is {kind}" if kind else f"begins with {quote(data[:8])}"
        raise ValueError(f"{found}; expected a JPEG or PNG file")
    height, width = header.height, header.width
    if not 0 < height * width <= MAX_PIXELS:
        raise ValueError(
            f"its header says {width} x {height} px (width x height); expected 1 or "
            f"more px and at most {MAX_PIXELS} pixels"
        )
    if height * width > held:
        raise ValueError(
            f"its {len(data)} bytes cannot hold the {width} x {height} px (width x "
            "height) that its header says; expected a whole picture"
        )
    return header


def _read_jpeg(data: bytes) -> Header:
    height = width = 0
    place = 2
    while match := _MARKER.search(data, place):
        marker, place = match.group(1)[0], match.end()
        if marker == _END:
            raise ValueError("a JPEG file without picture data; expected a picture")
        if marker in _ALONE:
            continue
        if marker in _SIZES and not height:
            height, width = (_number(data[place + i : place + i + 2]) for i in (3, 5))
        place += _number(data[place : place + 2])
        if marker == _SCAN:
            break
    # Thumbnails have ends too, but they lie before the picture data.
    if data.rfind(b"\xff\xd9", place) < 0:
        raise ValueError(
            "a JPEG file that is cut off: it has no end; expected a whole one"
        )
    return Header(height, width, place)


def _read_png(data: bytes) -> tuple[Header, int]:
    """Also returns how many pixels its bytes can hold."""
    start, place, packed, kind = len(_PNG), len(_PNG), 0, b""
    while kind != b"IEND" and place + 12 <= len(data):
        length, kind = _number(data[place : place + 4]), data[place + 4 : place + 8]
        if kind == b"acTL":
            raise ValueError("a PNG file of several frames; expected a single picture")
        packed += length * (kind == b"IDAT")
        place += 12 + length
    if kind != b"IEND" or place > len(data):
        raise ValueError(
            "a PNG file that is cut off: it has no end; expected a whole one"
        )
    if data[start : start + 8] != b"\0\0\0\rIHDR":
        raise ValueError("a PNG file without a header; expected a whole one")
    width, height = (_number(data[start + i : start + i + 4]) for i in (8, 12))
    bits = data[start + 16] * _CHANNELS.get(data[start + 17], 1)
    return Header(height, width), packed * _PNG_BYTES_PER_BYTE * 8 // max(bits, 1)


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
