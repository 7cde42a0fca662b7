"""Every step of the decoder for one picture, by plain loops in double precision."""

from collections import deque

import numpy as np

from poseseg_jax.skeleton import CENTER, NUM_ANCHORS, NUM_KEYPOINTS, OKS_SIGMAS


def bilinear(values, x, y):
    """A map [h w ...] at a fractional cell; outside, the nearest border cell counts."""
    height, width = values.shape[:2]
    x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    x1, y1 = min(x0 + 1, width - 1), min(y0 + 1, height - 1)
    top = values[y0, x0] * (1 - (x - x0)) + values[y0, x1] * (x - x0)
    bottom = values[y1, x0] * (1 - (x - x0)) + values[y1, x1] * (x - x0)
    return top * (1 - (y - y0)) + bottom * (y - y0)


def vote(heatmap, short, *, stride, radius):
    height, width, anchors = heatmap.shape
    votes = np.zeros(heatmap.shape)
    for i, j, a in np.ndindex(height, width, anchors):
        x, y = np.float32([j, i]) + short[i, j, a] / np.float32(stride)
        for row in (int(np.floor(y)), int(np.floor(y)) + 1):
            for column in (int(np.floor(x)), int(np.floor(x)) + 1):
                if 0 <= row < height and 0 <= column < width:
                    share = (1 - abs(x - column)) * (1 - abs(y - row))
                    votes[row, column, a] += heatmap[i, j, a] * share
    return votes / (np.pi * (radius / stride) ** 2)


def gather_neighbours(votes):
    height, width, anchors = votes.shape
    mass = np.zeros(votes.shape)
    for i, j, a in np.ndindex(height, width, anchors):
        for row in range(max(i - 1, 0), min(i + 2, height)):
            for column in range(max(j - 1, 0), min(j + 2, width)):
                weight = 0.5 ** (abs(row - i) + abs(column - j))
                mass[i, j, a] += weight * votes[row, column, a]
    return mass


def find(votes, mass, *, roots, stride, threshold, per_anchor):
    """(score, anchor, (x, y)) of each candidate, best first."""
    height, width, _ = votes.shape
    found = []
    for root in roots:
        peaks = []
        for i, j in np.ndindex(height, width):
            around = mass[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2, root]
            if mass[i, j, root] == around.max() and mass[i, j, root] >= threshold:
                place = centroid(votes[..., root], i, j) * stride
                peaks.append((mass[i, j, root], root, place))
        found += sorted(peaks, key=lambda peak: -peak[0])[:per_anchor]
    return sorted(found, key=lambda peak: -peak[0])


def centroid(votes, i, j):
    total, place = 0.0, np.zeros(2)
    for row in range(max(i - 1, 0), min(i + 2, votes.shape[0])):
        for column in range(max(j - 1, 0), min(j + 2, votes.shape[1])):
            total += votes[row, column]
            place += votes[row, column] * np.array([column, row])
    return place / total


def way(skeleton, root):
    """(edge, source, target) of every step of the walk from a root, in order."""
    steps, reached, queue = [], {root}, deque([root])
    while queue:
        here = queue.popleft()
        for edge, (source, target) in enumerate(skeleton.edges):
            if source == here and target not in reached:
                reached.add(target)
                queue.append(target)
                steps.append((edge, source, target))
    return steps


def grow(root, position, *, mid, short, skeleton, stride, refine_steps):
    pose = np.repeat(np.asarray(position, float)[None], NUM_ANCHORS, axis=0)
    for edge, source, target in way(skeleton, root):
        here = pose[source] + bilinear(mid[:, :, edge], *pose[source] / stride)
        for _ in range(refine_steps):
            here = here + bilinear(short[:, :, target], *here / stride)
        pose[target] = here
    return pose


def agreement(pose, root, *, mid, skeleton, stride, radius):
    surely = np.zeros(NUM_ANCHORS)
    surely[root] = 1
    for _, source, target in way(skeleton, root):
        back = skeleton.edges.index((target, source))
        home = pose[target] + bilinear(mid[:, :, back], *pose[target] / stride)
        miss = np.linalg.norm(home - pose[source])
        spread = max(np.linalg.norm(pose[target] - pose[source]), radius) / 3
        surely[target] = surely[source] * np.exp(-(miss**2) / (2 * spread**2))
    return surely


