"""The tables of a report."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments import scores
from experiments.ceiling import Ceilings
from experiments.grid import ALL_PICTURES, CROWDS, SINGLES, Experiment, Variant
from experiments.outcome import difference
from experiments.scores import Row
from experiments.trends import Trends
from poseseg_jax import markdown
from poseseg_jax.coco.crowding import OVERLAP_BUCKETS, PEOPLE_BUCKETS
from poseseg_jax.coco.scoring import TASKS

_COMPARED = {**ALL_PICTURES, **SINGLES, **CROWDS}


def of_variants(variants: Sequence[Variant], *, trend: str) -> str:
    """What each of them is: which fields it sets, and on which lines it lies."""
    head = ["variant", "what it sets", *(["on the lines"] if trend else [])]
    cells = [
        [one.name, _changed(one), *([", ".join(one.series)] if trend else [])]
        for one in variants
    ]
    return f"## Variants\n\n{markdown.table(head, cells, words=len(head))}"


def _changed(variant: Variant) -> str:
    said = [f"`{name}={_value(v)}`" for name, v in variant.changes.items()]
    first = f"network of `{variant.of}`" if variant.of else ""
    first = f"begins with `{variant.after}`" if variant.after else first
    return ", ".join([*([first] if first else []), *said]) or "nothing"


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return ",".join(map(_value, value)) if isinstance(value, tuple) else str(value)


def of_scores(rows: Sequence[Row], ceilings: Ceilings, *, is_alone: bool) -> str:
    """Scores of both tasks, differences to the baseline, ceilings and times."""
    is_timed = any(row.values(scores.TIME) for row in rows)
    head = ["variant", "runs"]
    for task in TASKS:
        head += [f"{task} AP", "difference"]
        head += [f"{task} ceiling"] if ceilings else []
    head += ["ms a picture"] if is_timed and is_alone else []
    cells = []
    for row in rows:
        own = [row.variant.name, str(len(row.by_seed))]
        for task in TASKS:
            key = f"{task}/AP"
            own += [_spread(row, key), difference(row.to_baseline.get(key))]
            own += (
                [markdown.percent(ceilings[row.variant.name][task])] if ceilings else []
            )
        times = row.values(scores.TIME)
        if is_timed and is_alone:
            own += [f"{np.median(times):.0f}" if times else "-"]
        cells.append(own)
    words = _meaning(rows)
    if is_timed and is_alone:
        words += (
            " Times are the median of as many passes over the pictures as there are "
            "runs: a few ms mean nothing."
        )
    elif is_timed:
        words += " Times are not reported, because runs shared the processors."
    return f"## Scores\n\n{words}\n\n{markdown.table(head, cells)}\n"


def of_trends(experiment: Experiment, found: Trends) -> str:
    """How scores move along the lines; "" where nobody asks."""
    if not found:
        return ""
    keys = [
        (f"{task} AP, {pictures}", key.format(task))
        for task in TASKS
        for pictures, key in experiment.about.items()
    ]
    cells = [
        [name, *(difference(moved.get(key)) for _, key in keys)]
        for name, moved in found.items()
    ]
    return (
        "## Trend\n\nHow many AP points a straight line rises that is fitted to all "
        f"variants on it, {experiment.trend}.\n\n"
        f"{markdown.table(['', *(name for name, _ in keys)], cells)}"
    )


def of_controls(rows: Sequence[Row]) -> str:
    """Differences to controls; "" where there are none."""
    cells = [
        [
            row.variant.name,
            control,
            *(
                difference(differences.get(key.format(task)))
                for task in TASKS
                for key in _COMPARED.values()
            ),
        ]
        for row in rows
        for control, differences in row.to_controls.items()
    ]
    if not cells:
        return ""
    head = ["variant", "control"]
    head += [f"{task} AP, {name}" for task in TASKS for name in _COMPARED]
    return f"## Against controls\n\n{markdown.table(head, cells, words=2)}"


def of_crowding(rows: Sequence[Row], counts: Mapping[str, int]) -> str:
    """Scores by head count and by overlap; "" where nothing is finished."""
    if not counts:
        return ""
    by_people = ", ".join(f"{n} with {_bucket(b)}" for b, n in _of(counts, "people"))
    by_overlap = ", ".join(f"{n} with {_bucket(b)}" for b, n in _of(counts, "overlap"))
    found = (
        f"## By crowding\n\n{_meaning(rows)} Pictures by the number of people: "
        f"{by_people}. By overlap, which is the largest IoU of two people's boxes: "
        f"{by_overlap}. Groups of fewer than {scores.ENOUGH} pictures are not "
        "compared.\n"
    )
    for task in TASKS:
        for what, buckets in (("people", PEOPLE_BUCKETS), ("overlap", OVERLAP_BUCKETS)):
            head = [f"{task}, {what}", *map(_bucket, buckets)]
            cells = [
                [
                    row.variant.name,
                    *(_spread(row, f"crowd/{bucket}/{task}/AP") for bucket in buckets),
                ]
                for row in rows
                if task in row.variant.tasks
            ]
            found += f"\n{markdown.table(head, cells)}"
    return found


def _of(counts: Mapping[str, int], what: str) -> list[tuple[str, int]]:
    return [(name, n) for name, n in counts.items() if name.startswith(what)]


def _bucket(name: str) -> str:
    return name.split("_")[1]


def _meaning(rows: Sequence[Row]) -> str:
    """What the numbers are."""
    if max((len(row.by_seed) for row in rows), default=0) > 1:
        return "AP x 100: the mean over seeds, and the standard deviation over them."
    return "AP x 100 of one run each."


def _spread(row: Row, key: str) -> str:
    spread = row.spread(key)
    if spread is None:
        return "-"
    around = (
        "" if spread.high is None else f" ± {100 * (spread.high - spread.value):.1f}"
    )
    return markdown.percent(spread.value) + around
