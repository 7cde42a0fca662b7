"""What would a perfect network score? Ground truth through targets and decoder.

    python -m experiments.oracle --annotations=J --output=O [--size=513] [--table]
        [--skeleton=center --map_stride=4 --person_stride=2 --radius=32 --masks=soft]

No pictures and no network are needed: the maps that training asks for are decoded as if
a network had said them, and scored. What is missing to 1 is what the representation and
the decoder cost, whatever the network.

O/oracle.json holds the scores, the number of pictures and the time that targets and
decoder take for one; "grid/segm/..." is what masks would score if everybody had a
person map of their own, so that only the grid's cells cost something. With --table,
O/oracle.csv and O/oracle.md tell what each other choice would cost, one at a time,
beside what was chosen; that takes many times as long. Choices that do not go together
with what was chosen are named and left out.
"""

import csv
import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from experiments.perfect import Case, Scores, case, grid_bound, measure
from poseseg_jax import command, markdown
from poseseg_jax.coco import annotations
from poseseg_jax.coco.picture import Picture
from poseseg_jax.representation import MASKS
from poseseg_jax.skeleton import SKELETONS

_log = logging.getLogger(__name__)

COLUMNS = (
    "keypoints/AP",
    "segm/AP",
    "segm/AP_S",
    "segm/AP_M",
    "segm/AP_L",
    "grid/segm/AP",
)

# Choice, value, and the fields that make it differ from configs/base.py.
Variant = tuple[str, str, dict[str, Any]]
VARIANTS: tuple[Variant, ...] = (
    ("size", "401", {"train.image_size": 401}),
    ("size", "641", {"train.image_size": 641}),
    ("skeleton", "tree", {"representation.skeleton": "tree"}),
    ("skeleton", "both", {"representation.skeleton": "both"}),
    ("map_stride", "2", {"representation.map_stride": 2}),
    ("map_stride", "8", {"representation.map_stride": 8}),
    ("person_stride", "1", {"representation.person_stride": 1}),
    ("person_stride", "4", {"representation.person_stride": 4}),
    ("radius", "16", {"representation.radius": 16.0}),
    ("radius", "48", {"representation.radius": 48.0}),
    ("masks", "hard", {"representation.masks": "hard"}),
    (
        "masks",
        "may overlap (PersonLab)",
        {"decode.exclusive_masks": False, "decode.mask_threshold": 0.25},
    ),
    ("centres", "on the coarse grid", {"decode.center_stride": 4}),
    ("centres", "one radius for all", {"decode.center_radius_min": 10.0}),
    ("steps", "not refined", {"decode.refine_steps": 0}),
    ("steps", "snapped within 10 px", {"decode.snap_radius": 10.0}),
)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as Markdown, scores times 100, with the difference to the first row."""
    head = ["choice", "value", *COLUMNS, "ms a picture"]
    lines = []
    for row in rows:
        cells = [row["choice"], row["value"]]
        for name in COLUMNS:
            cells.append(_score(row[name], rows[0][name], is_first=row is rows[0]))
        lines.append([*cells, f"{row['ms_per_image']:.0f}"])
    return markdown.table(head, lines, words=2)


def report(scores: Scores, output: Path, *, size: int) -> str:
    """What a reader of a terminal wants to know of O's files."""
    written = output / "oracle.md"
    alone = table([{"choice": "as it is", "value": str(size), **scores}])
    return (
        f"{written.read_text() if written.exists() else alone}"
        f"Scores x 100 over {scores['images']:.0f} pictures. All of them, as "
        f"fractions: {output / 'oracle.json'}"
    )


def _score(value: float | None, before: float | None, *, is_first: bool) -> str:
    if value is None or before is None:
        return "-"
    change = "" if is_first else f" ({100 * (value - before):+.1f})"
    return f"{100 * value:.1f}{change}"


