"""Which data the settings name: of a folder, file by file, drawn, or downloaded."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorflow_datasets.core import constants

from poseseg_jax.data import sources
from poseseg_jax.data.coco_persons.coco_persons_dataset_builder import (
    CocoPersonsConfig,
)
from poseseg_jax.data.settings import DataSettings

_log = logging.getLogger(__name__)


def builder_config(settings: DataSettings) -> CocoPersonsConfig:
    """What to prepare, from where, and under which name.

    Raises:
      ValueError: without any source of data, for half of one, and for a folder of
        another layout.
    """
    names = ("order_seed", "head_count", "on_error")
    how: dict[str, Any] = {name: getattr(settings, name) for name in names}
    given = {
        "train": {
            "annotations": settings.train_annotations,
            "images": settings.train_images,
        },
        "val": {
            "annotations": settings.val_annotations,
            "images": settings.val_images,
        },
    }
    root = _root(settings, given)
    if root is None and settings.download and not _given(given):
        name = sources.identity("coco2017", [], how)
        return CocoPersonsConfig(name=name, **how)
    found = {split: sources.find(split, root=root, **given[split]) for split in given}
    if found["train"].annotations == found["val"].annotations:
        _log.warning(
            "%s is both train and val: what it scores says nothing of other pictures",
            found["val"].annotations,
        )
    label = found["val"].annotations.name.split(".")[0]
    if root is not None:
        label = Path(settings.root).expanduser().resolve().name
    name = sources.identity(label, found.values(), how)
    return CocoPersonsConfig(name=name, **found, **how)


def _root(
    settings: DataSettings, given: Mapping[str, Mapping[str, str]]
) -> Path | None:
    """The folder in COCO's layout; None where none is needed.

    Raises:
      ValueError: where one is needed and there is none.
    """
    missing = [
        f"data.{split}_{what}"
        for split in given
        for what in given[split]
        if not given[split][what]
    ]
    if not missing:
        return None
    if settings.root == sources.EMBEDDED:
        return sources.draw(
            prepared_dir(settings.prepared_dir),
            num_train=settings.embedded_train,
            num_val=settings.embedded_val,
        )
    if settings.root:
        return Path(settings.root).expanduser()
    if _given(given):
        raise ValueError(
            f"Half of the data: {', '.join(missing)} not given, and no data.root with "
            "COCO's layout to take the rest from. Each split needs annotations and "
            "images. To score a trained network on one split alone:\n"
            "  python -m poseseg_jax.evaluate --workdir=W --annotations=J --images=DIR"
        )
    if settings.download:
        return None
    raise ValueError(
        "There are no data. Give one of\n"
        f"  --config.data.root=DIR       a folder with {sources.LAYOUT}\n"
        "  --config.data.train_annotations=J --config.data.train_images=DIR and the "
        "same for val: any COCO-keypoint files\n"
        "  --config.data.download=True  to fetch COCO 2017, 20 GB\n"
        "  --config=CONFIG.py:tiny      the preset that draws its own people"
    )


def _given(given: Mapping[str, Mapping[str, str]]) -> bool:
    return any(path for paths in given.values() for path in paths.values())


def prepared_dir(given: str) -> Path:
    """The folder of all prepared sets; without a name, where TFDS keeps them."""
    return Path(given or constants.DATA_DIR).expanduser().absolute()
