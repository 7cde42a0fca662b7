"""What a prepared split holds, counted when it is made, for programs and readers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from poseseg_jax import markdown
from poseseg_jax.coco.annotations import AnnotationFile, Picture
from poseseg_jax.coco.picture import SMALL_AREA
from poseseg_jax.coco.quoting import name_picture
from poseseg_jax.data.bias import count_heads

_ROWS = {
    "annotations": "annotation file",
    "pictures": "pictures",
    "num_multi": "... with several heads: persons that count (data.head_count)",
    "num_single": "... with one",
    "persons": "persons",
    "with_keypoints": "... with labelled keypoints",
    "small": "... smaller than 32 x 32 px",
    "unknown_masks": "... whose pixels are not known",
    "crowds": "crowds: nothing is asked there",
    "without_heads": "pictures of the file without a head",
    "other_categories": "annotations of other things than people, not read",
}


def summarize(
    written: Sequence[Picture],
    labels: AnnotationFile,
    left_out: Sequence[dict],
    *,
    head_count: str,
) -> dict[str, Any]:
    """The counts of a split.

    Args:
      written: the pictures of the split.
      labels: the whole annotation file.
      left_out: broken records, as {"image_id", "reason"}.
      head_count: who counts as a head; see data/bias.py.
    """
    heads = Counter(count_heads(written, count=head_count).values())
    all_heads = count_heads(labels.pictures, count=head_count).values()
    people = [person for picture in written for person in picture.people]
    return {
        "annotations": labels.source,
        "pictures": len(written),
        "num_multi": sum(count for number, count in heads.items() if number > 1),
        "num_single": heads[1],
        "without_heads": sum(not head for head in all_heads),
        "persons": len(people),
        "with_keypoints": sum(bool(person.visibility.any()) for person in people),
        "small": sum(person.area < SMALL_AREA for person in people),
        "unknown_masks": sum(person.segmentation is None for person in people),
        "crowds": sum(len(picture.crowds) for picture in written),
        "other_categories": labels.num_other,
        # [number of people, pictures with so many]
        "people_per_picture": _pairs(Counter(len(p.people) for p in written)),
        "left_out": list(left_out),
    }


def beyond(summary: Mapping[str, Any], max_people: int) -> tuple[int, int]:
    """How many people are beyond the `max_people` of their picture; in how many."""
    crowded = [(n, c) for n, c in summary["people_per_picture"] if n > max_people]
    people = sum((number - max_people) * count for number, count in crowded)
    return people, sum(count for _, count in crowded)


def report(name: str | None, summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """The counts of all splits as Markdown."""
    splits = list(summaries)
    rows = [
        [words, *(_value(summaries[split][key]) for split in splits)]
        for key, words in _ROWS.items()
    ]
    by_split = [dict(map(tuple, summaries[s]["people_per_picture"])) for s in splits]
    by_number = [
        [str(number), *(f"{counts.get(number, 0):,}" for counts in by_split)]
        for number in sorted(set().union(*by_split))
    ]
    left_out = [
        f"* {split}, {name_picture(entry['image_id'])}: {entry['reason']}"
        for split in splits
        for entry in summaries[split]["left_out"]
    ]
    parts = [
        f"# Prepared data: {name}\n",
        markdown.table(["", *splits], rows),
        "## Pictures by number of persons\n",
        markdown.table(["persons", *splits], by_number, words=0),
        "## Left out\n",
        "\n".join(left_out or ["Nothing."]) + "\n",
    ]
    return "\n".join(parts)


def _pairs(counter: Counter) -> list[list[int]]:
    return [[number, counter[number]] for number in sorted(counter)]


def _value(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
