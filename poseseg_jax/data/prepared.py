"""From the data settings to readable splits: found, drawn or downloaded, built once."""

import hashlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import tensorflow_datasets as tfds
from grain.sources import RandomAccessDataSource
from tensorflow_datasets.core import constants

from poseseg_jax.coco.annotations import is_labelled
from poseseg_jax.data import synthetic
from poseseg_jax.data.bias import pictures_left
from poseseg_jax.data.coco_persons.coco_persons_dataset_builder import (
    VAL_ANNOTATIONS,
    Builder,
    CocoPersonsConfig,
    Source,
)

_log = logging.getLogger(__name__)

EMBEDDED = "embedded"
_EMBEDDED_SEED = 0
_LAYOUT = (
    "annotations/person_keypoints_train2017.json and "
    "annotations/person_keypoints_val2017.json (or .json.gz), with the pictures in "
    "train2017/ and val2017/"
)


@dataclass(frozen=True)
class DataSettings:
    """Which data, and how they are read; see `data` in configs/base.py."""

    root: str
    download: bool
    reduction: int
    order_seed: int
    prepared_dir: str
    on_error: str
    max_people: int
    num_workers: int
    embedded_train: int
    embedded_val: int


@dataclass(frozen=True, eq=False)
class Prepared:
    """Splits on disk, read by index. A record is described in data/coco_persons.

    Attributes:
      train: the training pictures that are left at the reduction asked for.
      val: all validation pictures, by id.
      val_annotations: COCO JSON with the ground truth of exactly the pictures of `val`.
      num_multi, num_single: pictures with several persons, or one, with a labelled
        keypoint in the whole training split.
      without_keypoints: annotated training pictures without such a person, not in it.
      left_out: of both splits, broken records as {"split", "image_id", "reason"}.
    """

    train: RandomAccessDataSource[Any]
    val: RandomAccessDataSource[Any]
    val_annotations: Path
    num_multi: int
    num_single: int
    without_keypoints: int
    left_out: tuple[dict[str, Any], ...]


def prepare(settings: DataSettings) -> Prepared:
    """Makes the splits of a run readable; the work is done once for all runs.

    A prepared set is known by its annotation files' content, the order's seed and
    `on_error`: another file, or a changed one, is another set. Pictures are not looked
    at again; after exchanging some under the same names, delete the prepared folder.
    A root that is given goes before a download.

    Raises:
      ValueError: without any source of data, for a folder of another layout, for a
        reduction that does not exist, and for broken records unless they are skipped.
    """
    pictures_left(0, 0, reduction=settings.reduction)  # refuses early
    config = _config(settings)
    return _build(config, _prepared_dir(settings.prepared_dir), settings.reduction)


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
    name = _identity(annotations.name.split(".")[0], 0, on_error, [source])
    config = CocoPersonsConfig(name=name, val=source, on_error=on_error)
    return _build(config, _prepared_dir(prepared_dir), 0)


def _config(settings: DataSettings) -> CocoPersonsConfig:
    seed, on_error = settings.order_seed, settings.on_error
    common: dict[str, Any] = {"order_seed": seed, "on_error": on_error}
    if not settings.root:
        if not settings.download:
            raise ValueError(
                "There are no data. Give one of\n"
                f"  --config.data.root=DIR       a folder with {_LAYOUT}\n"
                "  --config.data.download=True  to fetch COCO 2017, 20 GB\n"
                "  --config=CONFIG.py:tiny      the preset that draws its own people"
            )
        name = _identity("coco2017", seed, on_error, [])
        return CocoPersonsConfig(name=name, **common)
    if settings.root == EMBEDDED:
        root, label = _draw(settings), EMBEDDED
    else:
        root = Path(settings.root).expanduser()
        label = root.resolve().name
    sources = {split: _find(root, split) for split in ("train", "val")}
    name = _identity(label, seed, on_error, list(sources.values()))
    return CocoPersonsConfig(name=name, **sources, **common)


