"""From the data settings to readable splits: found, drawn or downloaded, built once."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from grain.sources import RandomAccessDataSource

from poseseg_jax.coco.annotations import is_labelled
from poseseg_jax.data import choosing, sources
from poseseg_jax.data.bias import (
    REDUCED_BY,
    check_reduction,
    pictures_left,
    random_positions,
)
from poseseg_jax.data.building import build
from poseseg_jax.data.coco_persons import summary
from poseseg_jax.data.coco_persons.coco_persons_dataset_builder import (
    VAL_ANNOTATIONS,
    CocoPersonsConfig,
    Source,
)
from poseseg_jax.data.records import Records
from poseseg_jax.data.sampling import Mixture, Subset
from poseseg_jax.data.settings import DataSettings

_log = logging.getLogger(__name__)

# Of so many persons some are small, unless somebody took care that none is.
_MANY = 100
_NO_SMALL = {
    "train": "Where small persons were left out, the network learns that they are "
    "background.",
    "val": "AP_S is null. Where small persons were left out, AP cannot be compared "
    "with COCO's: who is found there counts as wrong, and who is not is not missed.",
}


@dataclass(frozen=True, eq=False)
class Prepared:
    """Splits on disk, read by index. A record is described in data/coco_persons.

    Attributes:
      train: the training pictures that are left at the reduction asked for, or a
        Mixture of all that draws as many.
      val: all validation pictures, by id.
      val_annotations: COCO JSON with the ground truth of exactly the pictures of `val`.
      num_multi, num_single: pictures with several persons, or one, that count
        (data.head_count) in the whole training split.
      without_heads: annotated training pictures without such a person, not in it.
      left_out: of both splits, broken records as {"split", "image_id", "reason"}.
      people_beyond: people of the whole training split beyond the `max_people` largest
        of their picture; their pixels are ignored.
      pictures_beyond: in how many pictures they are.
      identity: of what was prepared: the same for the same content, wherever it lies.
    """

    train: RandomAccessDataSource[Any]
    val: RandomAccessDataSource[Any]
    val_annotations: Path
    num_multi: int
    num_single: int
    without_heads: int
    left_out: tuple[dict[str, Any], ...]
    people_beyond: int = 0
    pictures_beyond: int = 0
    identity: str = ""

    def beyond(self, max_people: int) -> str:
        """A sentence on people beyond data.max_people; "" where there are none."""
        if not self.people_beyond:
            return ""
        return (
            f"Training pictures with more people than data.max_people={max_people}: "
            f"{self.pictures_beyond:,}. The largest of each stay; "
            f"{self.people_beyond:,} in all are left out, and their pixels ignored."
        )

    def trained_on(self, settings: DataSettings) -> str:
        """A sentence on the pictures that are trained on, and on those that are not."""
        every, ones = self.num_multi + self.num_single, self.num_single
        if not settings.reduction:
            return f"Training on {every:,} pictures, {ones:,} of them of one person."
        left = pictures_left(self.num_multi, ones, reduction=settings.reduction)
        gone = every - left
        said = {
            "removal": f"{gone:,} of {ones:,} pictures of one person are left out",
            "random": f"{gone:,} of all {every:,} pictures are left out",
            "reweight": f"pictures of one person are drawn as if {gone:,} of {ones:,} "
            "were gone",
        }[settings.reduction_by]
        return (
            f"Bias reduction of {settings.reduction} %, by {settings.reduction_by}: "
            f"{said}. An epoch has {left:,} pictures."
        )


def prepare(settings: DataSettings) -> Prepared:
    """Makes the splits of a run readable; the work is done once for all runs.

    A prepared set is known by its annotation files' content, the file sizes of up to
    1,000 pictures, the order's seed, who counts as a head and `on_error`: what differs
    is another set. After exchanging single pictures under the same names, delete the
    prepared folder.
    A root or files that are given go before a download.

    Raises:
      ValueError: without any source of data, for a folder of another layout, for a
        reduction that does not exist, for a prepared set of which something is gone,
        and for broken records unless they are skipped.
    """
    check_reduction(settings.reduction)  # early
    if settings.reduction_by not in REDUCED_BY:
        raise ValueError(
            f"data.reduction_by is {settings.reduction_by!r}; there are {REDUCED_BY}."
        )
    return _prepared(
        choosing.builder_config(settings),
        choosing.prepared_dir(settings.prepared_dir),
        reduction=settings.reduction,
        reduction_by=settings.reduction_by,
        max_people=settings.max_people,
    )


def prepare_val(
    annotations: Path, images: Path, *, prepared_dir: str = "", on_error: str = "raise"
) -> Prepared:
    """Like `prepare` for any annotation file and its pictures, as `val` alone.

    A file that only lists pictures, without annotations, will do: then the ground truth
    of `val` has no annotations either.
    """
    if not annotations.is_file():
        raise ValueError(f"{annotations}: no such annotation file")
    if not images.is_dir():
        raise ValueError(f"{images}: no such folder with pictures")
    source = Source(annotations, images, is_labelled(annotations))
    how: dict[str, Any] = {"on_error": on_error}
    name = sources.identity(annotations.name.split(".")[0], [source], how)
    config = CocoPersonsConfig(name=name, val=source, **how)
    return _prepared(config, choosing.prepared_dir(prepared_dir))


def _prepared(
    config: CocoPersonsConfig,
    data_dir: Path,
    *,
    reduction: int = 0,
    reduction_by: str = REDUCED_BY[0],
    max_people: int | None = None,
) -> Prepared:
    builder, folder = build(config, data_dir)
    summaries = {split: builder.info.metadata[split] for split in builder.info.splits}
    left_out = _say_what_it_lacks(summaries, folder)
    counts = summaries.get("train", {})
    num_multi, num_single = counts.get("num_multi", 0), counts.get("num_single", 0)
    people, pictures = (
        summary.beyond(counts, max_people) if max_people and counts else (0, 0)
    )
    return Prepared(
        train=_reduced(builder, (num_multi, num_single), reduction, reduction_by)
        if counts
        else cast(Any, ()),
        val=Records.of(builder, "val"),
        val_annotations=folder / VAL_ANNOTATIONS,
        num_multi=num_multi,
        num_single=num_single,
        without_heads=counts.get("without_heads", 0),
        left_out=left_out,
        people_beyond=people,
        pictures_beyond=pictures,
        identity=config.name.rpartition("-")[2],
    )


def _say_what_it_lacks(
    summaries: Mapping[str, Any], folder: Path
) -> tuple[dict[str, Any], ...]:
    """Warns of broken records and missing small persons; returns the broken ones."""
    left_out = tuple(
        {"split": split, **entry}
        for split, counts in summaries.items()
        for entry in counts["left_out"]
    )
    if left_out:
        _log.warning(
            "%d record(s) were left out, listed in %s. If you have mended them, delete "
            "%s to prepare the data again.",
            len(left_out),
            folder / "report.md",
            folder,
        )
    for split, counts in summaries.items():
        is_theirs = sources.is_cocopersons(Path(counts["annotations"]))
        is_telling = counts["persons"] >= _MANY or is_theirs
        if is_telling and not counts["small"]:
            _log.warning(
                "%s: none of %d persons is smaller than 32 x 32 px, as in COCOPersons' "
                "files. %s See docs/data.md.",
                counts["annotations"],
                counts["persons"],
                _NO_SMALL[split],
            )
    return left_out


def _reduced(
    builder: Any, counts: tuple[int, int], reduction: int, reduced_by: str
) -> RandomAccessDataSource[Any]:
    """What is left to train on, in views of the one split on disk."""
    num_multi, num_single = counts
    left = pictures_left(num_multi, num_single, reduction=reduction)
    if not left:
        raise ValueError(
            f"Nothing is left to train on: {reduction} % of {num_single} single-person "
            "pictures removed, and there are no others"
        )
    if reduced_by == "random":
        order = random_positions(sum(counts), seed=builder.builder_config.order_seed)
        return Subset(Records.of(builder, "train"), order[:left])
    if reduced_by == "reweight":
        return Mixture(Records.of(builder, "train"), num_multi, left - num_multi)
    return Records.of(builder, f"train[:{left}]")
