"""Makes crowds: pastes people with known masks onto other training pictures.

    python -m experiments.coco_mini.paste --root=S --output=P [--number=2000]

S is a folder as of `experiments.coco_mini.splits`. P is S with so many more pictures to
train on, with 2 to 13 people in each as far as they find a place, or one more than the
background had; the pictures of S are links. Both
backgrounds and people come from S's train2017 alone, never from what is held out, and
backgrounds are pictures in which every mask is known. What becomes of those behind is
said in scenes.py, who is pasted and where in casting.py. paste.json counts.
"""

import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from absl import flags

from experiments.coco_mini import stage
from experiments.coco_mini.folders import (
    SPLITS,
    annotations_of,
    link_pictures,
    made_whole,
    pictures_of,
    write_document,
)
from experiments.coco_mini.stage import Made
from poseseg_jax import command
from poseseg_jax.coco.annotations import read_document

_log = logging.getLogger("experiments.coco_mini.paste")  # not __main__

SUMMARY = "paste.json"
# Fewer than the pictures of which they are made: nearly a thousand people are seen in
# them again and again.
NUMBER = 2000
FEWEST, MOST = 2, 13
_ROUND = 10**6  # ids of what is new begin at a multiple


def enlarge(
    root: Path,
    output: Path,
    *,
    number: int,
    fewest: int = FEWEST,
    most: int = MOST,
    seed: int = 0,
    jobs: int = 1,
) -> dict[str, Any]:
    """Writes P; the same arguments give the same folder, whatever `jobs` is.

    Args:
      root: S.
      output: P, new or empty.
      number: pictures to make.
      fewest, most: people in each, before some are hidden. A background that has as
        many gets one more.
      seed: of all that is drawn.
      jobs: processes.

    Returns:
      What paste.json holds.

    Raises:
      ValueError: for broken annotations or pictures, without anybody to paste, or for a
        folder in use.
    """
    scenery = stage.set_stage(root, fewest=fewest, most=most, seed=seed)
    documents = {split: read_document(annotations_of(root, split)) for split in SPLITS}
    people, places = len(scenery.donors), len(scenery.backgrounds)
    _log.info("Pasting some of %d people onto %d backgrounds.", people, places)
    with made_whole(output) as half:
        for split, document in documents.items():
            names = [image["file_name"] for image in document["images"]]
            link_pictures(names, pictures_of(root, split), pictures_of(half, split))
        made = _write(
            stage.make_all(scenery, number, jobs=jobs),
            documents,
            pictures_of(half, "train"),
        )
        for split, document in documents.items():
            write_document(annotations_of(half, split), document)
        summary = {"seed": seed, "fewest": fewest, "most": most} | {
            "pictures": {s: len(documents[s]["images"]) for s in SPLITS},
            "backgrounds": places,
            "donors": people,
            **made,
        }
        (half / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def _write(
    pictures: Iterable[Made], documents: Mapping[str, dict], folder: Path
) -> dict[str, Any]:
    """Writes pictures, adds them to the train document, and counts."""
    image_id, annotation_id = (
        _first_free(documents, k) for k in ("images", "annotations")
    )
    heads: Counter[int] = Counter()
    hidden = 0
    document = documents["train"]
    for made in pictures:
        name = f"pasted_{image_id:012d}.jpg"
        (folder / name).write_bytes(made.data)
        height, width = made.size
        document["images"].append(
            {"id": image_id, "file_name": name, "height": height, "width": width}
            # Whose pictures it is made of: their licences hold for it.
            | {"background": made.background, "people_from": made.donors}
        )
        for entry in made.annotations:
            ids = {"id": annotation_id, "image_id": image_id}
            document["annotations"].append({**entry, **ids})
            annotation_id += 1
        people = [entry for entry in made.annotations if not entry.get("iscrowd")]
        heads[sum(entry["num_keypoints"] > 0 for entry in people)] += 1
        hidden += sum(v == 1 for e in people for v in e["keypoints"][2::3])
        image_id += 1
    return {
        "made": sum(heads.values()),
        "made_with_heads": {str(count): heads[count] for count in sorted(heads)},
        "hidden_keypoints": hidden,
    }


def _first_free(documents: Mapping[str, dict], key: str) -> int:
    used = [entry["id"] for document in documents.values() for entry in document[key]]
    return (max(used, default=0) // _ROUND + 1) * _ROUND


def _main(_) -> None:
    given = flags.FLAGS
    summary = enlarge(
        Path(given.root),
        Path(given.output),
        number=given.number,
        fewest=given.fewest,
        most=given.most,
        seed=given.seed,
        jobs=given.jobs,
    )
    print(
        f"{summary['made']} pictures made of {summary['backgrounds']} backgrounds and "
        f"{summary['donors']} people, with so many people who have keypoints:"
    )
    print(", ".join(f"{n}: {c}" for n, c in summary["made_with_heads"].items()))


if __name__ == "__main__":
    flags.DEFINE_string("root", None, "S, of splits.", required=True)
    flags.DEFINE_string("output", None, "P, a new folder.", required=True)
    flags.DEFINE_integer("number", NUMBER, "Pictures to make.", lower_bound=0)
    flags.DEFINE_integer("fewest", FEWEST, "People in a picture, if they find a place.")
    flags.DEFINE_integer(
        "most", MOST, "At most, but for a background that has as many: one more."
    )
    flags.DEFINE_integer("seed", 0, "Of all that is drawn.", lower_bound=0)
    flags.DEFINE_integer(
        "jobs", os.cpu_count(), "Processes; default: one a core.", lower_bound=1
    )
    command.run(_main)
