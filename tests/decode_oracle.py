"""Every step of the decoder for one picture, by plain loops in double precision.

And all of them in a row (`decode`), for those who want to compare the whole.
"""

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


def vote(heatmap, short, *, stride, radius, vote_stride=None):
    votes = splat(heatmap, short, stride=stride, onto=vote_stride or stride)
    return votes / (np.pi * (radius / stride) ** 2)


def splat(values, offsets, *, stride, onto):
    finer = stride // onto
    height, width = ((n - 1) * finer + 1 for n in values.shape[:2])
    total = np.zeros((height, width, values.shape[2]))
    for i, j, a in np.ndindex(values.shape):
        x, y = (np.float32([j, i]) * stride + offsets[i, j, a]) / np.float32(onto)
        for row in (int(np.floor(y)), int(np.floor(y)) + 1):
            for column in (int(np.floor(x)), int(np.floor(x)) + 1):
                if 0 <= row < height and 0 <= column < width:
                    share = (1 - abs(x - column)) * (1 - abs(y - row))
                    total[row, column, a] += values[i, j, a] * share
    return total


def gather_neighbours(votes, *, reach=2):
    height, width, anchors = votes.shape
    mass = np.zeros(votes.shape)
    for i, j, a in np.ndindex(height, width, anchors):
        for row in range(max(i - reach, 0), min(i + reach + 1, height)):
            for column in range(max(j - reach, 0), min(j + reach + 1, width)):
                weight = (1 - abs(row - i) / reach) * (1 - abs(column - j) / reach)
                mass[i, j, a] += weight * votes[row, column, a]
    return mass


def find(votes, mass, *, roots, stride, threshold, per_anchor, rank=None):
    """(score, anchor, (x, y)) of each candidate, best first."""
    rank = mass if rank is None else rank
    found = []
    for r, root in enumerate(roots):
        peaks = []
        for i, j in np.argwhere(mass[..., r] >= threshold):
            around = mass[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2, r]
            if mass[i, j, r] == around.max():
                place = centroid(votes[..., r], i, j) * stride
                peaks.append((rank[i, j, r], root, place))
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


def snap(place, anchor, candidates, radius):
    """The nearest of the candidates (score, anchor, place) of this type, or `place`."""
    near = [there for _, kind, there in candidates if kind == anchor]
    near = [there for there in near if np.linalg.norm(there - place) <= radius]
    return min(near, key=lambda there: np.linalg.norm(there - place), default=place)


def grow(
    root, position, *, mid, short, skeleton, stride, refine_steps, to=(), snap_radius=0
):
    pose = np.repeat(np.asarray(position, float)[None], NUM_ANCHORS, axis=0)
    for edge, source, target in way(skeleton, root):
        here = pose[source] + bilinear(mid[:, :, edge], *pose[source] / stride)
        for _ in range(refine_steps):
            here = here + bilinear(short[:, :, target], *here / stride)
        pose[target] = snap(here, target, to, snap_radius) if snap_radius else here
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
            is_center = center_radius is not None and anchor[j] == CENTER
            if miss <= radius and not is_center:
                break
            if center_radius is not None and apart <= center_radius[i]:
                break
        else:
            kept.append(j)
    return kept


def settle_claims(pose, weight, *, radius):
    out = np.array(weight)
    for d, a in np.ndindex(*weight.shape):
        for other in range(len(pose)):
            same = np.linalg.norm(pose[other, a] - pose[d, a]) <= radius
            if a != CENTER and same and weight[other, a] > weight[d, a]:
                out[d, a] = 0
    return out


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
    reach = int(np.ceil(radius / stride))
    out = np.zeros((len(pose), NUM_KEYPOINTS))
    for d, a in np.ndindex(out.shape):
        column, row = np.round(pose[d, a] / stride).astype(int)
        deviation = scale[d] * 2 * OKS_SIGMAS[a]
        total, near = 0.0, 0.0
        for i in range(max(row - reach, 0), min(row + reach + 1, height)):
            for j in range(max(column - reach, 0), min(column + reach + 1, width)):
                if np.hypot(i - row, j - column) * stride <= radius:
                    squared = np.sum((np.array([j, i]) * stride - pose[d, a]) ** 2)
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


