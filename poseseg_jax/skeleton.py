"""The COCO person: keypoints, the centre, and the edges along which a pose is grown.

An *anchor* is a point of a person that the network votes for: keypoints 0 ... 16 in
COCO's order and, as anchor 17, the centre of the person's box, which everybody has. A
*directed edge* (source, target) is a displacement that the network predicts around the
source anchor.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

KEYPOINT_NAMES = (
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
)
NUM_KEYPOINTS = len(KEYPOINT_NAMES)
CENTER = NUM_KEYPOINTS  # the index of the centre among the anchors
NUM_ANCHORS = NUM_KEYPOINTS + 1
ANCHOR_NAMES = (*KEYPOINT_NAMES, "center")

# COCO's standard deviation of annotation, thousandths of the person's scale
# (cocodataset.org, keypoint evaluation).
_OKS_SIGMAS = (26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89)
OKS_SIGMAS = np.array(_OKS_SIGMAS, np.float32) / 1000


def _mirror(name: str) -> str:
    side, _, part = name.partition("_")
    return {"left": f"right_{part}", "right": f"left_{part}"}.get(side, name)


# FLIP[a] is the anchor that anchor a becomes when the picture is mirrored.
FLIP = np.array([ANCHOR_NAMES.index(_mirror(name)) for name in ANCHOR_NAMES])

# PersonLab's kinematic tree (arXiv 1803.08225): 16 undirected edges from the nose.
_TREE = (
    ("nose", "left_eye"),
    ("left_eye", "left_ear"),
    ("nose", "right_eye"),
    ("right_eye", "right_ear"),
    ("nose", "left_shoulder"),
    ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"),
    ("left_shoulder", "left_hip"),
    ("left_hip", "left_knee"),
    ("left_knee", "left_ankle"),
    ("nose", "right_shoulder"),
    ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"),
    ("right_shoulder", "right_hip"),
    ("right_hip", "right_knee"),
    ("right_knee", "right_ankle"),
)

# COCO's own drawing of a person: 19 limbs, as pairs of keypoint indices.
_LIMBS = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6),
    (5, 7), (6, 8),
    (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip
LIMBS = np.array(_LIMBS)


@dataclass(frozen=True)
class Skeleton:
    """A set of directed edges and, from every root anchor, the way to all others.

    Attributes:
      name: "tree", "center" or "both".
      edges: (source, target) anchor of each of the E directed edges.
      roots: anchors from which a pose may be grown.
    """

    name: str
    edges: tuple[tuple[int, int], ...]
    roots: tuple[int, ...]

    @property
    def num_edges(self) -> int:
        return len(self.edges)

    @property
    def sources(self) -> np.ndarray:
        return np.array([source for source, _ in self.edges])

    @property
    def targets(self) -> np.ndarray:
        return np.array([target for _, target in self.edges])

    def walks(self) -> tuple[np.ndarray, np.ndarray]:
        """The shortest way from every root to every anchor.

        Returns:
          edge [A A]: edge[root, anchor] is the edge that enters `anchor` on the way
            from `root`; -1 at the root itself and where there is no way.
          depth [A A]: the way's number of steps; 0 at the root, -1 where there is none.
        """
        edge = np.full((NUM_ANCHORS, NUM_ANCHORS), -1)
        depth = np.full((NUM_ANCHORS, NUM_ANCHORS), -1)
        for root in self.roots:
            depth[root, root] = 0
            queue = deque([root])
            while queue:
                here = queue.popleft()
                for index, (source, target) in enumerate(self.edges):
                    if source == here and depth[root, target] < 0:
                        edge[root, target] = index
                        depth[root, target] = depth[root, here] + 1
                        queue.append(target)
        return edge, depth


def _make_skeletons() -> dict[str, Skeleton]:
    pairs = [(KEYPOINT_NAMES.index(a), KEYPOINT_NAMES.index(b)) for a, b in _TREE]
    tree = tuple(pairs + [(b, a) for a, b in pairs])
    outward = tuple((CENTER, k) for k in range(NUM_KEYPOINTS))
    center = outward + tuple((k, CENTER) for k in range(NUM_KEYPOINTS))
    keypoints, anchors = tuple(range(NUM_KEYPOINTS)), tuple(range(NUM_ANCHORS))
    return {
        "tree": Skeleton("tree", tree, keypoints),
        "center": Skeleton("center", center, anchors),
        "both": Skeleton("both", tree + center, anchors),
    }


SKELETONS = _make_skeletons()
