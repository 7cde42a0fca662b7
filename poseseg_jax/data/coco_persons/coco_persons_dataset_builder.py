"""The TFDS builder: COCO's folder layout in, ArrayRecord out, without TensorFlow."""

import dataclasses
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import absl.logging
import tensorflow_datasets as tfds

from poseseg_jax.coco.annotations import (
    AnnotationFile,
    AnyPath,
    Picture,
    parse,
    read_document,
)
from poseseg_jax.data.bias import HEAD_COUNTS, count_heads, training_order
from poseseg_jax.data.coco_persons import coco2017, record, summary
from poseseg_jax.data.coco_persons.record import make_record
from poseseg_jax.data.progress import Progress

# The ground truth of exactly the pictures in the split, kept beside the records.
VAL_ANNOTATIONS = "val_annotations.json"
REPORT = "report.md"
_PER_FILE = 1000  # records; of COCO about 170 MB
_AT_ONCE = 50  # records in memory


@dataclasses.dataclass(frozen=True)
class Source:
    """An annotation file and the folder with its pictures.

    Attributes:
      annotations: the file.
      images: the folder.
      is_labelled: False for a file that only lists pictures, as of COCO's test sets.
    """

    annotations: AnyPath
    images: AnyPath
    is_labelled: bool = True


@dataclasses.dataclass(eq=False, repr=False)
class CocoPersonsConfig(tfds.core.BuilderConfig):
    """What to prepare. Without any source, COCO 2017 is downloaded.

    Attributes:
      train, val: where the splits come from; None: there is no such split.
      order_seed: of the training order.
      head_count: who counts in it; see data/bias.py.
      on_error: of a broken record: "raise", or "skip": it is left out and listed in the
        prepared set's report.md.
    """

    train: Source | None = None
    val: Source | None = None
    order_seed: int = 0
    head_count: str = HEAD_COUNTS[0]
    on_error: str = "raise"

    def __repr__(self) -> str:  # TFDS logs it wherever the data are opened
        return self.name


@dataclasses.dataclass(frozen=True, eq=False)
class _Plan:
    """What is to be written of a split, known before any record is made.

    Attributes:
      source: where it comes from.
      labels: of the whole annotation file.
      order: of the pictures.
      document: what the ground truth is made of; None for train, which has none.
    """

    source: Source
    labels: AnnotationFile
    order: list[Picture]
    document: dict | None


