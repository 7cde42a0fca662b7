"""Pictures with people of all kinds, and their targets by plain loops."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import CENTER, FLIP, NUM_ANCHORS, NUM_KEYPOINTS
from poseseg_jax.structs import IGNORE, MAX_PEOPLE, SEVERAL, UNKNOWN_MASK, Array, Batch

SIDE = 33


def picture(people=None, rows=3, side=SIDE) -> Batch:
    """One picture of nobody, without batch axis, whose arrays may be written to."""
    return Batch(
        image=np.zeros((side, side, 3), np.uint8),
        people=np.zeros((side, side), np.uint8) if people is None else people,
        keypoints=np.zeros((rows, NUM_KEYPOINTS, 2), np.float32),
        visibility=np.zeros((rows, NUM_KEYPOINTS), np.uint8),
        box=np.zeros((rows, 4), np.float32),
        area=np.zeros(rows, np.float32),
        to_input=np.eye(2, 3, dtype=np.float32),
        size=np.array([side, side], np.int32),
        image_id=np.array(1),
        is_real=np.array(True),
    )


SILENT, HIDDEN, BOTH = 1, 3, 4


def scene(seed=0, rows=5, side=SIDE) -> Batch:
    """Five people who overlap, and a corner of which nothing is known.

    Nobody knows where the keypoints of rows 1 and 4 are, nor which pixels are those of
    rows 3 and 4. Coordinates are random fractions: no two are equally near to a cell.
    """
    rng = np.random.default_rng(seed)
    batch = picture(rows=rows, side=side)
    y, x = np.mgrid[:side, :side]
    for row in (0, SILENT, 2, HIDDEN, BOTH):
        x0, y0 = rng.uniform(-0.5, side / 2, 2)
        width, height = rng.uniform(side / 6, side / 2, 2)
        x1, y1 = x0 + width, y0 + height
        places = rng.uniform((x0, y0), (x1, y1), (NUM_KEYPOINTS, 2))
        visibility = rng.integers(0, 3, NUM_KEYPOINTS) * (row not in (SILENT, BOTH))
        batch.keypoints[row] = places * (visibility > 0)[:, None]
        batch.visibility[row] = visibility
        batch.box[row] = (x0, y0, x1, y1)
        batch.area[row] = 0.7 * (x1 - x0) * (y1 - y0)
        code = UNKNOWN_MASK if row in (HIDDEN, BOTH) else row + 1
        mask = (x >= x0) & (x <= x1) & (y >= y0) & (y <= y1)
        before = batch.people[mask]
        batch.people[mask] = np.where(np.isin(before, (0, code)), code, SEVERAL)
    batch.people[-side // 4 :, : side // 2] = IGNORE
    return batch


def mirror(batch: Batch) -> Batch:
    """The same picture, seen in a mirror."""
    last = batch.people.shape[1] - 1
    flip = FLIP[:NUM_KEYPOINTS]
    keypoints = batch.keypoints[:, flip] * (-1, 1) + (last, 0)
    labelled = np.expand_dims(batch.visibility[:, flip] > 0, -1)
    box = batch.box[:, [2, 1, 0, 3]] * (-1, 1, -1, 1) + (last, 0, last, 0)
    return dataclasses.replace(
        batch,
        image=batch.image[:, ::-1],
        people=batch.people[:, ::-1],
        keypoints=np.where(labelled, keypoints, 0).astype(np.float32),
        visibility=batch.visibility[:, flip],
        box=np.where(np.any(batch.box, axis=-1, keepdims=True), box, 0).astype(
            np.float32
        ),
    )


@dataclass(frozen=True)
class _Person:
    """Anchors by index; those that are not labelled are absent."""

    anchors: dict[int, np.ndarray]
    weights: dict[int, float]
    box: np.ndarray
    sigma: float

    @property
    def keypoints(self) -> list[np.ndarray]:
        return [place for k, place in self.anchors.items() if k != CENTER]

    def covers(self, cell: np.ndarray) -> bool:
        x0, y0, x1, y1 = self.box
        return bool(x0 <= cell[0] <= x1 and y0 <= cell[1] <= y1)


def _people(batch: Batch, body_sigma: float, hard: float) -> dict[int, _Person]:
    """Those who exist, by row."""
    people = {}
    for row in range(len(batch.box)):
        if not np.any(batch.box[row]):
            continue
        box = np.array(batch.box[row], np.float64)
        anchors, weights = {}, {}
        for k in range(NUM_KEYPOINTS):
            if batch.visibility[row, k]:
                anchors[k] = np.array(batch.keypoints[row, k], np.float64)
                weights[k] = hard if batch.visibility[row, k] == 1 else 1.0
        anchors[CENTER], weights[CENTER] = (box[:2] + box[2:]) / 2, 1.0
        sigma = body_sigma * max(float(batch.area[row]), 1.0) ** 0.5
        people[row] = _Person(anchors, weights, box, sigma)
    return people


def _nearest(people: dict[int, _Person], anchor: int, cell, radius: float):
    """Who owns the cell as far as this type of anchor goes; None: nobody."""
    distance = {
        row: np.linalg.norm(person.anchors[anchor] - cell)
        for row, person in people.items()
        if anchor in person.anchors
    }
    row = min(distance, key=distance.__getitem__, default=None)
    return people[row] if row is not None and distance[row] <= radius else None


def _is_silent(people: dict[int, _Person], code: int, cell) -> bool:
    """Whether the cell belongs, or may belong, to somebody without keypoints."""
    if 1 <= code <= MAX_PEOPLE:
        return not people[code - 1].keypoints
    if code in (UNKNOWN_MASK, SEVERAL):
        return any(p.covers(cell) and not p.keypoints for p in people.values())
    return False


def _owners(people: Array, i: int, j: int, stride: int) -> list[tuple[int, float]]:
    """(row, part of the cell) of the two people with pixels nearest to the middle."""
    parts, order, whole = {}, [], 0.0
    reach = stride // 2
    steps = list(np.ndindex(2 * reach + 1, 2 * reach + 1))
    steps.sort(key=lambda step: (step[0] - reach) ** 2 + (step[1] - reach) ** 2)
    for dy, dx in steps:
        y, x = i * stride + dy - reach, j * stride + dx - reach
        if not (0 <= y < len(people) and 0 <= x < people.shape[1]):
            continue
        part = 1.0
        for step in (dy, dx):
            part *= 0.5 if reach and step in (0, 2 * reach) else 1.0
        whole += part
        if 1 <= people[y, x] <= MAX_PEOPLE:
            row = int(people[y, x]) - 1
            order += [row] if row not in parts else []
            parts[row] = parts.get(row, 0.0) + part
    return [(row, parts[row] / whole) for row in order[:2]]


def make(batch: Batch, representation: Representation, hard: float = 1.0):
    """Targets of one picture: "heatmap", "near", ... -> array.

    What an offset should be is written where it counts, elsewhere it is 0.
    """
    stride, radius = representation.map_stride, representation.radius
    edges = representation.skeleton.edges
    people = _people(batch, representation.body_sigma, hard)
    h, w = ((side - 1) // stride + 1 for side in batch.people.shape)
    shapes = {"heatmap": (NUM_ANCHORS,), "near": (NUM_ANCHORS,)}
    shapes |= {"owned": (NUM_ANCHORS,), "asked": (NUM_ANCHORS,)}
    shapes |= {"short": (NUM_ANCHORS, 2), "long": (NUM_ANCHORS, 2)}
    shapes |= {"edge": (len(edges),), "mid": (len(edges), 2)}
    shapes |= {"body": (), "asked_body": ()}
    out = {name: np.zeros((h, w, *shape)) for name, shape in shapes.items()}
    for i, j in np.ndindex(h, w):
        cell = np.array([j * stride, i * stride], np.float64)
        code = int(batch.people[i * stride, j * stride])
        discs = [_nearest(people, a, cell, radius) for a in range(NUM_ANCHORS)]
        for anchor, owner in enumerate(discs):
            if owner is not None:
                out["heatmap"][i, j, anchor] = 1
                out["short"][i, j, anchor] = owner.anchors[anchor] - cell
                out["near"][i, j, anchor] = owner.weights[anchor]
        for e, (source, target) in enumerate(edges):
            owner = discs[source]
            if owner is not None and target in owner.anchors:
                out["mid"][i, j, e] = owner.anchors[target] - cell
                out["edge"][i, j, e] = owner.weights[source] * owner.weights[target]
        owners = _owners(batch.people, i, j, stride)
        for anchor in range(NUM_ANCHORS):
            have = [(people[r], p) for r, p in owners if anchor in people[r].anchors]
            total = sum(part for _, part in have)
            for person, part in have:
                place = person.anchors[anchor]
                out["long"][i, j, anchor] += part / total * (place - cell)
                out["owned"][i, j, anchor] += part * person.weights[anchor]
        silent = _is_silent(people, code, cell)
        asked = np.full(NUM_ANCHORS, code != IGNORE and not silent)
        asked[CENTER] = code != IGNORE
        asked |= out["heatmap"][i, j] > 0
        out["asked"][i, j] = asked
        out["asked_body"][i, j] = asked[:CENTER].any()
        for person in people.values():
            for place in person.keypoints:
                near = np.exp(-((place - cell) ** 2).sum() / (2 * person.sigma**2))
                out["body"][i, j] = max(out["body"][i, j], near)
    return out


def person_fraction(people: Array, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Covered over known area, cell by cell; pixels on a cell's outline count by the
    part of them that lies in it: a half, or a quarter at its corners."""
    height, width = people.shape
    cells = (height - 1) // stride + 1, (width - 1) // stride + 1
    fraction, asked = np.zeros(cells), np.zeros(cells)
    reach = stride // 2
    for i, j in np.ndindex(cells):
        known = covered = whole = 0.0
        for di, dj in np.ndindex(2 * reach + 1, 2 * reach + 1):
            y, x = i * stride + di - reach, j * stride + dj - reach
            if not (0 <= y < height and 0 <= x < width):
                continue
            part = 1.0
            for d in (di, dj):
                part *= 0.5 if reach and d in (0, 2 * reach) else 1.0
            whole += part
            if people[y, x] not in (IGNORE, UNKNOWN_MASK):
                known += part
                covered += part * (people[y, x] > 0)
        asked[i, j] = known >= whole / 2
        fraction[i, j] = covered / (known if asked[i, j] else whole)
    return fraction, asked
