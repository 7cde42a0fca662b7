"""Draws and counts what a data set says, for a reader who doubts it.

    python -m poseseg_jax.data.inspect --config=configs/bias70.py --output=O \\
        --config.data.root=coco

writes records/ and records.png, pictures as they are stored with their labels;
samples/ and samples.png, what training sees of them with every target map; and
statistics.md and statistics.json, numbers and checks of all records of the split.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags
from grain.sources import RandomAccessDataSource

from poseseg_jax import command, config_flag, targets, visualize
from poseseg_jax import config as config_lib
from poseseg_jax.config import Settings
from poseseg_jax.data import pipeline, plausibility, statistics
from poseseg_jax.data.decoding import Record, decode_record, name_of
from poseseg_jax.data.prepared import Prepared, prepare
from poseseg_jax.data.report import as_markdown
from poseseg_jax.sheets import compose
from poseseg_jax.sheets.labels import Labelled
from poseseg_jax.sheets.maps import Sample
from poseseg_jax.sheets.page import Panel
from poseseg_jax.structs import Batch

# By its name: a module that is run is called __main__.
_log = logging.getLogger("poseseg_jax.data.inspect")

SPLITS = ("train", "val")
_STATISTICS = "statistics.json"
Sheet = tuple[str, Panel, Panel]  # name, the sheet, and its thumbnail

_make_targets = jax.jit(
    targets.make, static_argnames=("representation", "hard_keypoint_weight")
)


def inspect(
    settings: Settings,
    output: Path,
    *,
    split: str = "train",
    pictures: int = 12,
    seed: int = 0,
    image_ids: Sequence[int] = (),
) -> dict[str, Any]:
    """Writes sheets and statistics of a split.

    Args:
      settings: of a run; data are prepared if they are not yet.
      output: folder; sheets of an earlier inspection are replaced.
      split: "train" as the run would see it, or "val".
      pictures: how many records, and how many samples, to draw.
      seed: which records.
      image_ids: these records instead, and samples of them alone.

    Returns:
      What statistics.json holds.

    Raises:
      ValueError: for another split, and for ids that are not in it.
    """
    if split not in SPLITS:
        raise ValueError(f"There is no split {split!r}; there are {SPLITS}.")
    prepared = prepare(settings.data)
    source = getattr(prepared, split)
    _log.info("Reading the labels of %d records.", len(source))
    labels = statistics.collect(source[index] for index in range(len(source)))
    chosen = _choose(labels, pictures, seed, image_ids)
    _forget_sheets(output)
    found = _write_statistics(labels, prepared, settings, split, output)
    records = [source[index] for index in chosen]
    _write_sheets(output, "records", _record_sheets(records), f"records of {split}")
    if split == "val":
        samples, seen = _eval_inputs(records, settings), "as evaluation sees them"
    else:
        wanted = records if image_ids else source
        samples = _train_inputs(wanted, settings, len(chosen))
        seen = f"as training sees them, seed {settings.train.seed}"
    sheets = _sample_sheets(samples, settings)
    _write_sheets(output, "samples", sheets, f"samples of {split}, {seen}")
    return found


def _forget_sheets(output: Path) -> None:
    """Removes those of an earlier inspection, and nobody else's pictures."""
    if (output / _STATISTICS).exists():
        for kind in ("records", "samples"):
            for path in (output / f"{kind}.png", *(output / kind).glob("*.png")):
                path.unlink(missing_ok=True)


def _choose(
    labels: statistics.Labels, pictures: int, seed: int, image_ids: Sequence[int]
) -> list[int]:
    """Places of the records to draw."""
    place = {image_id: index for index, image_id in enumerate(labels.image_id.tolist())}
    missing = [image_id for image_id in image_ids if image_id not in place]
    if missing:
        raise ValueError(
            f"The split has no records of the image ids {missing}; it has "
            f"{len(place)}, from {min(place, default=None)} to "
            f"{max(place, default=None)}. A training split lacks pictures in which "
            "nobody counts (data.head_count), and those that a reduction removes."
        )
    if image_ids:
        return [place[image_id] for image_id in image_ids]
    count = min(pictures, len(place))
    drawn = np.random.default_rng(seed).choice(len(place), count, replace=False)
    return sorted(drawn.tolist())


def _write_statistics(
    labels: statistics.Labels,
    prepared: Prepared,
    settings: Settings,
    split: str,
    output: Path,
) -> dict[str, Any]:
    left_out = [entry for entry in prepared.left_out if entry["split"] == split]
    numbers = statistics.summarize(
        labels,
        max_people=settings.data.max_people,
        image_size=settings.train.image_size,
        left_out=left_out,
    )
    checks = plausibility.check(labels)
    for warning in checks["warnings"]:
        _log.warning("%s", warning)
    about = {"split": split, **_reduction(settings, split)}
    title = f"Split {split}"
    if settings.data.root:
        title += f" of {settings.data.root}"
    if about["reduction"]:
        title += f", data.reduction {about['reduction']} by {about['reduction_by']}"
    if about["reduction_by"] == "reweight":
        title += ": all shares are of records, not of draws"
    found = {**about, **numbers, "checks": checks}
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=2, allow_nan=False)
    (output / _STATISTICS).write_text(text + "\n")
    (output / "statistics.md").write_text(as_markdown(numbers, checks, title))
    return found


