"""Statistics and checks as a text for readers: Markdown tables."""

from collections.abc import Sequence
from typing import Any

from poseseg_jax import markdown
from poseseg_jax.data.statistics import QUANTILES

_LEFT_OUT_SHOWN = 50


def as_markdown(statistics: dict[str, Any], checks: dict[str, Any], title: str) -> str:
    """The text of statistics.md.

    Args:
      statistics: as statistics.summarize returns them.
      checks: as plausibility.check returns them.
      title: which data they are of.
    """
    parts = [
        f"# {title}",
        _overview(statistics),
        _warnings(checks["warnings"]),
        _left_right(checks["left_right"]),
        _order_and_places(checks),
        _head_counts(statistics["head_counts"]),
        _sizes(statistics),
        _visibility(statistics["visibility"]),
        _pixels(statistics["pixels"]),
        _left_out(statistics["left_out"]),
    ]
    return "\n\n".join(parts) + "\n"


def _overview(numbers: dict[str, Any]) -> str:
    per_picture, beyond = numbers["people_per_picture"], numbers["beyond_max_people"]
    rows = [
        ("pictures", numbers["pictures"]),
        ("people", numbers["people"]),
        ("of them with a labelled keypoint", numbers["people_with_keypoints"]),
        ("of them with an unknown mask", numbers["people_with_unknown_mask"]),
        ("pictures without people", per_picture["without"]),
        ("people per picture, mean", _number(per_picture["mean"])),
        ("most people in a picture", per_picture["most"]),
        (
            f"people beyond data.max_people ({beyond['max_people']})",
            f"{beyond['people']} in {beyond['pictures']} pictures",
        ),
        ("records left out", len(numbers["left_out"])),
    ]
    return _table(("", "number"), rows)


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return "Nothing in the labels looks unusual."
    return "\n".join(["**Look at these:**", "", *(f"- {text}" for text in warnings)])


def _left_right(pairs: dict[str, dict]) -> str:
    rows = []
    for part, kinds in pairs.items():
        facing, everybody = kinds["facing"], kinds["everybody"]
        rows.append(
            (
                part,
                facing["of"],
                _percent(facing["share"]),
                _percent(facing["coco"]),
                _percent(facing["swapped"]),
                facing["verdict"],
                _percent(everybody["share"]),
                _percent(everybody["coco"]),
            )
        )
    header = (
        *("of those who face the camera", "people", "share", "COCO", "if swapped"),
        *("verdict", "of everybody", "COCO"),
    )
    return (
        "## Left and right\n\nHow often the left one of a pair lies to the right in "
        "the picture, as it does for people who face the camera (both eyes visible).\n"
        f"\n{_table(header, rows)}"
    )


def _order_and_places(checks: dict[str, Any]) -> str:
    rows = [
        (what, row["of"], _percent(row["share"]), _percent(row["coco"]), row["verdict"])
        for group in ("above", "places")
        for what, row in checks[group].items()
    ]
    table = _table(("share of", "labels", "share", "COCO", "verdict"), rows)
    return f"## Order and places\n\n{table}"


def _head_counts(rows: Sequence[dict[str, Any]]) -> str:
    cells = [
        (
            row["people"],
            row["pictures"],
            _percent(row["share"]),
            _percent(row["coco_train2017"]),
        )
        for row in rows
    ]
    header = ("people with a labelled keypoint", "pictures", "share", "COCO train2017")
    return f"## People per picture\n\n{_table(header, cells)}"


def _sizes(numbers: dict[str, Any]) -> str:
    size, pictures = numbers["person_size"], numbers["picture_size"]
    rows = [
        ("person, square root of the area", size["quantiles"]),
        (
            f"the same at an input of {size['image_size']} px",
            size["quantiles_at_input"],
        ),
        ("people per picture", numbers["people_per_picture"]["quantiles"]),
        ("picture, height", pictures["height"]),
        ("picture, width", pictures["width"]),
    ]
    cells = [
        (what, *(_number(found and found[str(q)]) for q in QUANTILES))
        for what, found in rows
    ]
    header = ("px, or number", *(f"{q} % below" for q in QUANTILES))
    shares = ", ".join(
        f"{name} {_percent(size[name])}" for name in ("small", "medium", "large")
    )
    return (
        f"## Sizes\n\n{_table(header, cells)}\n\n"
        f"COCO's classes (limits 32^2 and 96^2 px): {shares}."
    )


def _visibility(keypoints: dict[str, dict]) -> str:
    kinds = ("unlabelled", "hidden", "visible")
    rows = [
        (name.replace("_", " "), *(_percent(shares[kind]) for kind in kinds))
        for name, shares in keypoints.items()
    ]
    return (
        "## Keypoints\n\nOf people with any labelled keypoint.\n\n"
        f"{_table(('', *kinds), rows)}"
    )


def _pixels(pixels: dict[str, dict]) -> str:
    rows = [
        (kind, _percent(row["share"]), row["pictures"]) for kind, row in pixels.items()
    ]
    table = _table(("whose pixels", "share", "pictures with some"), rows)
    return f"## People maps\n\nIgnored are crowd regions.\n\n{table}"


def _left_out(entries: Sequence[dict[str, Any]]) -> str:
    if not entries:
        return "## Records left out\n\nNone."
    rows = [
        (entry["image_id"], _cell(str(entry["reason"])))
        for entry in entries[:_LEFT_OUT_SHOWN]
    ]
    more = len(entries) - len(rows)
    note = f"\n\nAnd {more} more: see statistics.json." if more else ""
    return f"## Records left out\n\n{_table(('image id', 'reason'), rows)}{note}"


def _table(header: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    cells = [list(map(str, row)) for row in rows]
    return markdown.table(list(map(str, header)), cells).rstrip()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
