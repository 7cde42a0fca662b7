"""Divides a small COCO folder: to train on, to choose by, to score on.

    python -m experiments.coco_mini.splits --root=R --output=S \\
        --pictures=R/annotations/val2017_unseen_by_peers.txt

S is a folder in COCO's layout. Its train2017 is R's less a part held out; its val2017
is that part, by which a checkpoint may be chosen; annotations/test.json and test2017
are R's val2017, or the pictures of it that a list names, which nobody trains on or
chooses by. Pictures are links, so R has to stay where it is. splits.json counts.

Only pictures in which every mask is known are held out, as both scores need them, and
each head count has the share that it has in R's train2017. At most half of a head
count's pictures with all masks are held out: they are rare where people are many.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from experiments.coco_mini.folders import (
    annotations_of,
    fingerprint,
    link_pictures,
    made_whole,
    pictures_of,
    restricted,
    write_document,
)
from poseseg_jax import command
from poseseg_jax.coco.annotations import Picture, parse, read_document
from poseseg_jax.coco.crowding import PEOPLE_BUCKETS

TEST = "test.json"
SUMMARY = "splits.json"
_NOBODY = "people_0"
_BUCKETS = (_NOBODY, *PEOPLE_BUCKETS)
_SHOWN = 5  # ids that an error names


def divide(
    root: Path,
    output: Path,
    *,
    listed: Path | None = None,
    held_out: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """Writes S; the same arguments give the same folder.

    Args:
      root: R.
      output: S, new or empty.
      listed: a file with an image id of R's val2017 per line; None: all are for test.
      held_out: about how many pictures of R's train2017 to hold out.
      seed: which.

    Returns:
      What splits.json holds: pictures of each split by head count, and what was drawn.

    Raises:
      ValueError: for annotations that are broken, a list that names what is not there,
        a picture that is both to train on and to score on, or a folder in use.
    """
    documents = {s: read_document(annotations_of(root, s)) for s in ("train", "val")}
    labels = {
        split: parse(document, source=str(annotations_of(root, split))).pictures
        for split, document in documents.items()
    }
    chosen = choose(labels["train"], held_out, seed=seed)
    test = _read_list(listed, labels["val"]) if listed else None
    parts = {
        "train": [p for p in labels["train"] if p.image_id not in chosen],
        "val": [p for p in labels["train"] if p.image_id in chosen],
        "test": [p for p in labels["val"] if test is None or p.image_id in test],
    }
    _check_apart(root, labels)
    with made_whole(output) as half:
        for part, pictures in parts.items():
            source = "val" if part == "test" else "train"
            names = [picture.file_name for picture in pictures]
            link_pictures(names, pictures_of(root, source), pictures_of(half, part))
            ids = [picture.image_id for picture in pictures]
            is_test = part == "test"
            path = (
                half / "annotations" / TEST if is_test else annotations_of(half, part)
            )
            write_document(path, restricted(documents[source], ids))
        summary = {
            "seed": seed,
            "held_out": sorted(chosen),
            "pictures": {part: _counts(parts[part]) for part in parts},
        }
        (half / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def choose(pictures: Sequence[Picture], number: int, *, seed: int) -> set[int]:
    """Ids of the pictures to hold out; see the top of this file.

    It depends on ids, head counts, which masks are known, and the seed.

    Raises:
      ValueError: if the number leaves nobody to hold out or to train on.
    """
    everywhere = Counter(_bucket(picture) for picture in pictures)
    chosen: set[int] = set()
    for index, bucket in enumerate(_BUCKETS):
        here = [p for p in pictures if _bucket(p) == bucket and masks_are_known(p)]
        share = round(number * everywhere[bucket] / max(len(pictures), 1))
        ids = sorted(picture.image_id for picture in here)
        drawn = np.random.default_rng([seed, index]).permutation(ids)
        chosen |= set(drawn[: min(share, len(ids) // 2)].tolist())
    if not 0 < len(chosen) < len(pictures):
        known = sum(masks_are_known(picture) for picture in pictures)
        raise ValueError(
            f"--held_out={number} of {len(pictures)} pictures, {known} of them with "
            f"every mask, would hold out {len(chosen)}; expected some, and not all. "
            "Give another number, or more pictures."
        )
    return chosen


def masks_are_known(picture: Picture) -> bool:
    """Whether there is nobody in a picture whose pixels nobody knows."""
    return all(person.segmentation is not None for person in picture.people)


def _bucket(picture: Picture) -> str:
    for name, (low, high) in PEOPLE_BUCKETS.items():
        if low <= picture.head_count <= high:
            return name
    return _NOBODY


def _counts(pictures: Sequence[Picture]) -> dict[str, int]:
    found = Counter(_bucket(picture) for picture in pictures)
    return {"all": len(pictures)} | {bucket: found[bucket] for bucket in _BUCKETS}


def _read_list(path: Path, pictures: Sequence[Picture]) -> set[int]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    ids: set[int] = set()
    for number, line in enumerate(lines, start=1):
        word = line.strip()
        if not word:
            continue
        if not word.isdecimal() or int(word) in ids:
            what = "is there twice" if word.isdecimal() else "is no image id"
            raise ValueError(
                f"{path}: line {number}: {word!r} {what}; expected an id per line"
            )
        ids.add(int(word))
    unknown = sorted(ids - {picture.image_id for picture in pictures})
    if unknown or not ids:
        shown = f"{len(unknown)} that val2017 lacks, as {unknown[:_SHOWN]}"
        raise ValueError(
            f"{path}: lists {shown if ids else 'nothing'}; expected ids of pictures in "
            "val2017"
        )
    return ids


def _check_apart(root: Path, labels: Mapping[str, Sequence[Picture]]) -> None:
    """Refuses a test of what is trained on: the same id, or the same picture."""
    train, test = ({p.image_id for p in labels[split]} for split in ("train", "val"))
    if both := sorted(train & test):
        raise ValueError(
            f"{root}: {len(both)} image ids are in train2017 and in val2017, as "
            f"{both[:_SHOWN]}; expected ids of one or of the other"
        )
    of_train = {
        fingerprint(pictures_of(root, "train") / picture.file_name): picture.image_id
        for picture in labels["train"]
    }
    for picture in labels["val"]:
        path = pictures_of(root, "val") / picture.file_name
        if (twin := of_train.get(fingerprint(path))) is not None:
            raise ValueError(
                f"{path} (image id {picture.image_id}): the same picture as image id "
                f"{twin} of train2017; expected pictures of one or of the other"
            )


def _as_text(summary: dict[str, Any]) -> str:
    lines = []
    for part, counts in summary["pictures"].items():
        heads = ", ".join(
            f"{count} {name.replace('_', ' ')}"
            for name, count in counts.items()
            if name != "all"
        )
        lines.append(f"{part}: {counts['all']} pictures ({heads})")
    return "\n".join(lines)


def _main(_) -> None:
    given = flags.FLAGS
    summary = divide(
        Path(given.root),
        Path(given.output),
        listed=Path(given.pictures) if given.pictures else None,
        held_out=given.held_out,
        seed=given.seed,
    )
    print(_as_text(summary))


if __name__ == "__main__":
    flags.DEFINE_string("root", None, "R, in COCO's layout.", required=True)
    flags.DEFINE_string("output", None, "S, a new folder.", required=True)
    flags.DEFINE_string(
        "pictures",
        None,
        "A file with an image id of R's val2017 per line, to test on these alone; "
        "default: all.",
    )
    flags.DEFINE_integer(
        "held_out", 200, "About how many pictures to choose by.", lower_bound=1
    )
    flags.DEFINE_integer("seed", 0, "Which these are.", lower_bound=0)
    command.run(_main)
