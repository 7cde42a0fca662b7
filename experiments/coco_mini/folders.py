"""Folders in COCO's layout: where what lies, and how one is made, whole or not."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SPLITS = ("train", "val")


def annotations_of(root: Path, split: str) -> Path:
    """The annotation file of "train" or "val"."""
    return root / "annotations" / f"person_keypoints_{split}2017.json"


def pictures_of(root: Path, split: str) -> Path:
    """The folder with the pictures of a split."""
    return root / f"{split}2017"


@contextmanager
def made_whole(output: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `output` if nothing goes wrong.

    Raises:
      ValueError: if `output` has something in it.
    """
    if output.exists() and any(output.iterdir()):
        raise ValueError(
            f"{output} is not empty. Give a new folder, or remove it first."
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        yield half
        half.chmod(0o755)
        half.replace(output)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise


def write_document(path: Path, document: dict[str, Any]) -> None:
    """Writes an annotation file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, separators=(",", ":")))


def restricted(document: dict[str, Any], image_ids: Iterable[int]) -> dict[str, Any]:
    """An annotation file's content with these pictures and their people alone."""
    kept = set(image_ids)
    return {
        **document,
        "images": [one for one in document["images"] if one["id"] in kept],
        "annotations": [a for a in document["annotations"] if a["image_id"] in kept],
    }


def link_pictures(names: Iterable[str], source: Path, target: Path) -> None:
    """Makes a folder of symbolic links to pictures, which lead to the files themselves.

    Raises:
      ValueError: naming a picture that is not there.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        path = source / name
        if not path.is_file():
            raise ValueError(f"{path}: no such picture, but the annotations name it")
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).symlink_to(path.resolve())


def fingerprint(path: Path) -> str:
    """The same for two files with the same bytes, and for no others.

    Raises:
      ValueError: if it cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ValueError(
            f"{path}: cannot be read ({error.strerror}), but the annotations name it"
        ) from None