def _find(root: Path, split: str) -> Source:
    stem = root / "annotations" / f"person_keypoints_{split}2017.json"
    candidates = (stem, stem.with_name(stem.name + ".gz"))
    annotations = next((path for path in candidates if path.is_file()), None)
    images = root / f"{split}2017"
    if annotations is None or not images.is_dir():
        missing = stem if annotations is None else images
        raise ValueError(f"{root}: there is no {missing}; expected {_LAYOUT}")
    return Source(annotations, images)


def _identity(label: str, seed: int, on_error: str, sources: list[Source]) -> str:
    """The config's name in TFDS: readable, and another one for another content."""
    digest = hashlib.sha256(f"{seed} {on_error}".encode())
    for source in sources:
        digest.update(hashlib.sha256(source.annotations.read_bytes()).digest())
    readable = re.sub(r"[^A-Za-z0-9_]+", "_", label).strip("_")[:40] or "data"
    return f"{readable}-{digest.hexdigest()[:12]}"


def _draw(settings: DataSettings) -> Path:
    """The embedded data set, drawn if it is not there yet."""
    numbers = {
        "num_train": settings.embedded_train,
        "num_val": settings.embedded_val,
        "seed": _EMBEDDED_SEED,
    }
    # The drawing code is part of the name: another drawing is another data set.
    code = Path(synthetic.__file__)
    files = [code, *sorted(code.with_name("drawing").glob("*.py"))]
    digest = hashlib.sha256(repr(numbers).encode())
    for file in files:
        digest.update(file.read_bytes())
    root = _prepared_dir(settings.prepared_dir) / EMBEDDED / digest.hexdigest()[:12]
    if not root.is_dir():
        _log.info("Drawing %s into %s", numbers, root)
        with _may_be_done_by_another(root):
            synthetic.draw(root, **numbers)
    return root


@contextmanager
def _may_be_done_by_another(result: Path) -> Iterator[None]:
    """Both makers of folders rename theirs when it is whole; who comes second fails."""
    try:
        yield
    except OSError:
        if not result.is_dir():
            raise


def _prepared_dir(prepared_dir: str) -> Path:
    return Path(prepared_dir or constants.DATA_DIR).expanduser().absolute()


def _build(config: CocoPersonsConfig, data_dir: Path, reduction: int) -> Prepared:
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    builder: Any = Builder(config=config, data_dir=os.fspath(data_dir))
    folder = Path(os.fspath(builder.data_path))
    if not folder.is_dir():
        with _may_be_done_by_another(folder):
            builder.download_and_prepare()
        # Made anew: TFDS reads what is on disk when a builder is made.
        builder = Builder(config=config, data_dir=os.fspath(data_dir))
    metadata = builder.info.metadata
    left_out = tuple(
        {"split": split, **entry}
        for split, summary in metadata.items()
        for entry in summary["left_out"]
    )
    if left_out:
        _log.warning(
            "%d record(s) were left out, listed in %s. If you have mended them, delete "
            "%s to prepare the data again.",
            len(left_out),
            folder / "metadata.json",
            folder,
        )
    counts = metadata.get("train", {})
    num_multi, num_single = counts.get("num_multi", 0), counts.get("num_single", 0)
    return Prepared(
        train=_prefix(builder, num_multi, num_single, reduction)
        if counts
        else cast(Any, ()),
        val=builder.as_data_source("val"),
        val_annotations=folder / VAL_ANNOTATIONS,
        num_multi=num_multi,
        num_single=num_single,
        without_keypoints=counts.get("without_keypoints", 0),
        left_out=left_out,
    )


def _prefix(
    builder: Any, num_multi: int, num_single: int, reduction: int
) -> RandomAccessDataSource[Any]:
    left = pictures_left(num_multi, num_single, reduction=reduction)
    if not left:
        raise ValueError(
            f"Nothing is left to train on: {reduction} % of {num_single} single-person "
            "pictures removed, and there are no others"
        )
    return builder.as_data_source(f"train[:{left}]")
