"""A bias reduction as files: each iteration as COCO JSON, a summary, two charts.

What they hold depends on the annotations, the seed and the reductions, not on the order
of the entries: pictures come by id, and annotations by picture and id, one to a line.
A file gets its name when it is whole, and summary.json comes last.
"""

import hashlib
import itertools
import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poseseg_jax.charts import bias as charts
from poseseg_jax.coco.annotations import parse, read_document
from poseseg_jax.data import iteration_report as report
from poseseg_jax.data.bias import HEAD_COUNTS, count_heads
from poseseg_jax.data.iterations import Iteration, plan, sampling_weights
from poseseg_jax.disk import UNFINISHED, beside

_log = logging.getLogger(__name__)

SUMMARY = "summary.json"  # the last to be written
_OTHERS = (SUMMARY, "summary.md", "head_counts.png", "bias_reduction.png")
_ITERATION = re.compile(r"(bias|random|reweight)\d+\.json")
_encoder = json.JSONEncoder(separators=(",", ":"))


@dataclass(frozen=True, eq=False)
class Entries:
    """The entries of a COCO file as text: serialised once, joined for every iteration.

    Attributes:
      frame: the file's keys in their order, with the text of all but the two below.
      images: by image id.
      annotations: those of each picture, by image id.
    """

    frame: dict[str, bytes]
    images: dict[int, bytes]
    annotations: dict[int, list[bytes]]

    def file_of(self, image_ids: Sequence[int]) -> Iterator[bytes]:
        """A COCO file of these pictures and all their annotations, piece by piece."""
        lists = {
            "images": (self.images[i] for i in image_ids),
            "annotations": itertools.chain.from_iterable(
                self.annotations[i] for i in image_ids
            ),
        }
        before = b"{"
        for key, text in self.frame.items():
            yield before + _encode(key) + b":"
            yield from _list(lists[key]) if key in lists else [text]
            before = b",\n"
        yield b"}\n"


def write_all(
    annotations: Path,
    output: Path,
    *,
    reductions: Sequence[int],
    seed: int = 0,
    count: str = HEAD_COUNTS[0],
    controls: bool = False,
    on_error: str = "raise",
) -> dict[str, Any]:
    """Writes the iterations of a COCO-keypoint file, and says what they are.

    Args:
      annotations: the file, `.json` or `.json.gz`.
      output: a folder; it is made. Files of the same names are replaced, and the others
        that an earlier summary.json there lists are removed.
      reductions: percent of the single-person pictures that an iteration removes.
      seed: of the order in which they are removed; data.order_seed of a training.
      count: who counts as a head, one of bias.HEAD_COUNTS.
      controls: whether to write random*.json and reweight*.json, too.
      on_error: of broken entries: "raise", or "skip": their picture is in no iteration
        and is listed in the summary.

    Returns:
      What summary.json holds; see iteration_report.py.

    Raises:
      ValueError: for a file that cannot be used, or a reduction that leaves nothing.
      OSError: if something cannot be written.
    """
    heads, left_out, entries = _read(annotations, count, on_error)
    whole, *removal = plan(heads, seed=seed, reductions=reductions)
    random: list[Iteration] = []
    if controls:
        _, *random = plan(heads, seed=seed, reductions=reductions, reduced_by="random")
    names = [*_OTHERS, *(_file_of(iteration) for iteration in (*removal, *random))]
    names += [_weights_of(iteration) for iteration in removal if controls]
    _make_room(annotations, output, names)
    summary = {
        "source": str(annotations),
        "source_sha256": _checksum(annotations),
        "seed": seed,
        "count": count,
        "without_heads": sum(not number for number in heads.values()),
        "left_out": left_out,
        "whole": report.describe(whole),
        "iterations": [_write_iteration(output, i, entries) for i in removal],
        "random": [_write_iteration(output, i, entries) for i in random],
        "reweight": [_write_weights(output, i, heads) for i in removal if controls],
    }
    _write_report(output, summary)
    return summary


def serialise(document: dict, image_ids: Iterable[int]) -> Entries:
    """The entries of these pictures as text.

    Args:
      document: as `read_document` returns it.
      image_ids: of pictures in which `parse` found no problem.
    """
    images = dict.fromkeys(image_ids, b"")
    for entry in document["images"]:
        if _value(entry, "id") in images:
            images[entry["id"]] = _encode(entry)
    people: dict[int, list[dict]] = {image_id: [] for image_id in images}
    for entry in document["annotations"]:
        if _value(entry, "image_id") in people:
            people[entry["image_id"]].append(entry)
    return Entries(
        frame={
            key: b"" if key in ("images", "annotations") else _encode(value)
            for key, value in document.items()
        },
        images=images,
        annotations={
            image_id: [_encode(entry) for entry in sorted(group, key=_annotation_id)]
            for image_id, group in people.items()
        },
    )