def visible_area(person, to_center, center, *, stride):
    landed = splat(
        person[..., None] * stride**2, to_center[:, :, None], stride=stride, onto=stride
    )[..., 0]
    height, width = landed.shape
    around = np.zeros(landed.shape)
    for i, j in np.ndindex(height, width):
        around[i, j] = landed[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].sum()
    return np.array([bilinear(around, *place / stride) for place in center])


def embedding_distance(long, pose, weight, scale, *, stride):
    height, width, anchors, _ = long.shape
    out = np.full((len(pose), height, width), np.inf)
    for d, i, j in np.ndindex(out.shape):
        if weight[d].sum() > 0:
            embedding = np.array([j, i]) * stride + long[i, j]
            misses = [np.linalg.norm(embedding[a] - pose[d, a]) for a in range(anchors)]
            out[d, i, j] = np.dot(weight[d], misses) / (weight[d].sum() * scale[d])
    return out


def ownership(distance, is_person, *, threshold):
    out = np.zeros(distance.shape)
    for d, i, j in np.ndindex(out.shape):
        if is_person[d] > 0 and distance[d, i, j] <= 1.5 * threshold:
            out[d, i, j] = min(1.5 - distance[d, i, j] / threshold, 1.0)
    return out


def exclusive_ownership(
    distance, is_person, *, long, pose, confidence, scale, stride, threshold
):
    """Cell by cell: who is nearest, who comes next, and where between them it lies."""
    out = np.zeros(distance.shape)
    people = [d for d in range(len(pose)) if is_person[d] > 0]
    for i, j in np.ndindex(distance.shape[1:]):
        here = [d for d in people if np.isfinite(distance[d, i, j])]
        here.sort(key=lambda d: distance[d, i, j] * np.sqrt(scale[d]))
        if not here:
            continue
        near = min(max(1.5 - distance[here[0], i, j] / threshold, 0), 1)
        first, second = here[0], here[1] if len(here) > 1 else None
        out[first, i, j] = near
        if second is None:
            continue
        both = np.minimum(confidence[first], confidence[second])
        gap = np.sum(both * np.linalg.norm(pose[first] - pose[second], axis=-1))
        misses = []
        for d in (first, second):
            embedding = np.array([j, i]) * stride + long[i, j]
            apart = np.linalg.norm(embedding - pose[d], axis=-1)
            misses.append(np.sum(both * apart) / np.sqrt(scale[d]))
        if gap > 0.1 * np.sum(both):
            out[first, i, j] = near * misses[1] / sum(misses)
            out[second, i, j] = near * misses[0] / sum(misses)
    return out


