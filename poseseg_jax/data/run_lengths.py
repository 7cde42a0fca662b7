"""People maps as bytes: runs of equal codes, row after row.

Every step of a training decodes as many of them as photographs. A PNG takes as many
bytes, and twenty times as long to decode: most of what the photograph takes.

The bytes are height, width and a checksum of what follows (CRC-32), each a uint32, then
n lengths (uint16) and n codes (uint8); all numbers are little-endian.
"""

import struct
import zlib

import numpy as np
from jaxtyping import UInt8

_HEADER = struct.Struct("<3I")
_LENGTH = np.dtype("<u2")
_LONGEST = np.iinfo(_LENGTH).max
_BYTES_OF_A_RUN = _LENGTH.itemsize + 1


def encode_runs(people: UInt8[np.ndarray, "H W"]) -> bytes:
    """A people map as bytes."""
    codes = people.ravel()
    changes = np.flatnonzero(np.diff(codes, prepend=~codes[:1]))
    starts = np.union1d(changes, np.arange(0, codes.size, _LONGEST))
    lengths = np.diff(starts, append=codes.size).astype(_LENGTH)
    runs = lengths.tobytes() + codes[starts].tobytes()
    return _HEADER.pack(*people.shape, zlib.crc32(runs)) + runs


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
    count, rest = divmod(len(data) - _HEADER.size, _BYTES_OF_A_RUN)
    if count < 1 or rest or _checksum(data) != zlib.crc32(data[_HEADER.size :]):
        raise ValueError(
            f"{name}: {len(data)} bytes that are no whole people map. Prepare the data "
            "set again."
        )
    rows, columns, _ = _HEADER.unpack_from(data)
    lengths = np.frombuffer(data, _LENGTH, count, _HEADER.size)
    pixels = int(np.add.reduce(lengths, dtype=np.int64))
    if (rows, columns) != (height, width) or pixels != height * width:
        raise ValueError(
            f"{name}: holds {rows} x {columns} pixels (height x width) in runs of "
            f"{pixels} together, but the record's size asks for {height} x {width}. "
            "Prepare the data set again."
        )
    codes = np.frombuffer(data, np.uint8, count, _HEADER.size + lengths.nbytes)
    return np.repeat(codes, lengths).reshape(height, width)


def _checksum(data: bytes) -> int:
    return _HEADER.unpack_from(data)[-1]