def write(path: Path, pieces: Iterable[bytes]) -> str:
    """Writes a file as `disk.write_whole` does; returns its SHA-256."""
    digest = hashlib.sha256()
    with beside(path) as unfinished, unfinished.open("wb") as file:
        for piece in pieces:
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def _read(
    annotations: Path, count: str, on_error: str
) -> tuple[dict[int, int], list[dict[str, Any]], Entries]:
    """Heads by image id, problems, and the entries of pictures with heads."""
    document = read_document(annotations)
    labels = parse(document, source=str(annotations), on_error=on_error)
    heads = count_heads(labels.pictures, count=count)
    left_out = [
        {"image_id": problem.image_id, "reason": problem.message}
        for problem in labels.problems
    ]
    entries = serialise(document, (i for i, number in heads.items() if number))
    return heads, left_out, entries


def _encode(value: object) -> bytes:
    return _encoder.encode(value).encode()


def _value(entry: object, key: str) -> int | None:
    """An id, or None where broken entries have something else."""
    value = entry.get(key) if isinstance(entry, dict) else None
    return value if type(value) is int else None


def _annotation_id(entry: dict) -> int:
    return entry["id"]


def _list(entries: Iterable[bytes]) -> Iterator[bytes]:
    before = b"[\n"
    for entry in entries:
        yield before + entry
        before = b",\n"
    yield b"[]" if before == b"[\n" else b"\n]"


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file_of(iteration: Iteration) -> str:
    return f"{iteration.name}.json"


def _weights_of(iteration: Iteration) -> str:
    return f"reweight{iteration.reduction}.json"


def _make_room(annotations: Path, output: Path, names: Sequence[str]) -> None:
    """Makes the folder, and removes what the files `names` will not replace.

    Raises:
      ValueError: if the annotation file itself would be replaced or removed.
    """
    stale = _listed(output / SUMMARY) - set(names)
    # The writer's own .unfinished files go as well.
    for name in (*names, *stale, *(f"{name}{UNFINISHED}" for name in names)):
        if (output / name).resolve() == annotations.resolve():
            what = "removed with what an earlier summary lists"
            if name not in stale:
                what = f"replaced by {name} of this reduction"
            raise ValueError(f"{annotations} would be {what}; give another --output.")
    output.mkdir(parents=True, exist_ok=True)
    (output / SUMMARY).unlink(missing_ok=True)  # of files that are about to change
    for name in stale:
        (output / name).unlink(missing_ok=True)


def _listed(summary: Path) -> set[str]:
    """The files that an earlier summary lists, those beside it; of others, none."""
    try:
        content = json.loads(summary.read_bytes())
        parts = [part for kind in report.KINDS for part in content[kind]]
        names = {str(part["file"]) for part in parts}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in names if _ITERATION.fullmatch(name)}


def _write_iteration(
    output: Path, iteration: Iteration, entries: Entries
) -> dict[str, Any]:
    path = output / _file_of(iteration)
    checksum = write(path, entries.file_of(iteration.image_ids))
    about = report.describe(iteration)
    _log.info("%s: %d pictures, %d persons", path, about["pictures"], about["persons"])
    return {
        "file": path.name,
        "sha256": checksum,
        **about,
        "removed": list(iteration.removed),
    }


def _write_weights(
    output: Path, iteration: Iteration, heads: dict[int, int]
) -> dict[str, Any]:
    path = output / _weights_of(iteration)
    weights = sampling_weights(heads, iteration)
    content = {"reduction": iteration.reduction, "sampling_weight": weights}
    checksum = write(path, [json.dumps(content, indent=0).encode(), b"\n"])
    weight = min(weights.values())
    _log.info("%s: weight %.4f of single-person pictures", path, weight)
    return {
        "file": path.name,
        "sha256": checksum,
        "reduction": iteration.reduction,
        "weight_of_single": weight,
    }


def _write_report(output: Path, summary: dict[str, Any]) -> None:
    heads = report.shown_heads(summary["whole"])
    whole, *iterations = (
        charts.Shares(
            part["reduction"],
            part["pictures"],
            {number: part["share_by_head_count"][number] for number in heads},
        )
        for part in (summary["whole"], *summary["iterations"])
    )
    write(output / "head_counts.png", [charts.head_counts(whole, iterations[-1])])
    write(output / "bias_reduction.png", [charts.bias_reduction([whole, *iterations])])
    write(output / "summary.md", [report.to_markdown(summary).encode()])
    write(output / SUMMARY, [report.to_json(summary).encode()])
