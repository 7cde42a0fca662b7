"""The line through a series says what moves along it, and a control falls out."""

import dataclasses

import numpy as np
import pytest

from experiments import bias_ablation
from experiments.grid import ALL_PICTURES, Experiment, Variant
from experiments.outcome import Outcome
from experiments.trends import trends
from poseseg_jax.coco.bootstrap import Drawn

KEY = "segm/AP"
PLACES = {"removal": [30, 50, 80], "random": [30, 50, 80]}
VARIANTS = [Variant("all", at=0, series=tuple(PLACES))] + [
    Variant(
        f"{series}{at}",
        at=at,
        series=(series,),
        controls=(f"random{at}",) if series == "removal" else (),
    )
    for series, places in PLACES.items()
    for at in places
]
EXPERIMENT = Experiment(
    name="made_up",
    title="",
    question="",
    expected="",
    baseline="all",
    variants=lambda config: VARIANTS,
    about=ALL_PICTURES,
    along="removed, %",
    trend="from 0 to 80 %",
)


def of_score(score, *, resamples=50):
    """A run whose score moves with the draws, as that of all the others does."""
    by_draw = 0.01 * np.random.default_rng(0).normal(size=resamples)
    return Drawn(
        resamples=resamples,
        seed=0,
        value={KEY: score},
        scores={KEY: score + by_draw},
        image_ids=(1, 2),
        to_find={"segm": np.ones(2, np.int64)},
    )


def drawn(rises):
    """One run of each variant, on a line that rises by so much in 80 %."""
    return {
        v.name: {0: of_score(0.2 + rises.get(v.series[0], 0) * v.at / 80)}
        for v in VARIANTS
    }


def test_a_line_rises_by_what_its_variants_gain():
    runs = drawn({"removal": 0.04, "random": 0.01})
    found = trends(EXPERIMENT, VARIANTS, runs, {KEY})
    rises = {name: moved[KEY].value for name, moved in found.items()}
    assert rises == pytest.approx(
        {"removal": 0.04, "random": 0.01, "removal - random": 0.03}
    )


def test_the_difference_of_two_lines_is_surer_than_a_line():
    """What lies on both is not counted as chance: with one run each nothing is left."""
    runs = drawn({"removal": 0.04})
    runs["all"] = {0: of_score(0.1), 1: of_score(0.3)}
    found = trends(EXPERIMENT, VARIANTS, runs, {KEY})
    wide, narrow = (
        found[name][KEY].high - found[name][KEY].low
        for name in ("removal", "removal - random")
    )
    assert narrow < 1e-9 < 0.01 < wide


def test_a_series_that_is_not_whole_has_no_line():
    runs = drawn({})
    del runs["random50"]
    assert list(trends(EXPERIMENT, VARIANTS, runs, {KEY})) == ["removal"]


def test_few_pictures_have_no_line():
    assert trends(EXPERIMENT, VARIANTS, drawn({}), set())["random"] == {KEY: None}


def test_nothing_is_told_where_nobody_asks():
    silent = dataclasses.replace(EXPERIMENT, trend="")
    assert trends(silent, VARIANTS, drawn({}), {KEY}) == {}


def test_a_trend_is_put_into_words_first():
    found = trends(EXPERIMENT, VARIANTS, drawn({"removal": 0.04}), {KEY})
    told = Outcome(EXPERIMENT, [], found)
    assert told.sentences() == told.first() == [line := told.first()[0]]
    assert line.startswith("Segm AP, all pictures, from 0 to 80 %: higher: `removal")
    assert line.endswith("; 1 without a clear difference.")
    assert told.chance() == (3, 2)


def test_removal_is_beside_both_controls():
    variants = bias_ablation.EXPERIMENT.variants(None)
    runs = {v.name: {0: of_score(0.1)} for v in variants}
    found = trends(bias_ablation.EXPERIMENT, variants, runs, {KEY})
    assert list(found) == [
        "random",
        "reweight",
        "removal",
        "removal - random",
        "removal - reweight",
    ]
