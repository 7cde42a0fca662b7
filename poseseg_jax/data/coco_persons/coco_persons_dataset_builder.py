"""The TFDS builder: COCO's folder layout in, ArrayRecord out, without TensorFlow."""

import dataclasses
import json
import logging
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds

from poseseg_jax.coco.annotations import (
    READ_ERRORS,
    AnnotationFile,
    AnyPath,
    Picture,
    parse,
    people_map,
    read_document,
)
from poseseg_jax.data.bias import training_order
from poseseg_jax.data.decoding import decode_image
from poseseg_jax.skeleton import NUM_KEYPOINTS

_log = logging.getLogger(__name__)

COCO_URLS = {
    "annotations": (
        "http://images.cocodataset.org/annotations/annotations_trainval2017.zip"
    ),
    "train": "http://images.cocodataset.org/zips/train2017.zip",
    "val": "http://images.cocodataset.org/zips/val2017.zip",
}
# The ground truth of exactly the pictures in the split, kept beside the records.
VAL_ANNOTATIONS = "val_annotations.json"


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
      on_error: of a broken record: "raise", or "skip": it is left out and listed in the
        prepared set's metadata.json.
    """

    train: Source | None = None
    val: Source | None = None
    order_seed: int = 0
    on_error: str = "raise"

    def __repr__(self) -> str:  # TFDS logs it wherever the data are opened
        return self.name


class Builder(tfds.core.GeneratorBasedBuilder):
    """See README.md. The record's fields are described in `_info`."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First."}  # noqa: RUF012  TFDS reads a plain dict

    def __init__(self, *, file_format: Any = "array_record", **kwargs: Any):
        super().__init__(file_format=file_format, **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        features = tfds.features
        # Bytes, not tfds.features.Image: reading is a copy, decoding is the loader's.
        data = {"shape": (), "dtype": np.object_}
        return self.dataset_info_from_configs(
            features=features.FeaturesDict(
                {
                    "image": features.Tensor(**data, doc="The picture's file"),
                    "people": features.Tensor(**data, doc="PNG: whose is each pixel"),
                    "image_id": features.Scalar(np.int64),
                    "file_name": features.Text(),
                    "size": features.Tensor(
                        shape=(2,), dtype=np.int32, doc="(height, width)"
                    ),
                    "keypoints": _rows(NUM_KEYPOINTS, 2, doc="(x, y)"),
                    "visibility": _rows(NUM_KEYPOINTS, dtype=np.uint8),
                    "box": _rows(4, doc="(x0, y0, x1, y1), outer edges"),
                    "area": _rows(doc="px^2"),
                    "has_mask": _rows(dtype=np.bool_),
                    "annotation_id": _rows(dtype=np.int64),
                }
            ),
            homepage="https://cocodataset.org",
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        config = self.builder_config or CocoPersonsConfig(name="")
        sources = {"train": config.train, "val": config.val}
        if not any(sources.values()):
            sources = _download(dl_manager)
        return {
            split: self._generate_examples(split, source, config)
            for split, source in sources.items()
            if source is not None
        }

    def _generate_examples(
        self, split: str, source: Source, config: CocoPersonsConfig
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        document = read_document(source.annotations, need_labels=source.is_labelled)
        name = str(source.annotations)
        labels = parse(document, source=name, on_error=config.on_error)
        order = _order(split, labels, config)
        left_out = [
            {"image_id": problem.image_id, "reason": problem.message}
            for problem in labels.problems
        ]
        written: list[Picture] = []
        for index, picture in enumerate(order):
            try:
                record = make_record(picture, source.images)
            except ValueError as error:
                if config.on_error == "raise":
                    raise
                left_out.append({"image_id": picture.image_id, "reason": str(error)})
                continue
            written.append(picture)
            yield _key(index, len(order)), record
        if not written:
            raise ValueError(f"{name}: every picture of the split {split!r} is broken")
        metadata: Any = self.info.metadata
        metadata[split] = _summary(written, labels, left_out)
        if split == "val":
            kept = {picture.image_id for picture in written}
            self._write_ground_truth(document, kept)

    def _write_ground_truth(self, document: dict, kept: set[int]) -> None:
        ids = {"images": "id", "annotations": "image_id"}
        entries = {
            key: [e for e in document[key] if isinstance(e, dict) and e.get(i) in kept]
            for key, i in ids.items()
            if key in document
        }
        path = Path(os.fspath(self.data_path)) / VAL_ANNOTATIONS
        path.write_text(json.dumps({**document, **entries}))


def make_record(picture: Picture, images: AnyPath) -> dict[str, Any]:
    """One picture as it is stored.

    Raises:
      ValueError: naming the file, if the picture cannot be read, is cut off, or has
        another size than its annotations say.
    """
    path = images / picture.file_name
    name = f"{path} (image id {picture.image_id})"
    try:
        data = path.read_bytes()
    except READ_ERRORS as error:
        raise ValueError(f"{name}: cannot be read ({error})") from None
    height, width = decode_image(data, name=name).shape[:2]
    if (height, width) != (picture.height, picture.width):
        raise ValueError(
            f"{name}: {width} x {height} px; its annotations say {picture.width} x "
            f"{picture.height} (width x height). Is it the picture that was annotated?"
        )
    people, count = picture.people, len(picture.people)
    keypoints = [person.keypoints for person in people]
    visibility = [person.visibility for person in people]
    boxes = [person.box for person in people]
    shape = (count, NUM_KEYPOINTS)
    return {
        "image": data,
        "people": cv2.imencode(".png", people_map(picture))[1].tobytes(),
        "image_id": picture.image_id,
        "file_name": picture.file_name,
        "size": np.array([height, width], np.int32),
        "keypoints": np.array(keypoints, np.float32).reshape(*shape, 2),
        "visibility": np.array(visibility, np.uint8).reshape(shape),
        "box": np.array(boxes, np.float32).reshape(count, 4),
        "area": np.array([person.area for person in people], np.float32),
        "has_mask": np.array([p.segmentation is not None for p in people], np.bool_),
        "annotation_id": np.array([p.annotation_id for p in people], np.int64),
    }


def _rows(*shape: int, dtype: type = np.float32, doc: str = "") -> Any:
    return tfds.features.Tensor(shape=(None, *shape), dtype=dtype, doc=doc or None)


def _order(
    split: str, labels: AnnotationFile, config: CocoPersonsConfig
) -> list[Picture]:
    if split != "train":
        return list(labels.pictures)
    by_id = {picture.image_id: picture for picture in labels.pictures}
    heads = {image_id: picture.head_count for image_id, picture in by_id.items()}
    order = training_order(heads, seed=config.order_seed)
    if not order:
        raise ValueError(
            f"{labels.source}: no picture has a person with a labelled keypoint; there "
            "is nothing to train on"
        )
    return [by_id[image_id] for image_id in order]


def _key(index: int, count: int) -> int:
    """A key that keeps the order in TFDS' sort.

    TFDS sorts by key even where it does not shuffle, and cuts the 128 bits of its keys
    into 1000 buckets, each sorted in memory. Keys 0, 1, 2 ... would all fall into the
    first bucket, and all of COCO into memory.
    """
    return index * (2**128 // count)


def _summary(written: list[Picture], labels: AnnotationFile, left_out: list) -> dict:
    heads = [picture.head_count for picture in written]
    return {
        "pictures": len(written),
        "num_multi": sum(head > 1 for head in heads),
        "num_single": sum(head == 1 for head in heads),
        "without_keypoints": sum(not p.head_count for p in labels.pictures),
        "other_categories": labels.num_other,
        "left_out": left_out,
    }


def _download(dl_manager: Any) -> dict[str, Source]:
    """COCO 2017, read from its archives: TFDS unpacks by means of TensorFlow alone."""
    _log.warning(
        "Downloading COCO 2017: 20 GB of archives, and 20 GB more of prepared records."
    )
    archives = dl_manager.download(COCO_URLS)
    folders = {key: zipfile.Path(os.fspath(path)) for key, path in archives.items()}
    annotations = folders["annotations"] / "annotations"
    return {
        split: Source(
            annotations / f"person_keypoints_{split}2017.json",
            folders[split] / f"{split}2017",
        )
        for split in ("train", "val")
    }
