"""COCO 2017 from the web: what it needs, where it goes, and that it is what it is."""

import logging
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorflow_datasets.core.download.checksums import compute_url_info
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

from poseseg_jax.coco.annotations import AnyPath
from poseseg_jax.data.fetch import fetch, remaining, set_aside
from poseseg_jax.data.progress import gigabytes

_log = logging.getLogger(__name__)

URLS = {
    "annotations": (
        "http://images.cocodataset.org/annotations/annotations_trainval2017.zip"
    ),
    "train": "http://images.cocodataset.org/zips/train2017.zip",
    "val": "http://images.cocodataset.org/zips/val2017.zip",
}
# Prepared records per byte of the archives: pictures with labelled people, as they are,
# and their people maps. Rounded up.
_PREPARED = 0.6


def download(
    dl_manager: Any, infos: Mapping[str, Any]
) -> dict[str, tuple[AnyPath, AnyPath]]:
    """Annotation file and picture folder of each split, inside of the archives.

    TFDS' downloader cannot go on with a part of a file, but takes and checks whole ones
    that lie in its `manual` folder. So the archives are fetched into that. They are
    read as they are: TFDS unpacks by means of TensorFlow alone.

    Args:
      dl_manager: TFDS' download manager.
      infos: TFDS' size, SHA-256 and file name by URL, as in checksums.tsv.

    Raises:
      ValueError: if there is too little room, or an archive cannot be had or is not
        what it should be. What was downloaded is kept for the next time.
    """
    folder = Path(os.fspath(dl_manager.download_dir)) / "manual"
    folder.mkdir(parents=True, exist_ok=True)
    archives = {key: infos[url] for key, url in URLS.items()}
    _announce(folder, archives)
    for key, info in archives.items():
        fetch(URLS[key], folder / info.filename, size=int(info.size))
    _log.info("Checking the archives' SHA-256")
    folders = {
        key: zipfile.Path(_checked(dl_manager, URLS[key], folder / info.filename, info))
        for key, info in archives.items()
    }
    annotations = folders["annotations"] / "annotations"
    return {
        split: (
            annotations / f"person_keypoints_{split}2017.json",
            folders[split] / f"{split}2017",
        )
        for split in ("train", "val")
    }


def _announce(folder: Path, archives: Mapping[str, Any]) -> None:
    sizes = {info.filename: int(info.size) for info in archives.values()}
    whole = sum(sizes.values())
    to_come = sum(remaining(folder / name, size) for name, size in sizes.items())
    prepared = int(_PREPARED * whole)
    free = shutil.disk_usage(folder).free
    if free < to_come + prepared:
        raise ValueError(
            f"{folder}: {gigabytes(to_come)} are needed for COCO 2017's archives and "
            f"{gigabytes(prepared)} for the prepared records; {gigabytes(free)} are "
            "free. Make room, or name another place with --config.data.prepared_dir=DIR"
        )
    _log.info(
        "COCO 2017: downloading %s of %s into %s; %s more for the prepared records "
        "(%s are free). It can be stopped and goes on. Archives that you have may be "
        "put there yourself: %s",
        gigabytes(to_come),
        gigabytes(whole),
        folder,
        gigabytes(prepared),
        gigabytes(free),
        ", ".join(sizes),
    )


def _checked(dl_manager: Any, url: str, path: Path, info: Any) -> str:
    try:
        return os.fspath(dl_manager.download(url))
    except NonMatchingChecksumError as error:
        found = compute_url_info(path)
        aside = set_aside(path, "its checksum is wrong")
        raise ValueError(
            f"{path} (now {aside.name}): its SHA-256 is {found.checksum}; expected "
            f"{info.checksum}. The same command downloads it anew."
        ) from error
