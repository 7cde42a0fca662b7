"""One picture and its people as they are stored: the fields, and how they are made."""

from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from poseseg_jax.coco.annotations import READ_ERRORS, AnyPath, Picture, people_map
from poseseg_jax.data.decoding import decode_image
from poseseg_jax.data.run_lengths import encode_runs
from poseseg_jax.skeleton import NUM_KEYPOINTS


def features() -> Any:
    """What TFDS has to know of a record's fields."""
    # Bytes, not tfds.features.Image: reading is a copy, decoding is the loader's.
    data = {"shape": (), "dtype": np.object_}
    kinds = tfds.features
    return kinds.FeaturesDict(
        {
            "image": kinds.Tensor(**data, doc="The picture's file"),
            "people": kinds.Tensor(**data, doc="Run lengths: whose is each pixel"),
            "image_id": kinds.Scalar(np.int64),
            "file_name": kinds.Text(),
            "size": kinds.Tensor(shape=(2,), dtype=np.int32, doc="(height, width)"),
            "keypoints": _rows(NUM_KEYPOINTS, 2, doc="(x, y)"),
            "visibility": _rows(NUM_KEYPOINTS, dtype=np.uint8),
            "box": _rows(4, doc="(x0, y0, x1, y1), outer edges"),
            "area": _rows(doc="px^2"),
            "has_mask": _rows(dtype=np.bool_),
            "annotation_id": _rows(dtype=np.int64),
        }
    )


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
        "people": encode_runs(people_map(picture)),
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
