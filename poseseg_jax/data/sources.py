"""Where the data come from: found in a folder, given file by file, or drawn.

Every source ends up as an annotation file and a folder of pictures for each split, so
that one builder reads them all. COCO 2017, downloaded, is the builder's own source.
"""

import gzip
import hashlib
import json
import logging
import re
import shutil
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

from poseseg_jax.data import synthetic
from poseseg_jax.data.coco_persons.coco_persons_dataset_builder import Source
from poseseg_jax.data.locked import alone

_log = logging.getLogger(__name__)

SPLITS = ("train", "val")
EMBEDDED = "embedded"
_EMBEDDED_SEED = 0
# In the order in which they are looked for; the second are COCOPersons'.
_STEMS = ("person_keypoints_{}2017", "person_keypoints_{}2017_pose2seg")
_SUFFIXES = (".json", ".json.gz")
LAYOUT = (
    "annotations/person_keypoints_train2017.json and "
    "annotations/person_keypoints_val2017.json (or .json.gz, or COCOPersons' "
    "..._pose2seg.json), with the pictures in train2017/ and val2017/"
)
_SHOWN = 8  # entries of a folder that an error names
_LOOKED_AT = 1000  # pictures whose file sizes tell one folder from another
_FILE_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')


def find(
    split: str, *, root: Path | None, annotations: str = "", images: str = ""
) -> Source:
    """The annotation file and the pictures of a split.

    Args:
      split: "train" or "val".
      root: a folder in COCO's layout; None if the other two are given.
      annotations, images: what to take instead of what the layout says; "": nothing.

    Raises:
      ValueError: naming what is not there, and what was found or expected.
    """
    if annotations:
        file = Path(annotations).expanduser()
        if not file.is_file():
            raise ValueError(f"data.{split}_annotations: there is no file {file}")
    else:
        assert root is not None, "the caller checks that nothing is missing"
        file = _annotations_in(root, split)
    if images:
        folder = Path(images).expanduser()
        if not folder.is_dir():
            raise ValueError(f"data.{split}_images: there is no folder {folder}")
    else:
        assert root is not None, "the caller checks that nothing is missing"
        folder = root / f"{split}2017"
        if not folder.is_dir():
            raise _other_layout(root, split, folder, "images")
    return Source(file, folder)


def is_cocopersons(annotations: PurePath) -> bool:
    """Whether a file is called as COCOPersons' are, from which small persons lack."""
    return "pose2seg" in annotations.name


def draw(cache: Path, *, num_train: int, num_val: int) -> Path:
    """The embedded data set's folder below `cache`, drawn if it is not there yet."""
    numbers = {"num_train": num_train, "num_val": num_val, "seed": _EMBEDDED_SEED}
    # The drawing code is part of the name: another drawing is another data set.
    code = Path(synthetic.__file__)
    files = [code, *sorted(code.with_name("drawing").glob("*.py"))]
    digest = hashlib.sha256(repr(numbers).encode())
    for file in files:
        digest.update(file.read_bytes())
    root = cache / EMBEDDED / digest.hexdigest()[:12]
    if root.is_dir():
        return root
    with alone(cache / f".{EMBEDDED}.lock") as is_alone:
        if is_alone:  # then nobody else is drawing, and what is half drawn is left over
            for half in root.parent.glob(f".{root.name}-*"):
                shutil.rmtree(half, ignore_errors=True)
        if not root.is_dir():
            _log.info("Drawing %s into %s", numbers, root)
            try:
                synthetic.draw(root, **numbers)
            except OSError:  # without locks, another process may have been faster
                if not root.is_dir():
                    raise
    return root


def identity(label: str, sources: Iterable[Source], how: Mapping[str, Any]) -> str:
    """A name for what is prepared: readable, and another one for another content.

    Content is, of each split, every byte of the annotation file and the sizes of up to
    1,000 of the picture files that it names, evenly spread. So another folder of
    pictures is noticed wherever it lies, and one that was moved under the same name is
    the same: the label is made of a name. All sizes would cost a `stat` for each of
    COCO's 118,000 pictures whenever a run starts, which takes minutes on some network
    file systems.

    Args:
      label: what to begin with.
      sources: of each split.
      how: it is prepared: the builder's settings that are not sources.
    """
    digest = hashlib.sha256(repr(dict(how)).encode())
    for source in sources:
        data = Path(str(source.annotations)).read_bytes()
        digest.update(hashlib.sha256(data).digest())
        digest.update(repr(_some_sizes(data, Path(str(source.images)))).encode())
    readable = re.sub(r"[^A-Za-z0-9_]+", "_", label).strip("_")[:40] or "data"
    return f"{readable}-{digest.hexdigest()[:12]}"


def _candidates(root: Path, split: str) -> list[Path]:
    names = (stem.format(split) + suffix for stem in _STEMS for suffix in _SUFFIXES)
    return [path for n in names if (path := root / "annotations" / n).is_file()]


def _annotations_in(root: Path, split: str) -> Path:
    found = _candidates(root, split)
    if not found:
        stem = root / "annotations" / f"person_keypoints_{split}2017.json"
        raise _other_layout(root, split, stem, "annotations")
    others = [path.name for path in found if is_cocopersons(path)]
    if others and not is_cocopersons(found[0]):
        _log.info(
            "%s is used, not COCOPersons' %s beside it; for those, "
            "--config.data.%s_annotations=%s",
            found[0],
            others[0],
            split,
            found[0].with_name(others[0]),
        )
    elif others:
        _log.info("%s holds COCOPersons' annotations: %s", root, others[0])
    return found[0]


def _other_layout(root: Path, split: str, missing: Path, what: str) -> ValueError:
    holds = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    if not root.is_dir():
        found = "There is no such folder"
    elif not holds:
        found = "It is empty"
    else:
        more = f" and {len(holds) - _SHOWN} more" if len(holds) > _SHOWN else ""
        found = f"It holds {', '.join(holds[:_SHOWN])}{more}"
    message = (
        f"{root}: there is no {missing}; expected {LAYOUT}. {found}. What lies "
        f"elsewhere can be given by itself: --config.data.{split}_{what}=PATH"
    )
    (other,) = (one for one in SPLITS if one != split)
    if not _candidates(root, split) and _candidates(root, other):
        message += (
            f". Only {other} is there: training takes both, but to score a trained "
            "network one will do:\n  python -m poseseg_jax.evaluate --workdir=W "
            f"--annotations={_candidates(root, other)[0]} --images={root}/{other}2017"
        )
    return ValueError(message)


def _some_sizes(data: bytes, images: Path) -> list[int | None]:
    """Sizes of up to 1,000 picture files, None for those that are not there.

    Their names are picked out of the JSON without parsing it, which would take seconds.
    """
    if data.startswith(b"\x1f\x8b"):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            return []  # cut off; the builder will say so
    names = _FILE_NAME.findall(data)
    step = -(-len(names) // _LOOKED_AT) or 1
    return [_size(images, name) for name in names[::step]]


def _size(images: Path, name: bytes) -> Any:
    try:
        return (images / json.loads(name)).stat().st_size
    except (OSError, ValueError):
        return None