def _reduction(settings: Settings, split: str) -> dict[str, Any]:
    """By what the split is reduced, and how; None where it is not."""
    percent = settings.data.reduction if split == "train" else 0
    by = settings.data.reduction_by if percent else None
    return {"reduction": percent, "reduction_by": by}


def _record_sheets(records: Sequence[Record]) -> Iterator[Sheet]:
    for record in records:
        sample = decode_record(record)
        labelled = Labelled(
            image=sample.image,
            people=sample.people,
            keypoints=sample.keypoints,
            visibility=sample.visibility,
            box=sample.box,
            has_mask=sample.has_mask,
        )
        height, width = sample.people.shape
        heads = int(np.asarray(sample.visibility).any(-1).sum())
        title = (
            f"{name_of(record)}, {width} x {height} px, people: {len(sample.box)}, "
            f"with keypoints: {heads}"
        )
        short = f"id {sample.image_id}, people: {len(sample.box)}"
        yield (
            f"{sample.image_id:012d}",
            compose.record_sheet(labelled, title),
            compose.thumbnail(labelled, short),
        )


def _train_inputs(
    source: RandomAccessDataSource[Any] | Sequence[Record],
    settings: Settings,
    count: int,
) -> Iterator[Batch]:
    """The first inputs that a run of these settings sees, one by one."""
    batches = pipeline.train_batches(
        source,  # type: ignore[arg-type]  # a list is one
        image_size=settings.train.image_size,
        max_people=settings.data.max_people,
        augment=settings.augment,
        batch_size=1,
        seed=settings.train.seed,
        num_workers=0,
        labels=settings.data.labels,
    )
    try:
        for _ in range(count):
            yield next(batches)
    finally:
        batches.close()


def _eval_inputs(records: Sequence[Record], settings: Settings) -> Iterator[Batch]:
    for record in records:
        side, most = settings.eval_image_size, settings.data.max_people
        one = pipeline.letterbox(record, image_size=side, max_people=most)
        yield jax.tree.map(lambda leaf: np.asarray(leaf)[None], one)


def _sample_sheets(batches: Iterator[Batch], settings: Settings) -> Iterator[Sheet]:
    for number, batch in enumerate(batches):
        made = _make_targets(
            batch,
            representation=settings.representation,
            hard_keypoint_weight=settings.loss.hard_keypoint_weight,
        )
        both = jax.device_get((batch, made))
        picture, truth = jax.tree.map(lambda leaf: np.asarray(leaf)[0], both)
        sample = Sample(picture, truth, settings.representation)
        people = int(picture.box.any(-1).sum())
        image_id = int(picture.image_id)
        title = f"sample {number}: id {image_id}, people: {people}"
        detailed = f"{title}, input of {picture.people.shape[1]} px"
        yield (
            f"{number:03d}_{image_id:012d}",
            compose.sample_sheet(sample, detailed),
            compose.sample_thumbnail(sample, title),
        )


def _write_sheets(output: Path, kind: str, sheets: Iterator[Sheet], title: str) -> None:
    thumbnails = []
    for name, sheet, thumbnail in sheets:
        visualize.write_png(output / kind / f"{name}.png", sheet)
        thumbnails.append(thumbnail)
    if thumbnails:
        page = compose.contact_sheet(thumbnails, title)
        visualize.write_png(output / f"{kind}.png", page)
    _log.info("%d %s drawn into %s", len(thumbnails), kind, output / kind)


def _main(_) -> None:
    given = flags.FLAGS
    inspect(
        config_lib.parse(config_flag.given()),
        Path(given.output),
        split=given.split,
        pictures=given.pictures,
        seed=given.seed,
        image_ids=[int(image_id) for image_id in given.image_ids],
    )


if __name__ == "__main__":
    config_flag.define()
    flags.DEFINE_string("output", None, "The folder to write into.", required=True)
    flags.DEFINE_enum("split", "train", SPLITS, "Which records.")
    flags.DEFINE_integer(
        "pictures", 12, "Records, and samples, to draw.", lower_bound=0
    )
    flags.DEFINE_integer("seed", 0, "Which records to draw.", lower_bound=0)
    flags.DEFINE_list("image_ids", [], "Draw these, as in 1,2, and no others.")
    flags.register_validator(
        "image_ids",
        lambda ids: all(image_id.isdecimal() for image_id in ids),
        message="expected numbers, as in 1,2",
    )
    command.run(_main, flags_parser=config_flag.parse_flags)
