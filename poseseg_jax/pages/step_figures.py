"""The pictures and the numbers of docs/decoder.md."""

import numpy as np

from poseseg_jax.markdown import table
from poseseg_jax.pages.map_figures import SIDE, found_panel, in_a_row, only
from poseseg_jax.pages.picture import Explained
from poseseg_jax.pages.steps import Steps
from poseseg_jax.predictor import MIN_SCORE
from poseseg_jax.sheets import beside, steps
from poseseg_jax.sheets.canvas import Canvas, Color
from poseseg_jax.sheets.labels import person_color
from poseseg_jax.sheets.maps import Sample
from poseseg_jax.sheets.page import Panel
from poseseg_jax.skeleton import CENTER, KEYPOINT_NAMES, NUM_KEYPOINTS

_WALKER = tuple(map(KEYPOINT_NAMES.index, ("left_wrist", "right_wrist")))
_FAINT: Color = (120, 120, 120)  # of people who are not sure enough


def figures(explained: Explained) -> dict[str, Panel]:
    """All of them, by the name of their file."""
    said, taken = beside.said_of(explained.truth, explained.maps), explained.steps
    panels = {
        "votes": _votes(said, taken),
        "candidates": _candidates(said, taken),
        "walks": _walks(said, taken),
        "suppression": _suppression(said, taken),
        "scores": _scores(said, taken),
        "masks": _masks(said, explained),
    }
    return {name: in_a_row(pair) for name, pair in panels.items()}


def numbers(explained: Explained) -> str:
    """What is counted in this picture, as a table."""
    taken, people = explained.steps, explained.truth.picture.box.any(-1)
    height, width, anchors = taken.votes.shape
    centers = int((taken.anchor == CENTER).sum())
    score = np.asarray(taken.instances.poses.score)
    rows = [
        ("people in the picture", int(people.sum())),
        ("cells that vote", f"{height} x {width}, for each of {anchors} types"),
        ("places for candidates", taken.slots),
        ("candidates, each of which grows a skeleton", len(taken.mass)),
        ("of them centres", centers),
        ("rounds of suppression until nobody changes", len(taken.rounds)),
        ("skeletons that are kept", int(taken.kept.sum())),
        (
            f"people with a score of {MIN_SCORE} or more",
            int((score >= MIN_SCORE).sum()),
        ),
    ]
    return table(("what", "how many"), [(what, str(count)) for what, count in rows])


def _votes(said: Sample, taken: Steps) -> dict[str, Canvas]:
    heatmap = np.asarray(only(said).targets.maps.heatmap)
    votes = np.where(heatmap.any((0, 1)), taken.votes, 0.0)
    votes /= max(float(votes.max()), 1e-6)
    return {
        "six of the heatmaps": steps.strongest_panel(said, heatmap, side=SIDE),
        "where their cells point": steps.strongest_panel(said, votes, side=SIDE),
    }


def _candidates(said: Sample, taken: Steps) -> dict[str, Canvas]:
    is_center = taken.anchor == CENTER

    def panel(chosen: np.ndarray) -> Canvas:
        return steps.candidates_panel(
            said,
            taken.anchor[chosen].tolist(),
            taken.position[chosen],
            _sizes(taken)[chosen],
            side=SIDE,
        )

    return {
        f"{(~is_center).sum()} peaks of keypoints": panel(~is_center),
        f"{is_center.sum()} peaks of centres": panel(is_center),
    }


def _walks(said: Sample, taken: Steps) -> dict[str, Canvas]:
    wanted = np.isin(taken.anchor, _WALKER)
    one = int(wanted.argmax()) if wanted.any() else 0
    root = int(taken.anchor[one])
    name = "centre" if root == CENTER else KEYPOINT_NAMES[root].replace("_", " ")
    walk = steps.walk_panel(said, root, taken.pose[one], side=SIDE)
    everybody = steps.skeletons_panel(said, taken.pose, _colors(taken), side=SIDE)
    return {
        f"the walk from the best {name}": walk,
        f"the skeletons of all {len(taken.mass)}": everybody,
    }


def _suppression(said: Sample, taken: Steps) -> dict[str, Canvas]:
    colors, kept = _colors(taken), np.flatnonzero(taken.kept)
    marks = steps.candidates_panel(
        said,
        taken.anchor.tolist(),
        taken.position,
        np.where(taken.kept, 1.0, 0.1),
        side=SIDE,
        colors=colors,
    )
    poses = steps.skeletons_panel(
        said, taken.pose[kept], [colors[index] for index in kept], side=SIDE, width=2
    )
    return {
        "candidates, in the colour of who explains them": marks,
        f"the {len(kept)} that are kept": poses,
    }


def _scores(said: Sample, taken: Steps) -> dict[str, Canvas]:
    found = taken.instances.poses
    score = np.asarray(found.score)
    there = np.flatnonzero(score > 0)
    shown = np.asarray(found.confidence)[there] > 0
    colors = [person_color(place) for place in _places(taken)]
    poses = np.asarray(found.keypoints)[there]
    everybody = steps.skeletons_panel(
        said,
        poses,
        [colors[slot] if score[slot] >= MIN_SCORE else _FAINT for slot in there],
        side=SIDE,
        width=2,
        shown=shown,
        names=[f"{score[slot]:.2f}" for slot in there],
    )
    joints = np.argwhere(shown)
    sizes = np.asarray(found.confidence)[there][tuple(joints.T)]
    order = np.argsort(-sizes, kind="stable")
    marks = steps.candidates_panel(
        said,
        joints[order, 1].tolist(),
        poses[tuple(joints[order].T)],
        sizes[order],
        side=SIDE,
        colors=[colors[there[row]] for row in joints[order, 0]],
    )
    return {
        "keypoints that were found, by confidence": marks,
        "people, with their scores": everybody,
    }


def _masks(said: Sample, explained: Explained) -> dict[str, Canvas]:
    instances = explained.steps.instances
    sure = np.flatnonzero(np.asarray(instances.poses.score) >= MIN_SCORE)
    places = [_places(explained.steps)[slot] for slot in sure]
    shares = steps.shares_panel(
        said,
        np.asarray(instances.masks)[sure],
        [person_color(place) for place in places],
        side=SIDE,
    )
    answer = found_panel(explained, colors=places)
    return {"whose each cell is": shares, "the answer": answer}


def _sizes(taken: Steps) -> np.ndarray:
    return (taken.mass / max(float(taken.mass.max(initial=0)), 1e-6)).clip(0, 1)


def _colors(taken: Steps) -> list[Color]:
    """Of each candidate: that of the kept one that explains it."""
    place = np.cumsum(taken.kept) - 1
    return [person_color(int(place[keeper])) for keeper in taken.keeper]


def _places(taken: Steps) -> list[int]:
    """Of each slot of the answer: who of those that are kept became this person."""
    kept = taken.pose[taken.kept, :NUM_KEYPOINTS]
    found = np.asarray(taken.instances.poses.keypoints)
    return np.abs(kept - found[:, None]).max((2, 3)).argmin(1).tolist()