def coarsen(values, factor):
    height, width = ((n - 1) // factor + 1 for n in values.shape)
    out = np.zeros((height, width))
    for i, j in np.ndindex(height, width):
        total, weights = 0.0, 0.0
        for y, x in np.ndindex(values.shape):
            near = 1 - abs(y / factor - i), 1 - abs(x / factor - j)
            if min(near) > 0:
                total += near[0] * near[1] * values[y, x]
                weights += near[0] * near[1]
        out[i, j] = total / weights
    return out


def assemble(person, owned, *, factor):
    """Each fine cell asks the coarse cells around it, by their nearness and person."""
    people, height, width = owned.shape
    out = np.zeros((people, *person.shape))
    coarse = person[::factor, ::factor] + 1e-3
    for d, y, x in np.ndindex(out.shape):
        total, theirs = 0.0, 0.0
        for i in range(y // factor, min(y // factor + 2, height)):
            for j in range(x // factor, min(x // factor + 2, width)):
                near = max(1 - abs(y / factor - i), 0) * max(1 - abs(x / factor - j), 0)
                total += near * coarse[i, j]
                theirs += near * coarse[i, j] * owned[d, i, j]
        out[d, y, x] = min(theirs / total, person[y, x])
    return out


def decode(maps, *, representation, settings):
    """(keypoints [n K 2], confidence [n K], score [n], masks [n p q]), best first."""
    stride, radius = representation.map_stride, representation.radius
    skeleton, near = representation.skeleton, settings.suppression_radius
    votes = vote(maps.heatmap, maps.short, stride=stride, radius=radius)
    found = candidates(maps, votes, representation, settings)
    steps = {"skeleton": skeleton, "stride": stride}
    walk = {"refine_steps": settings.refine_steps, "snap_radius": settings.snap_radius}
    fields = {"mid": maps.mid, "short": maps.short}
    anchor = [root for _, root, _ in found]
    position = np.array([place for _, _, place in found]).reshape(-1, 2)
    pose = np.array([
        grow(root, place, **fields, **steps, **walk, to=found)
        for _, root, place in found
    ]).reshape(-1, NUM_ANCHORS, 2)  # fmt: skip
    area, reach = np.zeros(len(pose)), None
    if CENTER in skeleton.roots:
        coarse = coarsen(maps.person, stride // representation.person_stride)
        to_center = maps.long[:, :, CENTER]
        area = visible_area(coarse, to_center, pose[:, CENTER], stride=stride)
        reach = settings.center_scale * area**0.5
        reach = np.clip(reach, settings.center_radius_min, settings.center_radius)
        reach = np.where(area < 1, settings.center_radius, reach)
    score = [one for one, _, _ in found]
    keep = suppress(anchor, position, score, pose, radius=near, center_radius=reach)
    keep = keep[: settings.max_people]
    pose, area = pose[keep], area[keep]
    belongs = np.array([
        agreement(pose[d], anchor[k], mid=maps.mid, **steps, radius=near)
        for d, k in enumerate(keep)
    ]).reshape(-1, NUM_ANCHORS)  # fmt: skip
    return describe(maps, votes, pose, belongs, area, representation, settings)


def candidates(maps, votes, representation, settings):
    stride, roots = representation.map_stride, representation.skeleton.roots
    options = {
        "threshold": settings.peak_threshold,
        "per_anchor": settings.peaks_per_anchor,
    }
    keypoints = [root for root in roots if root != CENTER]
    own = votes[..., keypoints]
    found = find(own, gather_neighbours(own), roots=keypoints, stride=stride, **options)
    if CENTER in roots:
        fine = settings.center_stride
        own = vote(
            maps.heatmap[..., CENTER:],
            maps.short[..., CENTER:, :],
            stride=stride,
            radius=representation.radius,
            vote_stride=fine,
        )
        rank = gather_neighbours(own, reach=2 * stride // fine)
        mass = gather_neighbours(own)
        centers = find(own, mass, roots=[CENTER], stride=fine, rank=rank, **options)
        found = sorted(centers + found, key=lambda one: -one[0])
    return found


def describe(maps, votes, pose, belongs, area, representation, settings):
    """Scores and masks of the poses that were kept."""
    stride, near = representation.map_stride, settings.suppression_radius
    there = presence(maps.heatmap, maps.short, pose, stride=stride, radius=near)
    weight = settle_claims(pose, there * belongs, radius=near)
    found = weight >= settings.found_threshold
    scale = person_scale(pose, found, smallest=representation.radius / 2)
    confidence = expected_oks(
        votes, pose, there, scale, stride=stride, radius=representation.radius
    )
    for d, k in np.ndindex(*confidence.shape):
        body = bilinear(maps.body, *pose[d, k] / stride)
        confidence[d, k] *= found[d, k] * body**settings.body_weight
    keypoints = pose[:, :NUM_KEYPOINTS]
    score = confidence.mean(axis=1)
    if settings.soft_nms:
        score = soft_nms(keypoints, confidence, radius=near)
    score = (score + weight[:, CENTER]) / 2
    weight = np.where(found, weight, 0)
    scale = np.maximum(scale, np.sqrt(area))
    distance = embedding_distance(maps.long, pose, weight, scale, stride=stride)
    is_person, threshold = np.ones(len(pose)), settings.mask_threshold
    if settings.exclusive_masks:
        owned = exclusive_ownership(
            distance,
            is_person,
            long=maps.long,
            pose=pose,
            confidence=weight,
            scale=scale,
            stride=stride,
            threshold=threshold,
        )
    else:
        owned = ownership(distance, is_person, threshold=threshold)
    factor = stride // representation.person_stride
    masks = assemble(maps.person, owned, factor=factor)
    order = np.argsort(-score, kind="stable")
    return keypoints[order], confidence[order], score[order], masks[order]
