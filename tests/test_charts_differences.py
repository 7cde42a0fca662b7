"""A table of differences: every number is written, and colour follows evidence."""

import pytest

from poseseg_jax.charts import style
from poseseg_jax.charts.ablation import Row
from poseseg_jax.charts.differences import by_crowding
from poseseg_jax.charts.point import Point
from poseseg_jax.coco.crowding import OVERLAP_BUCKETS, PEOPLE_BUCKETS, keys
from tests.charted import area, assert_words_are_legible, decode, figure_of, words

BUCKETS = {"people": PEOPLE_BUCKETS, "largest overlap (IoU)": OVERLAP_BUCKETS}
KEYS = ["keypoints/AP", "segm/AP", *keys()]
CLEAR, UNCLEAR = Point(0.02, 0.01, 0.03), Point(-0.131, -0.2, 0.1)
BASELINE = Row("full", {}, {})


def row(name, point, **others):
    return Row(name, {}, dict.fromkeys(KEYS, point) | others)


def drawn(monkeypatch, *rows, **kwargs):
    kwargs = {"baseline": "full", "buckets": BUCKETS} | kwargs
    return figure_of(monkeypatch, by_crowding, [BASELINE, *rows], **kwargs)


@pytest.mark.parametrize("number", [1, 19])
def test_words_are_legible(monkeypatch, number):
    names = [f"variant {place} of a name that takes lines" for place in range(number)]
    rows = [row(name, (CLEAR, UNCLEAR)[len(name) % 2]) for name in names]
    rows[0] = row(rows[0].name, Point(-0.5, -0.6, -0.4))
    assert_words_are_legible(drawn(monkeypatch, *rows))


def test_every_bucket_of_both_tasks_has_its_number(monkeypatch):
    points = {key: Point(0.001 * place) for place, key in enumerate(KEYS)}
    figure = drawn(monkeypatch, Row("other", {}, points))
    assert [axis.get_title("left") for axis in figure.axes] == ["keypoints", "segm"]
    for axis, task in zip(figure.axes, ("keypoints", "segm"), strict=True):
        expected = [style.signed(points[key].value) for key in KEYS if task in key]
        cells = [text for text in axis.texts if text.get_text() not in BUCKETS]
        assert [text.get_text() for text in cells] == expected
        labels = [text.get_text() for text in axis.get_xticklabels()]
        assert labels[:6] == ["all", "1", "2", "3-4", "5-7", "8+"]
        assert labels[6] == "0.0-\n0.1"


def test_the_baseline_is_not_compared_with_itself(monkeypatch):
    figure = drawn(monkeypatch, row("other", CLEAR))
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["other"]


def strength(patch):
    """How far a cell is from white."""
    return 1 - min(patch.get_facecolor())


def test_what_is_not_told_apart_is_pale(monkeypatch):
    rows = [row("clear", Point(0.02, 0.01, 0.03)), row("not", Point(0.02, -0.1, 0.1))]
    axis = drawn(monkeypatch, *rows, row("unknown", Point(0.02))).axes[0]
    clear, unclear, unknown = axis.patches[0], axis.patches[10], axis.patches[20]
    assert strength(clear) > 3 * strength(unclear) > 0
    assert strength(unclear) == strength(unknown)
    first, second = (axis.texts[0], axis.texts[10])
    assert (first.get_weight(), first.get_color()) == ("bold", style.INK)
    assert (second.get_weight(), second.get_color()) == ("normal", style.PALE)


def test_blue_is_better_and_orange_worse_and_nothing_white(monkeypatch):
    rows = [
        row("better", CLEAR),
        row("worse", Point(-0.02, -0.03, -0.01)),
        row("same", Point(0.0)),
    ]
    axis = drawn(monkeypatch, *rows).axes[0]
    red, _, blue, _ = axis.patches[0].get_facecolor()
    assert blue > red
    red, _, blue, _ = axis.patches[10].get_facecolor()
    assert blue < red
    assert strength(axis.patches[20]) == 0


def test_less_than_a_point_does_not_get_the_full_colour(monkeypatch):
    small = drawn(monkeypatch, row("a", Point(0.002, 0.001, 0.003))).axes[0]
    large = drawn(monkeypatch, row("a", Point(0.01, 0.001, 0.03))).axes[0]
    assert strength(small.patches[0]) < 0.3 * strength(large.patches[0])


def test_missing_scores_are_dashes_and_missing_runs_say_why(monkeypatch):
    key = "crowd/people_8+/segm/AP"
    rows = [row("a", CLEAR, **{key: None}), Row("b", {}, {}, note="failed")]
    figure = drawn(monkeypatch, *rows)
    assert words(figure).count("-") == 1
    assert words(figure).count("failed") == 2
    assert len(figure.axes[1].patches) == 9


def test_the_colours_reach_the_paper():
    def draw(point):
        rows = [BASELINE, row("a", point)]
        return decode(by_crowding(rows, baseline="full", buckets=BUCKETS))

    blue = "#4D9CC9"  # seven tenths of style.SERIES[0]
    assert area(draw(CLEAR), blue) > 10_000
    assert area(draw(UNCLEAR), blue) < 100


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([BASELINE], "no row beside 'full'"),
        ([], "baseline 'full'"),
        ([row("a", CLEAR), BASELINE, row("a", CLEAR)], "share the name 'a'"),
    ],
)
def test_rows_that_cannot_be_compared_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        by_crowding(rows, baseline="full", buckets=BUCKETS)
