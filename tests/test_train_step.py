"""A batch in parts is a batch, and an ancestor's maps are a second truth."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from poseseg_jax import config as config_lib
from poseseg_jax import inference, train_step
from poseseg_jax.losses import TERMS
from poseseg_jax.models import poseseg
from poseseg_jax.structs import IGNORE, TrainState
from tests import tiny_run
from tests.drawn import draw_variables
from tests.targets_oracle import SIDE, picture, scene

DISTILLED = [f"distilled_{name}" for name in TERMS]


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground:
        yield ground


def settings(ground, *, parts=1, **init):
    config = ground.config(
        # What moves is the gradient itself then.
        optim={"name": "sgd", "learning_rate": 1.0, "clip": 0.0, "momentum": 0.0},
        train={"batch_size": 4, "image_size": SIDE},
        data={"max_people": 5},
        init={"workdir": "of an ancestor", "distill_weight": 0.5, **init},
    )
    config["optim"]["accumulate_steps"] = parts
    return config_lib.parse(config)


@pytest.fixture(scope="module")
def batch():
    """Pictures 0 and 2 are one part, 1 and 3 the other, with the same pixels.

    So the statistics of both parts are those of the batch. People are in all pictures
    but the last, and nobody's keypoints are where another's are.
    """
    scenes = [scene(seed) for seed in range(3)] + [picture(rows=5)]
    batch = jax.tree.map(lambda *leaves: np.stack(leaves), *scenes)
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
    return dataclasses.replace(batch, image=pixels[[0, 0, 1, 1]])


@pytest.fixture(scope="module")
def variables(ground):
    parsed = settings(ground)
    network = poseseg.build(parsed.model, parsed.representation)
    init = functools.partial(network.init, train=False)
    return draw_variables(init, np.zeros((1, SIDE, SIDE, 3), np.uint8))


@pytest.fixture(scope="module")
def steps(ground):
    """The step in one part and in two, both with an ancestor."""
    both = [settings(ground, parts=parts) for parts in (1, 2)]
    return [jax.jit(train_step.build(s, ancestor=s)[1]) for s in both]


@pytest.fixture(scope="module")
def state(ground):
    init, _ = train_step.build(settings(ground))
    state = jax.eval_shape(init)
    # As initialised, the ends of residual branches would be 0.
    drawn = draw_variables(lambda *_: {"params": state.params}, seed=1)["params"]
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state.opt_state)
    stats = jax.tree.map(lambda leaf: np.ones(leaf.shape, "f4"), state.batch_stats)
    return TrainState(np.int32(0), drawn, stats, zeros, drawn, jax.random.key(0))


def test_a_batch_in_parts_moves_everything_as_the_batch_does(
    steps, state, batch, variables
):
    one, two = (step(state, batch, variables) for step in steps)
    for name in ("params", "batch_stats", "ema"):
        before, whole, parts = (getattr(s, name) for s in (state, one[0], two[0]))
        for old, a, b in zip(
            *map(jax.tree.leaves, (before, whole, parts)), strict=True
        ):
            assert (a != old).any()
            np.testing.assert_allclose(b, a, atol=1e-5 * np.abs(a - old).max() + 1e-7)
    assert one[1].keys() == two[1].keys()
    for name in one[1]:
        np.testing.assert_allclose(two[1][name], one[1][name], rtol=1e-5, err_msg=name)
    assert int(two[0].step) == 1, "a step is a step of the optimiser"


def test_parts_count_by_what_counts_in_them(steps, state, batch, variables):
    """Else a part with few people would weigh as much as one with many."""
    halves = [jax.tree.map(lambda a, i=i: a[[i, i + 2] * 2], batch) for i in (0, 1)]
    reports = [steps[0](state, half, variables)[1] for half in halves]
    _, whole = steps[1](state, batch, variables)
    mean = np.mean([report["short"] for report in reports])
    assert abs(mean - whole["short"]) > 1e-3 * whole["short"]


def test_a_part_is_what_is_in_memory(ground, batch):
    parsed = settings(ground, parts=4)
    init, step = train_step.build(parsed)
    text = str(jax.make_jaxpr(step)(jax.eval_shape(init), batch))
    cells = (SIDE - 1) // 2 + 1
    assert f"[1,{cells},{cells}," in text
    assert f"[4,{cells},{cells}," not in text


def test_where_labels_are_silent_the_ancestor_alone_teaches(
    ground, steps, state, batch
):
    nobody = jax.tree.map(np.zeros_like, batch)
    silent = dataclasses.replace(
        nobody, image=batch.image, people=np.full_like(batch.people, IGNORE)
    )
    unsure = jax.tree.map(jnp.zeros_like, {"params": state.params})
    ancestor = {**unsure, "batch_stats": state.batch_stats}
    totals = []
    for _ in range(3):
        state, report = steps[0](state, silent, ancestor)
        assert not any(report[name] for name in TERMS)
        totals.append(float(report["total"]))
    # What is left for who says a half everywhere, as it does.
    loss = settings(ground).loss
    half = loss.heatmap * (1 + loss.positive_weight) / 2 + loss.person + loss.body
    least = 0.5 * half * np.log(2)
    assert least < totals[2] < least + 0.75 * (totals[0] - least)


def test_what_is_said_of_the_ancestor_is_in_the_total(ground, steps, state, batch):
    """The total is linear in its weight."""
    parsed = settings(ground)
    weights = {name: getattr(parsed.loss, name) for name in TERMS}
    network = inference.abstract_variables(parsed)
    drawn = draw_variables(lambda *_: network)
    _, report = steps[0](state, batch, drawn)
    # With no refinement there is one stage, and the terms are all of it.
    assert parsed.model.refine_steps == 0
    expected = sum(
        weights[name] * (report[name] + 0.5 * report[f"distilled_{name}"])
        for name in TERMS
    )
    np.testing.assert_allclose(report["total"], expected, rtol=1e-5)


def test_an_ancestor_is_an_argument_and_no_part_of_the_state(ground, batch):
    parsed = settings(ground)
    _, step = train_step.build(parsed, ancestor=parsed)
    init, alone = train_step.build(parsed)
    state = jax.eval_shape(init)
    # Were it a constant, shapes would not do.
    abstract = inference.abstract_variables(parsed)
    after, report = jax.eval_shape(step, state, batch, abstract)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    _, usual = jax.eval_shape(alone, state, batch)
    assert report.keys() == usual.keys() | set(DISTILLED)


def test_hidden_keypoints_weigh_what_the_config_says(ground, batch):
    def program(weight):
        parsed = settings(ground, workdir="", distill_weight=0.0)
        weighed = dataclasses.replace(parsed.loss, hard_keypoint_weight=weight)
        init, step = train_step.build(dataclasses.replace(parsed, loss=weighed))
        return jax.jit(step).lower(jax.eval_shape(init), batch).as_text()

    weights = "dense<[0.000000e+00, 3.750000e-01, 1.000000e+00]>"
    assert weights in program(0.375)
    assert weights not in program(1.0)


def test_without_an_ancestor_the_program_is_the_same_as_ever(ground, batch):
    def program(**init):
        init, step = train_step.build(settings(ground, **init))
        return jax.jit(step).lower(jax.eval_shape(init), batch).as_text()

    assert program(what="nothing") == program(workdir="", distill_weight=0.0)
