"""Colours of the people of a video: who was there a frame ago keeps theirs.

No tracker: it looks one frame back, at boxes alone. For identities over time, see
`interop.to_supervision`.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from poseseg_jax import visualize

_SAME = 0.3  # IoU of boxes from which somebody may be who was there before


class Colors:
    """Chooses colours frame by frame."""

    def __init__(self):
        self._before: list[tuple[np.ndarray, int]] = []

    def of(self, boxes: Sequence[Float[np.ndarray, "4"]]) -> list[int]:
        """Of the next frame's people.

        Args:
          boxes: (x0, y0, x1, y1), best person first, who chooses first.

        Returns:
          For each a place in visualize.PALETTE.
        """
        left, taken = list(self._before), {}
        for slot, box in enumerate(boxes):
            overlaps = [_iou(box, other) for other, _ in left]
            if overlaps and max(overlaps) >= _SAME:
                taken[slot] = left.pop(int(np.argmax(overlaps)))[1]
        corners = np.array(boxes, np.float64).reshape(-1, 2, 2)
        colors = visualize.choose_colors(corners.mean(axis=1), taken=taken)
        self._before = list(zip(boxes, colors, strict=True))
        return colors


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    low, high = np.maximum(one[:2], other[:2]), np.minimum(one[2:], other[2:])
    common = float((high - low).clip(0).prod())
    areas = float((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod())
    return common / (areas - common) if areas > common else 0.0