def suppress(anchor, position, score, pose, *, radius, center_radius):
    """The sequential loop: the indices of those who stay."""
    kept = []
    for j in range(len(score)):
        if score[j] <= 0:
            continue
        for i in kept:
            miss = np.linalg.norm(pose[i, anchor[j]] - position[j])
            apart = np.linalg.norm(pose[i, CENTER] - pose[j, CENTER])
            if miss <= radius or (center_radius is not None and apart <= center_radius):
                break
        else:
            kept.append(j)
    return kept


def presence(heatmap, short, pose, *, stride, radius):
    out = np.zeros(pose.shape[:2])
    for d, a in np.ndindex(out.shape):
        probability = bilinear(heatmap[:, :, a], *pose[d, a] / stride)
        miss = np.linalg.norm(bilinear(short[:, :, a], *pose[d, a] / stride))
        out[d, a] = probability * np.exp(-(miss**2) / (2 * radius**2))
    return out


def expected_oks(votes, pose, probability, scale, *, stride, radius):
    """Over the cells that lie within the radius of the cell nearest to the anchor."""
    height, width, _ = votes.shape
    out = np.zeros((len(pose), NUM_KEYPOINTS))
    for d, a in np.ndindex(out.shape):
        column, row = np.round(pose[d, a] / stride)
        total, near = 0.0, 0.0
        for i, j in np.ndindex(height, width):
            if np.hypot(i - row, j - column) * stride <= radius:
                squared = np.sum((np.array([j, i]) * stride - pose[d, a]) ** 2)
                deviation = scale[d] * 2 * OKS_SIGMAS[a]
                total += votes[i, j, a]
                near += votes[i, j, a] * np.exp(-squared / (2 * deviation**2))
        out[d, a] = probability[d, a] * near / max(total, 1e-6)
    return out


def person_scale(pose, found, *, smallest):
    scales = []
    for anchors, mask in zip(pose, found, strict=True):
        kept = anchors[mask]
        area = np.prod(kept.max(0) - kept.min(0)) if len(kept) else 0.0
        scales.append(max(np.sqrt(area), smallest))
    return np.array(scales)


def soft_nms(pose, confidence, *, radius):
    mean = confidence.mean(axis=1)
    order = sorted(range(len(mean)), key=lambda d: (-mean[d], d))
    scores = np.zeros(len(mean))
    for place, d in enumerate(order):
        for k in range(confidence.shape[1]):
            better = [pose[i, k] for i in order[:place]]
            if all(np.linalg.norm(there - pose[d, k]) > radius for there in better):
                scores[d] += confidence[d, k] / confidence.shape[1]
    return scores


def embedding_distance(long, pose, weight, scale, *, stride):
    height, width, anchors, _ = long.shape
    out = np.full((len(pose), height, width), np.inf)
    for d, i, j in np.ndindex(out.shape):
        if weight[d].sum() > 0:
            embedding = np.array([j, i]) * stride + long[i, j]
            misses = [np.linalg.norm(embedding[a] - pose[d, a]) for a in range(anchors)]
            out[d, i, j] = np.dot(weight[d], misses) / (weight[d].sum() * scale[d])
    return out


def ownership(distance, is_person, *, threshold, exclusive):
    out = np.zeros(distance.shape)
    for d, i, j in np.ndindex(out.shape):
        if is_person[d] > 0 and distance[d, i, j] <= 1.5 * threshold:
            out[d, i, j] = min(1.5 - distance[d, i, j] / threshold, 1.0)
            rivals = distance[np.asarray(is_person) > 0, i, j]
            if exclusive and distance[d, i, j] > rivals.min():
                out[d, i, j] = 0
    return out


def assemble(person, owned, *, factor):
    """Each fine cell asks the coarse cells around it, by their nearness and person."""
    people, height, width = owned.shape
    out = np.zeros((people, *person.shape))
    for d, y, x in np.ndindex(out.shape):
        total, theirs = 0.0, 0.0
        for i, j in np.ndindex(height, width):
            near = max(1 - abs(y / factor - i), 0) * max(1 - abs(x / factor - j), 0)
            weight = near * (person[i * factor, j * factor] + 1e-3)
            total, theirs = total + weight, theirs + weight * owned[d, i, j]
        out[d, y, x] = theirs / total * person[y, x]
    return out
