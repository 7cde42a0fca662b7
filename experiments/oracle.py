"""What would a perfect network score? Ground truth through targets and decoder.

    python -m experiments.oracle --annotations=J --output=O [--size=513]
        [--skeleton=center --map_stride=4 --person_stride=2 --radius=32 --masks=soft]

No pictures and no network are needed: the maps that training asks for are decoded as if
a network had said them, and scored. What is missing to 1 is what the representation and
the decoder cost, whatever the network.

O/oracle.json holds the scores, the number of pictures and the time that targets and
decoder take for one. Without any choice from the second line, or with --table,
O/oracle.csv and O/oracle.md tell what each choice costs beside the defaults of
configs/base.py, each measured alone.
"""

import csv
import dataclasses
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import app, flags

from configs import base
from poseseg_jax import config, geometry, targets
from poseseg_jax.coco import annotations, results, scoring
from poseseg_jax.coco.picture import Picture, people_map
from poseseg_jax.coco.results import Results
from poseseg_jax.coco.segmentation import to_mask
from poseseg_jax.data import augment
from poseseg_jax.data.decoding import Sample
from poseseg_jax.decode.decode import DecodeSettings, decode
from poseseg_jax.logbook import speak
from poseseg_jax.representation import Representation
from poseseg_jax.structs import Batch, Instances

_log = logging.getLogger(__name__)

MASKS = ("soft", "hard")
COLUMNS = ("keypoints/AP", "segm/AP", "segm/AP_S", "segm/AP_M", "segm/AP_L")
Scores = dict[str, Any]

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


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes:
      size: input side, px.
      masks: "soft", or "hard": cells of the person map are 0 or 1.
      representation, decode: as in a run.
    """

    size: int
    masks: str
    representation: Representation
    decode: DecodeSettings


def case(changes: dict[str, Any]) -> Case:
    """The defaults with some fields changed: "group.field" or "masks" -> value.

    Raises:
      ValueError: naming the field, for a value that no run could have.
    """
    fields = base.get_config()
    masks = changes.get("masks", MASKS[0])
    if masks not in MASKS:
        raise ValueError(f"masks is {masks!r}; there are {MASKS}.")
    fields.update_from_flattened_dict(
        {name: value for name, value in changes.items() if name != "masks"}
    )
    settings = config.parse(fields.to_dict())
    size = settings.train.image_size
    return Case(size, masks, settings.representation, settings.decode)


def measure(what: Case, pictures: Sequence[Picture], truth: Path) -> Scores:
    """Scores of what comes back of all people of a file.

    Args:
      what: size, representation and decoder.
      pictures: of the file.
      truth: the file.

    Returns:
      Both tasks' scores as of `coco.scoring.score`; "images"; "ms_per_image" of targets
      and decoder alone, once compiled.
    """
    answer = _program(what)
    rows = max([len(picture.people) for picture in pictures] + [1])
    found, seconds = Results([], []), []
    for picture in pictures:
        to_input = geometry.letterbox_affine(picture.height, picture.width, what.size)
        batch = _batch(picture, to_input, side=what.size, rows=rows)
        start = time.perf_counter()
        instances = jax.device_get(answer(batch))
        seconds.append(time.perf_counter() - start)
        one = results.from_instances(
            instances,
            to_input=to_input,
            size=(picture.height, picture.width),
            image_id=picture.image_id,
            person_stride=what.representation.person_stride,
        )
        found.keypoints.extend(one.keypoints)
        found.segm.extend(entry for entry in one.segm if _counts(entry, picture))
    scores: Scores = {}
    for task in scoring.TASKS:
        scores |= scoring.score(getattr(found, task), truth, task)
    warm = seconds[1:] or seconds  # the first one compiles
    ms = 1000 * float(np.mean(warm)) if warm else None
    return {**scores, "images": len(pictures), "ms_per_image": ms}


def _counts(entry: dict[str, Any], picture: Picture) -> bool:
    """False for the empty mask of somebody whose mask nobody knows."""
    if all(person.segmentation is not None for person in picture.people):
        return True
    size = {"height": picture.height, "width": picture.width}
    return bool(to_mask(entry["segmentation"], **size).any())


def _program(what: Case) -> Callable[[Batch], Instances]:
    @jax.jit
    def answer(batch: Batch) -> Instances:
        batched = jax.tree.map(lambda leaf: leaf[None], batch)
        made = targets.make(batched, representation=what.representation)
        maps = jax.tree.map(lambda leaf: leaf[0], made.maps)
        if what.masks == "hard":
            is_person = (maps.person >= results.MASK_LEVEL).astype(np.float32)
            maps = dataclasses.replace(maps, person=is_person)
        return decode(maps, representation=what.representation, settings=what.decode)

    return answer


def _batch(picture: Picture, to_input: np.ndarray, *, side: int, rows: int) -> Batch:
    """The people as the loader would hand them over; of the picture, nothing."""
    people = picture.people
    sample = Sample(
        image=np.zeros((1, 1, 3), np.uint8),
        to_image=np.eye(2, 3),
        people=people_map(picture),
        keypoints=np.array([p.keypoints for p in people]).reshape(-1, 17, 2),
        visibility=np.array([p.visibility for p in people], np.uint8).reshape(-1, 17),
        box=np.array([p.box for p in people]).reshape(-1, 4),
        area=np.array([p.area for p in people], np.float64),
        has_mask=np.array([p.segmentation is not None for p in people], bool),
        image_id=picture.image_id,
    )
    batch = augment.render(sample, to_input, side=side, max_people=rows)
    return dataclasses.replace(batch, image=np.zeros((1, 1, 3), np.uint8))


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
    scores = measure(what, pictures, truth)
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
            found = measure(case(changes | differs), pictures, truth)
            rows.append({"choice": choice, "value": value, **found})
            _write(output, rows)
    return scores


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
    wants_table = not changes if given.table is None else given.table
    changes["train.image_size"] = given.size
    variants = VARIANTS if wants_table else ()
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
    flags.DEFINE_bool("table", None, "What each choice costs; takes minutes.")
    app.run(_main)
