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
beside what was chosen; that takes many times as long.
"""

import csv
import dataclasses
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import app, flags

from experiments.perfect import MASKS, Case, Scores, case, grid_bound, measure
from poseseg_jax.coco import annotations
from poseseg_jax.coco.picture import Picture
from poseseg_jax.logbook import speak

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
VARIANTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
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
    ("masks", "hard", {"masks": "hard"}),
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
    lines = [_line(head), _line(["---"] * 2 + ["---:"] * (len(head) - 2))]
    for row in rows:
        cells = [row["choice"], row["value"]]
        for name in COLUMNS:
            cells.append(_score(row[name], rows[0][name], is_first=row is rows[0]))
        lines.append(_line([*cells, f"{row['ms_per_image']:.0f}"]))
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _score(value: float | None, before: float | None, *, is_first: bool) -> str:
    if value is None or before is None:
        return "-"
    change = "" if is_first else f" ({100 * (value - before):+.1f})"
    return f"{100 * value:.1f}{change}"


def run(
    truth: Path,
    output: Path,
    changes: dict[str, Any],
    variants: Sequence[tuple[str, str, dict[str, Any]]] = (),
) -> Scores:
    """Measures one case and, beside it, what each of the variants costs.

    Returns:
      The scores that O/oracle.json holds.

    Raises:
      ValueError: for a broken annotation file, or values that no run could have.
    """
    what = case(changes)
    pictures = annotations.load(truth).pictures
    scores = _all(what, pictures, truth)
    output.mkdir(parents=True, exist_ok=True)
    chosen = {"size": what.size, "masks": what.masks}
    chosen |= dataclasses.asdict(what.representation)
    chosen["skeleton"] = what.representation.skeleton.name
    text = json.dumps({**scores, "choices": chosen}, indent=2, allow_nan=False)
    (output / "oracle.json").write_text(text + "\n")
    if variants:
        rows = [{"choice": "as it is", "value": str(what.size), **scores}]
        for choice, value, differs in variants:
            if case(changes | differs) == what:
                continue
            _log.info("measuring %s: %s", choice, value)
            found = _all(case(changes | differs), pictures, truth)
            rows.append({"choice": choice, "value": value, **found})
            _write(output, rows)
    return scores


def _all(what: Case, pictures: Sequence[Picture], truth: Path) -> Scores:
    return measure(what, pictures, truth) | grid_bound(what, pictures, truth)


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
    "masks": "masks",
}


def _main(_) -> None:
    speak()
    given = flags.FLAGS
    changes = {
        field: given[name].value
        for name, field in _CHOICES.items()
        if given[name].value is not None
    }
    changes["train.image_size"] = given.size
    variants = VARIANTS if given.table else ()
    try:
        scores = run(Path(given.annotations), Path(given.output), changes, variants)
    except ValueError as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from None
    if variants:
        print((Path(given.output) / "oracle.md").read_text())
    print(json.dumps(scores, indent=2))


if __name__ == "__main__":
    flags.DEFINE_string("annotations", None, "COCO-keypoint file.", required=True)
    flags.DEFINE_string("output", None, "Where the files go.", required=True)
    flags.DEFINE_integer("size", 513, "Input side, px: a multiple of 16, plus 1.")
    flags.DEFINE_enum("skeleton", None, ["tree", "center", "both"], "Directed edges.")
    flags.DEFINE_integer("map_stride", None, "Input px per cell.")
    flags.DEFINE_integer("person_stride", None, "Input px per cell of the person map.")
    flags.DEFINE_float("radius", None, "Of an anchor's disc, input px.")
    flags.DEFINE_enum("masks", None, MASKS, "Fractions of cells, or whole cells.")
    flags.DEFINE_bool("table", False, "Also what each other choice would cost.")
    app.run(_main)
