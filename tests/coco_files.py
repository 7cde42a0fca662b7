"""Small COCO files and folders, written by hand, for the tests of what reads them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def real_data(name: str) -> Path:
    """A folder or file of real data beside the repository, or the test is skipped."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"there are no real data at {path}")
    return path


def image(image_id: int, *, height: int = 48, width: int = 64) -> dict:
    name = f"{image_id:012d}.png"
    return {"id": image_id, "file_name": name, "height": height, "width": width}


def person(
    annotation_id: int,
    image_id: int,
    *,
    box: tuple[float, ...] = (10, 10, 20, 30),
    labelled: int = 17,
    **changes: object,
) -> dict:
    """A person whose mask is the box and whose first `labelled` keypoints lie in it."""
    x, y, width, height = box
    keypoints: list[float] = []
    for index in range(17):
        place = x + (index % 4) * width / 5 + 1, y + (index // 4) * height / 6 + 1
        keypoints += [*place, 2] if index < labelled else [0, 0, 0]
    right, bottom = x + width, y + height
    return {
        "id": annotation_id,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": list(box),
        "area": width * height,
        "segmentation": [[x, y, right, y, right, bottom, x, bottom]],
        "num_keypoints": labelled,
        "keypoints": keypoints,
        **changes,
    }


def document(images: list[dict], annotations: list[dict]) -> dict:
    category = {"id": 1, "name": "person"}
    return {"images": images, "annotations": annotations, "categories": [category]}


def write_json(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_folder(root: Path, splits: dict[str, dict]) -> Path:
    """COCO's layout, with a picture of its own grey for each image of each split."""
    for split, content in splits.items():
        write_json(root / "annotations" / f"person_keypoints_{split}2017.json", content)
        folder = root / f"{split}2017"
        folder.mkdir(parents=True, exist_ok=True)
        for entry in content["images"]:
            shape = (entry["height"], entry["width"], 3)
            pixels = np.full(shape, entry["id"] % 256, np.uint8)
            assert cv2.imwrite(str(folder / entry["file_name"]), pixels)
    return root
