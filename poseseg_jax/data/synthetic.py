"""Draws the embedded data: a COCO folder of people who were never photographed.

    python -m poseseg_jax.data.synthetic --output=DIR

writes what `draw` writes: annotations/person_keypoints_{train,val}2017.json,
train2017/*.jpg and val2017/*.jpg. Nothing downstream knows the difference from COCO.
"""

import json
import logging
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
from absl import flags

from poseseg_jax import command
from poseseg_jax.data.drawing.labels import annotate_all
from poseseg_jax.data.drawing.scenes import draw_scene
from poseseg_jax.skeleton import KEYPOINT_NAMES, LIMBS

_log = logging.getLogger("poseseg_jax.data.synthetic")  # not __main__

# Percent of COCO train2017's pictures with 1 ... 13 people with labelled keypoints.
HEAD_COUNTS = (47.8, 19.3, 10.1, 6.5, 4.2, 3.1, 2.3, 1.8, 1.4, 1.2, 1.0, 0.8, 0.5)
_DESERTED = 0.02  # share of pictures without anybody who has labelled keypoints
_SPLITS = ("train", "val")
_FIRST_ID = {"train": 1, "val": 500_001}


def draw(root: Path, *, num_train: int, num_val: int, seed: int) -> None:
    """Writes the folder, whole or not at all; the same seed gives the same bytes.

    Args:
      root: the folder to make; it must not exist, or be empty.
      num_train: pictures in train2017.
      num_val: pictures in val2017.
      seed: picture i of a split depends on the seed, the split and i alone.

    Raises:
      ValueError: if a number is not positive or the folder has something in it.
    """
    if num_train < 1 or num_val < 1:
        raise ValueError(
            f"Each split needs at least one picture; got num_train={num_train} and "
            f"num_val={num_val}."
        )
    if root.exists() and any(root.iterdir()):
        raise ValueError(f"{root} is not empty. Give a new folder, or remove it first.")
    root.parent.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        (half / "annotations").mkdir()
        for split, number in zip(_SPLITS, (num_train, num_val), strict=True):
            _draw_split(half, split, number, seed)
        half.chmod(0o755)
        half.replace(root)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise


def draw_head_count(rng: np.random.Generator) -> int:
    """How many people with labelled keypoints a picture shows, as in COCO; a few: 0."""
    if rng.random() < _DESERTED:
        return 0
    shares = np.array(HEAD_COUNTS)
    return 1 + int(rng.choice(len(shares), p=shares / shares.sum()))


def _draw_split(root: Path, split: str, number: int, seed: int) -> None:
    folder = root / f"{split}2017"
    folder.mkdir()
    _log.info("Drawing %d pictures for %s.", number, split)
    images, annotations = [], []
    for index in range(number):
        rng = np.random.default_rng([seed, _SPLITS.index(split), index])
        scene = draw_scene(rng, draw_head_count(rng))
        image_id = _FIRST_ID[split] + index
        name = f"{image_id:012d}.jpg"
        height, width = scene.image.shape[:2]
        images.append(
            {
                "id": image_id,
                "file_name": name,
                "height": height,
                "width": width,
                "license": 1,
            }
        )
        annotations += annotate_all(scene.people, image_id=image_id)
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(65, 96))]
        bgr = cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR)
        (folder / name).write_bytes(cv2.imencode(".jpg", bgr, quality)[1].tobytes())
    labels = {**_preamble(seed), "images": images, "annotations": annotations}
    path = root / "annotations" / f"person_keypoints_{split}2017.json"
    path.write_text(json.dumps(labels, separators=(",", ":")))


def _preamble(seed: int) -> dict:
    return {
        "info": {
            "description": f"Drawn people, seed {seed}",
            "version": "1.0",
            "year": 2017,
            "contributor": "poseseg_jax",
            "url": "",
            "date_created": "",
        },
        "licenses": [{"id": 1, "name": "Apache License 2.0", "url": ""}],
        "categories": [
            {
                "id": 1,
                "name": "person",
                "supercategory": "person",
                "keypoints": list(KEYPOINT_NAMES),
                "skeleton": (LIMBS + 1).tolist(),
            }
        ],
    }


def _main(_) -> None:
    args = flags.FLAGS
    numbers = {"num_train": args.num_train, "num_val": args.num_val}
    draw(Path(args.output), **numbers, seed=args.seed)
    print(f"Drew {args.num_train} + {args.num_val} pictures into {args.output}")


if __name__ == "__main__":
    flags.DEFINE_string("output", None, "The folder to make.", required=True)
    flags.DEFINE_integer("num_train", 3000, "Pictures in train2017.", lower_bound=1)
    flags.DEFINE_integer("num_val", 200, "Pictures in val2017.", lower_bound=1)
    flags.DEFINE_integer(
        "seed", 0, "The same seed draws the same bytes.", lower_bound=0
    )
    command.run(_main)
