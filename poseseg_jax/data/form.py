"""A batch as one piece of memory.

So a picture is warped to where it stays, and a batch travels from a worker process in
one copy.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from poseseg_jax.skeleton import NUM_KEYPOINTS
from poseseg_jax.structs import Batch

_ALIGNMENT = 64  # bytes: a cache line


@dataclass(frozen=True)
class Form:
    """How large a batch is.

    Attributes:
      rows: B, pictures.
      side: of the input, px.
      max_people: N.
    """

    rows: int
    side: int
    max_people: int

    @property
    def num_bytes(self) -> int:
        """What a batch takes."""
        return self._places[-1][-1]

    def new(self) -> Batch:
        """A batch of whatever was in the memory before."""
        return self.over(np.empty(self.num_bytes, np.uint8))

    def over(self, memory: UInt8[np.ndarray, " {self.num_bytes}"]) -> Batch:
        """The batch that lies in this memory: every array is a part of it."""
        arrays = {
            name: memory[start:end].view(dtype).reshape(shape)
            for name, shape, dtype, start, end in self._places
        }
        return Batch(**arrays)

    @functools.cached_property
    def _places(self) -> list[tuple[str, tuple[int, ...], Any, int, int]]:
        """Name, shape, dtype, first byte and the one behind the last, of each array."""
        side, people = self.side, self.max_people
        fields = {
            "image": ((side, side, 3), np.uint8),
            "people": ((side, side), np.uint8),
            "keypoints": ((people, NUM_KEYPOINTS, 2), np.float32),
            "visibility": ((people, NUM_KEYPOINTS), np.uint8),
            "box": ((people, 4), np.float32),
            "area": ((people,), np.float32),
            "to_input": ((2, 3), np.float32),
            "size": ((2,), np.int32),
            "image_id": ((), np.int64),
            "is_real": ((), np.bool_),
        }
        places, end = [], 0
        for name, (of_one, dtype) in fields.items():
            shape = (self.rows, *of_one)
            start = -(-end // _ALIGNMENT) * _ALIGNMENT
            end = start + math.prod(shape) * np.dtype(dtype).itemsize
            places.append((name, shape, dtype, start, end))
        return places