class Builder(tfds.core.GeneratorBasedBuilder):
    """See README.md. A record's fields are in record.py."""

    VERSION = tfds.core.Version("2.0.0")
    RELEASE_NOTES = {  # noqa: RUF012  TFDS reads a plain dict
        "1.0.0": "First.",
        "2.0.0": "The people map as run lengths, which are decoded faster than a PNG; "
        "written in order, with the sizes of its files and a report.",
    }

    def __init__(self, *, file_format: Any = "array_record", **kwargs: Any):
        before = absl.logging.get_verbosity()
        absl.logging.set_verbosity(absl.logging.ERROR)
        try:  # TFDS warns of a configuration of one's own; here there are no others
            super().__init__(file_format=file_format, **kwargs)
        finally:
            absl.logging.set_verbosity(before)

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=record.features(),
            homepage="https://cocodataset.org",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
        )

    def _download_and_prepare(self, dl_manager: Any, download_config: Any) -> None:
        """Writes the splits, into the folder that TFDS renames when all is done.

        TFDS' own writer sorts what it writes, and takes TensorFlow to do that with more
        than 1 GB. The records come in order, so they are written as they come.
        """
        info = self._info()  # made anew, it knows the folder that data_dir is now
        writer = tfds.core.SequentialWriter(
            info, max_examples_per_shard=_PER_FILE, file_format="array_record"
        )
        splits = self._split_generators(dl_manager)
        writer.initialize_splits(list(splits))
        for split, records in splits.items():
            while some := list(itertools.islice(records, _AT_ONCE)):
                writer.add_examples({split: some})
        writer.close_all()
        self.info.set_splits(info.splits)
        folder, metadata = Path(self.data_dir), cast(Any, self.info.metadata)
        summaries = {split: metadata[split] for split in splits}
        (folder / REPORT).write_text(summary.report(self.info.config_name, summaries))
        # So that a set of which something is gone is not taken for a whole one.
        files = sorted(folder.iterdir())
        metadata["files"] = {
            path.name: path.stat().st_size
            for path in files
            if path.name.startswith(self.name) or path.name == VAL_ANNOTATIONS
        }

    def _log_download_bytes(self) -> None:
        """Nothing: TFDS would say "downloading" of one's own folder."""

    def _log_download_done(self) -> None:
        """Nothing, likewise."""

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        config = self.builder_config or CocoPersonsConfig(name="")
        sources = {"train": config.train, "val": config.val}
        if not any(sources.values()):
            places = coco2017.download(dl_manager, self.url_infos or {})
            sources = {split: Source(*place) for split, place in places.items()}
        # All before the first record, which may be hours before the last: what is wrong
        # with an annotation file is said at once.
        plans = {
            split: _plan(split, source, config)
            for split, source in sources.items()
            if source is not None
        }
        return {
            split: self._generate_examples(split, plan, config)
            for split, plan in plans.items()
        }

    def _generate_examples(
        self, split: str, plan: _Plan, config: CocoPersonsConfig
    ) -> Iterator[dict[str, Any]]:
        labels, total = plan.labels, len(plan.order)
        left_out = [
            {"image_id": problem.image_id, "reason": problem.message}
            for problem in labels.problems
        ]
        written: list[Picture] = []
        with Progress(f"Preparing {split}", total=total, unit="picture") as bar:
            for picture in plan.order:
                bar.advance()
                try:
                    made = make_record(picture, plan.source.images)
                except ValueError as error:
                    if config.on_error == "raise":
                        raise
                    left_out.append(
                        {"image_id": picture.image_id, "reason": str(error)}
                    )
                    continue
                written.append(picture)
                yield made
        if not written:
            raise ValueError(
                f"{labels.source}: every picture of the split {split!r} is broken"
            )
        metadata: Any = self.info.metadata
        metadata[split] = summary.summarize(
            written, labels, left_out, head_count=config.head_count
        )
        if plan.document is not None:
            kept = {picture.image_id for picture in written}
            self._write_ground_truth(plan.document, kept)

    def _write_ground_truth(self, document: dict, kept: set[int]) -> None:
        ids = {"images": "id", "annotations": "image_id"}
        entries = {
            key: [
                entry
                for entry in document[key]
                if isinstance(entry, dict)
                and type(entry.get(i)) is int  # 1.0 and true are not picture 1
                and entry[i] in kept
            ]
            for key, i in ids.items()
            if key in document
        }
        path = Path(os.fspath(self.data_path)) / VAL_ANNOTATIONS
        path.write_text(json.dumps({**document, **entries}))


def _plan(split: str, source: Source, config: CocoPersonsConfig) -> _Plan:
    document = read_document(source.annotations, need_labels=source.is_labelled)
    name = str(source.annotations)
    labels = parse(document, source=name, on_error=config.on_error)
    order = _order(split, labels, config)
    # COCO's train document is large, and nothing asks for it again.
    return _Plan(source, labels, order, document if split == "val" else None)


def _order(
    split: str, labels: AnnotationFile, config: CocoPersonsConfig
) -> list[Picture]:
    if split != "train":
        return list(labels.pictures)
    by_id = {picture.image_id: picture for picture in labels.pictures}
    heads = count_heads(labels.pictures, count=config.head_count)
    order = training_order(heads, seed=config.order_seed)
    if not order:
        raise ValueError(
            f"{labels.source}: no picture has a person that counts ("
            f"{config.head_count!r}); there is nothing to train on"
        )
    return [by_id[image_id] for image_id in order]