def run(
    truth: Path,
    output: Path,
    changes: dict[str, Any],
    variants: Sequence[Variant] = (),
) -> Scores:
    """Measures one case and, beside it, what each of the variants costs.

    Returns:
      The scores that O/oracle.json holds.

    Raises:
      ValueError: for a broken annotation file, values that no run could have, or a
        folder that cannot be written.
    """
    what = case(changes)
    others = _others(what, changes, variants)
    _make_folder(output)
    pictures = annotations.load(truth).pictures
    bounds: dict[tuple[Any, ...], Scores] = {}
    scores = _all(what, pictures, truth, bounds)
    chosen = {"size": what.size, **dataclasses.asdict(what.representation)}
    chosen["skeleton"] = what.representation.skeleton.name
    text = json.dumps({**scores, "choices": chosen}, indent=2, allow_nan=False)
    (output / "oracle.json").write_text(text + "\n")
    rows = [{"choice": "as it is", "value": str(what.size), **scores}]
    for choice, value, other in others:
        _log.info("measuring %s: %s", choice, value)
        found = _all(other, pictures, truth, bounds)
        rows.append({"choice": choice, "value": value, **found})
        _write(output, rows)
    return scores


def _others(
    what: Case, changes: dict[str, Any], variants: Sequence[Variant]
) -> list[tuple[str, str, Case]]:
    """The variants that differ from what was chosen and go together with it."""
    others = []
    for choice, value, differs in variants:
        try:
            other = case(changes | differs)
        except ValueError as error:
            _log.info("left out, %s: %s: %s", choice, value, error)
            continue
        if other != what:
            others.append((choice, value, other))
    return others


def _make_folder(output: Path) -> None:
    """There before anything is measured, and without an earlier table."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name in ("oracle.csv", "oracle.md"):
            (output / name).unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(f"{output}: cannot be written ({error})") from None


def _all(
    what: Case,
    pictures: Sequence[Picture],
    truth: Path,
    bounds: dict[tuple[Any, ...], Scores],
) -> Scores:
    """`bounds` remembers the grid's, which few of the choices change."""
    grid = what.size, what.representation.person_stride, what.representation.masks
    if grid not in bounds:
        bounds[grid] = grid_bound(what, pictures, truth)
    return measure(what, pictures, truth) | bounds[grid]


def _write(output: Path, rows: list[dict[str, Any]]) -> None:
    with (output / "oracle.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (output / "oracle.md").write_text(table(rows))


_CHOICES = {
    "skeleton": "representation.skeleton",
    "map_stride": "representation.map_stride",
    "person_stride": "representation.person_stride",
    "radius": "representation.radius",
    "masks": "representation.masks",
}


def _main(_) -> None:
    given = flags.FLAGS
    changes = {
        field: given[name].value
        for name, field in _CHOICES.items()
        if given[name].value is not None
    }
    changes["train.image_size"] = given.size
    variants = VARIANTS if given.table else ()
    output = Path(given.output)
    scores = run(Path(given.annotations), output, changes, variants)
    print(report(scores, output, size=given.size))


if __name__ == "__main__":
    flags.DEFINE_string("annotations", None, "COCO-keypoint file.", required=True)
    flags.DEFINE_string("output", None, "Where the files go.", required=True)
    usual = case({}).representation
    flags.DEFINE_integer("size", 513, "Input side, px: a multiple of 16, plus 1.")
    flags.DEFINE_enum(
        "skeleton",
        None,
        list(SKELETONS),
        "Edges along which poses grow: between joints (tree), to and from the centre "
        f"(center), or both; default: {usual.skeleton.name}.",
    )
    flags.DEFINE_integer(
        "map_stride", None, f"Input px per cell: 2, 4, 8; default: {usual.map_stride}."
    )
    flags.DEFINE_integer(
        "person_stride",
        None,
        "Input px per cell of the person map: 1 or an even number that divides "
        f"--map_stride; default: {usual.person_stride}.",
    )
    flags.DEFINE_float(
        "radius",
        None,
        f"Of an anchor's disc, input px, at least 1; default: {usual.radius:g}.",
    )
    flags.DEFINE_enum(
        "masks",
        None,
        MASKS,
        f"Fractions of cells (soft), or whole cells (hard); default: {MASKS[0]}.",
    )
    flags.DEFINE_bool("table", False, "Also what each other choice would cost.")
    command.run(_main)
