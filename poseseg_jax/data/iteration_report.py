"""What is said of the iterations of a bias reduction: summary.json and summary.md.

The summary is a dict:

* `source`, `source_sha256`: the annotation file; `seed`, `count`: how it was reduced;
* `without_heads`: pictures in which nobody counts; they are in no iteration;
* `left_out`: broken entries, as {"image_id", "reason"}; their pictures are in none;
* `whole`: what `describe` says of all other pictures;
* `iterations`: of each file that, its `file`, its `sha256`, and the ids `removed` by it
  from what the one before left;
* `random` and `reweight`: the controls, in the same way; empty unless asked for.
"""

import json
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from poseseg_jax import markdown
from poseseg_jax.coco.quoting import name_picture
from poseseg_jax.data.iterations import Iteration, shares

KINDS = ("iterations", "random", "reweight")  # of files, as in the summary
_WHO = {
    "labelled": "persons with at least one labelled keypoint",
    "annotated": "everybody annotated, crowds excepted",
}
_SHOWN = 20  # left-out entries in the table; summary.json has them all


def describe(iteration: Iteration) -> dict[str, Any]:
    """An iteration in numbers; shares are of its pictures, 0 ... 1."""
    return {
        "reduction": iteration.reduction,
        "pictures": len(iteration.image_ids),
        "persons": iteration.persons,
        "pictures_by_head_count": {
            str(heads): iteration.heads[heads] for heads in sorted(iteration.heads)
        },
        "share_by_head_count": {
            heads: round(share, 6) for heads, share in shares(iteration.heads).items()
        },
    }


def shown_heads(whole: Mapping[str, Any]) -> list[str]:
    """Head counts worth a bar or a row: the last, "14+", only if there are any."""
    *each, more = whole["share_by_head_count"]
    return [*each, more] if whole["share_by_head_count"][more] else each


def to_json(summary: Mapping[str, Any]) -> str:
    """The summary as JSON, each list of ids on one line."""
    text = json.dumps(summary, indent=2)
    return re.sub(r"\[[\d,\s]+\]", lambda ids: " ".join(ids[0].split()), text) + "\n"


def to_markdown(summary: Mapping[str, Any]) -> str:
    """The summary as tables to read."""
    whole, iterations = summary["whole"], summary["iterations"]
    single = whole["share_by_head_count"]["1"]
    parts = [
        f"# Bias reduction of {PurePath(summary['source']).name}",
        f"{whole['pictures']:,} pictures with {whole['persons']:,} persons; "
        f"{_percent(single)} of the pictures show exactly one. Who counts: "
        f"{_WHO[summary['count']]}. {summary['without_heads']:,} pictures in which "
        f"nobody counts and {len(summary['left_out']):,} broken entries are left out.",
        f"Seed {summary['seed']}, source `{summary['source']}`, "
        f"SHA-256 `{summary['source_sha256']}`.",
        "Each iteration removes part of the single-person pictures, and holds no "
        "picture that the one before does not hold:",
        _files_table([whole, *iterations]),
        "Share of the pictures (%) by how many people they show:",
        _shares_table([whole, *iterations]),
    ]
    if summary["random"]:
        parts += [
            "## Controls",
            "As many pictures removed, at random from all:",
            _files_table(summary["random"]),
            "Nothing removed, but single-person pictures drawn less often:",
            _weights_table(summary["reweight"]),
        ]
    if summary["left_out"]:
        parts += ["## Left out", _left_out_list(summary["left_out"])]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _files_table(parts: list[Mapping[str, Any]]) -> str:
    rows = [
        [
            f"`{part['file']}`" if "file" in part else "(whole)",
            f"{part['reduction']} %",
            f"{part['pictures']:,}",
            f"{part['persons']:,}",
            _percent(part["share_by_head_count"]["1"]),
            f"`{part['sha256'][:12]}`" if "file" in part else "",
        ]
        for part in parts
    ]
    names = ["file", "removed", "pictures", "persons", "with one person", "SHA-256"]
    return markdown.table(names, rows)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _shares_table(parts: list[Mapping[str, Any]]) -> str:
    by_heads = [part["share_by_head_count"] for part in parts]
    rows = [
        [heads, *(f"{100 * shares[heads]:.1f}" for shares in by_heads)]
        for heads in shown_heads(parts[0])
    ]
    return markdown.table(
        ["persons", *(f"{part['reduction']} %" for part in parts)], rows
    )


def _weights_table(parts: list[Mapping[str, Any]]) -> str:
    names = ["file", "instead of", "weight of a single-person picture"]
    rows = [
        [
            f"`{part['file']}`",
            f"{part['reduction']} %",
            f"{part['weight_of_single']:.4f}",
        ]
        for part in parts
    ]
    return markdown.table(names, rows)


def _left_out_list(left_out: list[Mapping[str, Any]]) -> str:
    lines = [
        f"* {name_picture(e['image_id'])}: {e['reason']}" for e in left_out[:_SHOWN]
    ]
    more = len(left_out) - _SHOWN
    return "\n".join([*lines, f"* and {more:,} more"] if more > 0 else lines)
