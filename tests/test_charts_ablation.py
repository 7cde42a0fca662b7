"""A forest plot: every variant has its row, and what is told apart stands out."""

import pytest
from matplotlib.colors import to_hex

from poseseg_jax.charts import style
from poseseg_jax.charts.ablation import Row, forest
from poseseg_jax.charts.point import Point
from tests.charted import assert_words_are_legible, decode, figure_of, words

CLEAR = Point(0.02, 0.01, 0.03)
UNCLEAR = Point(0.013, -0.01, 0.03)


def row(name, *scores, difference=None, **kwargs):
    keys = ("keypoints/AP", "segm/AP")
    differences = dict.fromkeys(keys, difference)
    return Row(name, dict.fromkeys(keys, scores), differences, **kwargs)


def many(number, seeds=3):
    variants = [
        row(
            f"variant {place} of a name that takes lines"[: 9 + 3 * place].strip(),
            *[0.4 + 0.01 * seed + 0.003 * place for seed in range(seeds)],
            difference=CLEAR if place % 2 else Point(-0.11, -0.2, 0.1),
        )
        for place in range(1, number)
    ]
    return [row("full", *[0.41] * seeds), *variants]


def lines_of(axis, marker):
    return [line for line in axis.lines if line.get_marker() == marker]


def ink(artist):
    return to_hex(artist.get_color()).upper()


@pytest.mark.parametrize(("number", "seeds"), [(1, 3), (2, 1), (14, 3), (20, 3)])
def test_words_are_legible(monkeypatch, number, seeds):
    rows = many(number, seeds)
    figure = figure_of(monkeypatch, forest, rows, baseline="full")
    assert_words_are_legible(figure)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert [label.replace("\n", " ") for label in labels] == [r.name for r in rows]


def test_every_seed_is_a_dot_and_every_variant_a_tick(monkeypatch):
    rows = [row("full", 0.4, 0.5, 0.6), row("other", 0.3, 0.7)]
    scores, _, same, _ = figure_of(monkeypatch, forest, rows, baseline="full").axes
    for axis in (scores, same):
        dots = [list(line.get_xdata()) for line in lines_of(axis, "o")]
        assert dots == [pytest.approx([40, 50, 60]), pytest.approx([30, 70])]
        rest = lines_of(axis, "None")
        assert [line.get_xdata()[0] for line in rest] == pytest.approx([50, 50, 50])
        dashed = [line for line in rest if line.get_linestyle() != "-"]
        assert len(dashed) == 1, "the baseline's mean goes through all rows"


def test_only_an_interval_that_leaves_out_zero_is_strong(monkeypatch):
    rows = [
        row("full", 0.4),
        row("clear", 0.4, difference=CLEAR),
        row("unclear", 0.4, difference=UNCLEAR),
        row("unknown", 0.4, difference=Point(0.03)),
    ]
    figure = figure_of(monkeypatch, forest, rows, baseline="full")
    dots = lines_of(figure.axes[1], "o")
    assert [ink(dot) for dot in dots] == [style.INK, style.FAINT, style.FAINT]
    assert [dot.get_markerfacecolor() for dot in dots][2] == "white"
    texts = {text.get_text(): text for text in figure.axes[1].texts}
    assert list(texts) == ["baseline", "+2.0", "+1.3", "+3.0"]
    assert texts["+2.0"].get_weight() == "bold"
    assert texts["+1.3"].get_weight() == "normal"


def test_differences_of_tasks_share_a_scale(monkeypatch):
    rows = [row("full", 0.4), row("other", 0.4, difference=CLEAR)]
    rows[1].differences["segm/AP"] = Point(-0.3)
    _, left, _, right = figure_of(monkeypatch, forest, rows, baseline="full").axes
    assert left.get_xlim() == right.get_xlim()
    assert left.get_xlim()[0] < -30


def test_a_hair_does_not_fill_the_axis(monkeypatch):
    rows = [row("full", 0.4), row("other", 0.4001, difference=Point(0.0001))]
    scores, difference, *_ = figure_of(monkeypatch, forest, rows, baseline="full").axes
    assert scores.get_xlim()[1] - scores.get_xlim()[0] >= 1
    assert difference.get_xlim()[1] - difference.get_xlim()[0] >= 2


def test_a_run_without_a_score_says_so(monkeypatch):
    rows = [row("full", 0.4), row("gone", note="2 runs failed"), row("none")]
    found = words(figure_of(monkeypatch, forest, rows, baseline="full"))
    assert found.count("2 runs failed") == 2, "once for each task"
    assert found.count("no score") == 2
    assert found.count("-") == 4
    assert any("3 variants, 1 seed each" in text for text in found)


def test_nothing_but_failures_is_a_chart_too(monkeypatch):
    rows = [row("full", note="failed"), Row("other", {}, {}, note="failed")]
    figure = figure_of(monkeypatch, forest, rows, baseline="full")
    assert words(figure).count("failed") == 4
    assert_words_are_legible(figure)


def test_one_task_is_enough(monkeypatch):
    rows = many(2)
    figure = figure_of(monkeypatch, forest, rows, baseline="full", tasks=["segm"])
    assert len(figure.axes) == 2
    assert "keypoints" not in words(figure)


def test_a_name_is_no_formula(monkeypatch):
    rows = [row("full", 0.4), row("costs $5 or $6", 0.4)]
    figure = figure_of(monkeypatch, forest, rows, baseline="full")
    assert r"costs \$5 or \$6" in words(figure)


def test_the_same_numbers_give_the_same_bytes():
    png = forest(many(3), baseline="full")
    assert png == forest(many(3), baseline="full")
    assert decode(png).shape[1] == 1350


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "baseline 'full'; expected one of some"),
        ([row("a", 0.4)], r"baseline 'full'; expected one of \['a'\]"),
        ([row("full", 0.4), row("full", 0.5)], "share the name 'full'"),
    ],
)
def test_rows_that_cannot_be_compared_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        forest(rows, baseline="full")


@pytest.mark.parametrize("score", [41.2, -0.1, float("nan")])
def test_what_is_no_score_is_refused(score):
    with pytest.raises(ValueError, match=f"a: keypoints/AP is {score}; expected"):
        row("a", score)
