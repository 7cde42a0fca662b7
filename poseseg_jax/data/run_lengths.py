"""People maps as bytes: runs of equal codes, row after row.

Every step of a training decodes as many of them as photographs. A PNG says the same in
three to four times the bytes, and takes twenty times as long to decode: most of what
the photograph takes.

The bytes are zlib's of height, width, n lengths (uint32, little-endian) and n codes
(uint8). Their checksum is zlib's.
"""

import struct
import zlib

import numpy as np
from jaxtyping import UInt8

_NUMBER = np.dtype("<u4")
_SIZE = struct.Struct("<2I")
_BYTES_OF_SIZE = _SIZE.size
_BYTES_OF_A_RUN = _NUMBER.itemsize + 1


def encode_runs(people: UInt8[np.ndarray, "H W"]) -> bytes:
    """A people map as bytes."""
    codes = people.ravel()
    starts = np.flatnonzero(np.diff(codes, prepend=~codes[:1]))
    lengths = np.diff(starts, append=codes.size)
    numbers = np.concatenate([people.shape, lengths]).astype(_NUMBER)
    return zlib.compress(numbers.tobytes() + codes[starts].tobytes(), 9)


def decode_runs(
    data: bytes, *, height: int, width: int, name: str
) -> UInt8[np.ndarray, "{height} {width}"]:
    """The people map that became these bytes.

    Args:
      data: what `encode_runs` gave.
      height, width: which size it has to have, original pixels.
      name: what to call it in an error: file and id.

    Raises:
      ValueError: for bytes that are broken, or hold a map of another size.
    """
    content = _inflate(data, most=_BYTES_OF_SIZE + _BYTES_OF_A_RUN * height * width)
    count, rest = divmod(len(content) - _BYTES_OF_SIZE, _BYTES_OF_A_RUN)
    if count < 1 or rest:
        raise ValueError(
            f"{name}: {len(data)} bytes that are no whole people map. Prepare the data "
            "set again."
        )
    size = _SIZE.unpack_from(content)
    lengths = np.frombuffer(content, _NUMBER, count, _BYTES_OF_SIZE)
    pixels = int(np.add.reduce(lengths, dtype=np.uint64))
    if size != (height, width) or pixels != height * width:
        raise ValueError(
            f"{name}: holds {size[0]} x {size[1]} pixels (height x width) in runs of "
            f"{pixels} together, but the record's size asks for {height} x {width}. "
            "Prepare the data set again."
        )
    codes = np.frombuffer(content, np.uint8, count, _BYTES_OF_SIZE + lengths.nbytes)
    return np.repeat(codes, lengths).reshape(height, width)


def _inflate(data: bytes, *, most: int) -> bytes:
    """Decompresses; nothing comes of bytes that are broken, or promise too much."""
    inflator = zlib.decompressobj()
    try:
        content = inflator.decompress(data, most + 1)
    except zlib.error:
        return b""
    whole = inflator.eof and not inflator.unused_data and len(content) <= most
    return content if whole else b""
