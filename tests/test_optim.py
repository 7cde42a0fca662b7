"""Learning rate, chain and average, each against what it promises."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base
from poseseg_jax import optim, train_step
from poseseg_jax.config import OptimSettings, parse
from poseseg_jax.models.poseseg import PoseSeg
from tests.targets_oracle import picture

SETTINGS = OptimSettings(
    name="adamw",
    learning_rate=0.1,
    reference_batch_size=0,
    warmup_steps=0,
    schedule="constant",
    weight_decay=0.0,
    clip=0.0,
    momentum=0.0,
    backbone_rate=1.0,
    layer_decay=1.0,
    freeze_stages=0,
    accumulate_steps=1,
    ema=0.9,
)
PARAMS = {
    "conv": {"kernel": jnp.full((2, 3), 2.0), "bias": jnp.full(3, 2.0)},
    "norm": {"scale": jnp.full(3, 2.0)},
}
GRADS = jax.tree.map(lambda leaf: jnp.full_like(leaf, 0.5), PARAMS)


def run(settings, *, num_updates=1, grads=GRADS, is_frozen=None):
    """What the parameters have moved by after some updates with the same gradient."""
    chain = optim.make(settings, num_steps=10, batch_size=8, is_frozen=is_frozen)
    before = jax.tree.map(lambda leaf: jnp.full_like(leaf, 2.0), grads)
    params, state = before, chain.init(before)
    for _ in range(num_updates):
        updates, state = chain.update(grads, state, params)
        params = jax.tree.map(jnp.add, params, updates)
    return jax.tree.map(lambda new, old: np.asarray(new - old), params, before)


def rates(*, num_steps=20, batch_size=8, **changes):
    schedule = optim.schedule(
        replace(SETTINGS, **changes), num_steps=num_steps, batch_size=batch_size
    )
    return np.array([schedule(step) for step in range(num_steps + 1)])


def test_warm_up_starts_near_zero_and_reaches_the_peak():
    rate = rates(warmup_steps=9, schedule="cosine")
    np.testing.assert_allclose(rate[:10], np.arange(1, 11) / 10 * 0.1, rtol=1e-6)


def test_the_first_step_is_not_lost():
    assert rates(warmup_steps=9)[0] > 0


def test_cosine_ends_at_zero():
    rate = rates(warmup_steps=4, schedule="cosine")
    np.testing.assert_allclose(rate[-1], 0, atol=1e-9)
    np.testing.assert_allclose(rate[12], 0.05, rtol=1e-6)
    assert (np.diff(rate[4:]) < 0).all()


def test_constant_stays_at_the_peak():
    np.testing.assert_allclose(rates(warmup_steps=3)[3:], 0.1, rtol=1e-6)


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_a_run_shorter_than_its_warm_up_only_rises(schedule):
    rate = rates(warmup_steps=100, schedule=schedule, num_steps=3)
    assert (np.diff(rate) > 0).all()
    assert rate[-1] < 0.1


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_weight_decay_pulls_kernels_only(name):
    still = jax.tree.map(jnp.zeros_like, GRADS)
    moved = run(replace(SETTINGS, name=name, weight_decay=0.01), grads=still)
    np.testing.assert_allclose(moved["conv"]["kernel"], -0.1 * 0.01 * 2, rtol=1e-4)
    assert not moved["conv"]["bias"].any()
    assert not moved["norm"]["scale"].any()


def test_sgd_follows_the_gradient():
    moved = run(replace(SETTINGS, name="sgd"))
    np.testing.assert_allclose(moved["conv"]["kernel"], -0.1 * 0.5, rtol=1e-5)


def test_adamw_steps_by_the_learning_rate_whatever_the_gradient():
    for scale in (1e-3, 1.0):
        moved = run(SETTINGS, grads=jax.tree.map(lambda g, s=scale: g * s, GRADS))
        np.testing.assert_allclose(moved["conv"]["kernel"], -0.1, rtol=1e-3)


def test_momentum_gathers_gradients():
    moved = run(replace(SETTINGS, name="sgd", momentum=0.5), num_updates=2)
    np.testing.assert_allclose(moved["conv"]["bias"], -0.1 * 0.5 * 2.5, rtol=1e-5)


def test_clipping_bounds_the_global_norm_and_keeps_the_direction():
    moved = run(replace(SETTINGS, name="sgd", clip=0.3))
    flat = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(moved)])
    np.testing.assert_allclose(np.linalg.norm(flat), 0.1 * 0.3, rtol=1e-5)
    np.testing.assert_allclose(flat, flat[0], rtol=1e-6)


def test_no_clip_leaves_large_gradients_alone():
    large = jax.tree.map(lambda leaf: leaf * 1e4, GRADS)
    moved = run(replace(SETTINGS, name="sgd"), grads=large)
    np.testing.assert_allclose(moved["norm"]["scale"], -0.1 * 5e3, rtol=1e-5)


def test_frozen_parameters_stay_and_have_no_part_in_the_norm():
    settings = replace(SETTINGS, name="sgd", clip=0.3, weight_decay=0.1)
    moved = run(settings, is_frozen=lambda name: name.startswith("conv/"))
    assert not moved["conv"]["kernel"].any()
    assert not moved["conv"]["bias"].any()
    np.testing.assert_allclose(np.linalg.norm(moved["norm"]["scale"]), 0.03, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"name": "lion"}, "optim.name"), ({"schedule": "step"}, "optim.schedule")],
)
def test_an_unknown_choice_is_refused_by_its_field(changes, named):
    with pytest.raises(ValueError, match=named):
        optim.make(replace(SETTINGS, **changes), num_steps=10, batch_size=8)


@pytest.mark.parametrize(("batch_size", "peak"), [(8, 0.1), (16, 0.2), (2, 0.025)])
def test_the_rate_follows_the_batch_where_that_is_asked(batch_size, peak):
    scaled = rates(batch_size=batch_size, reference_batch_size=8, warmup_steps=3)
    np.testing.assert_allclose(scaled[3:], peak, rtol=1e-6)
    np.testing.assert_allclose(scaled[0], peak / 4, rtol=1e-6)
    np.testing.assert_allclose(rates(batch_size=batch_size), 0.1, rtol=1e-6)


DEEP = {
    "backbone": {
        "conv1": {"kernel": jnp.full((2, 3), 0.5)},
        "bn1": {"scale": jnp.full(3, 0.5)},
        "layer1_0": {"conv1": {"kernel": jnp.full((3, 2), 0.5)}},
        "layer2_0": {"bn1": {"bias": jnp.full(2, 0.5)}},
        "layer2_1": {"conv2": {"kernel": jnp.full((2, 2), 0.5)}},
    },
    "heads": {"mid": {"kernel": jnp.full((2, 2), 0.5)}},
}
STAGES = [("conv1", 0), ("bn1", 0), ("layer1_0", 1), ("layer2_0", 2), ("layer2_1", 2)]


def first(tree):
    return jax.tree.leaves(tree)[0].ravel()[0]


@pytest.mark.parametrize("name", ["adamw", "sgd"])
@pytest.mark.parametrize(
    ("rate", "decay"), [(1.0, 1.0), (0.1, 1.0), (1.0, 0.5), (0.3, 0.5), (0.0, 1.0)]
)
def test_the_backbone_learns_at_a_rate_that_falls_towards_the_input(name, rate, decay):
    settings = replace(SETTINGS, name=name, weight_decay=0.1, momentum=0.9)
    slow = replace(settings, backbone_rate=rate, layer_decay=decay)
    moved, plain = run(slow, grads=DEEP), run(settings, grads=DEEP)
    for part, stage in STAGES:
        expected = first(plain["backbone"][part]) * rate * decay ** (2 - stage)
        np.testing.assert_allclose(first(moved["backbone"][part]), expected, rtol=1e-4)
    np.testing.assert_array_equal(first(moved["heads"]), first(plain["heads"]))


@pytest.mark.parametrize("stages", range(4))
def test_the_first_stages_are_frozen_and_the_others_are_not(stages):
    settings = replace(SETTINGS, freeze_stages=stages, layer_decay=0.5)
    is_frozen = optim.frozen_parameters(settings)
    moved = run(settings, grads=DEEP, is_frozen=is_frozen)
    for part, stage in STAGES:
        assert (first(moved["backbone"][part]) != 0) == (stage >= stages), part
    assert first(moved["heads"]) != 0


def test_what_is_kept_for_another_reason_is_frozen_too():
    is_norm = lambda name: name.endswith("/scale")  # noqa: E731
    assert optim.frozen_parameters(SETTINGS) is None
    assert optim.frozen_parameters(SETTINGS, is_norm) is is_norm
    both = optim.frozen_parameters(replace(SETTINGS, freeze_stages=1), is_norm)
    assert both is not None
    names = ["backbone/conv1/kernel", "backbone/layer3_1/bn2/scale", "heads/a/kernel"]
    assert [both(name) for name in names] == [True, True, False]


def test_no_gradient_goes_into_what_is_frozen():
    is_frozen = optim.frozen_parameters(replace(SETTINGS, freeze_stages=2))
    gradient = jax.grad(
        lambda params: sum(map(jnp.sum, jax.tree.leaves(optim.hold(params, is_frozen))))
    )(DEEP)
    assert [first(gradient["backbone"][part]) for part, _ in STAGES] == [0, 0, 0, 1, 1]
    assert first(gradient["heads"]) == 1
    assert optim.hold(DEEP, None) is DEEP


# Another value for every field, and what else must be set for it to matter.
OTHERWISE = {
    "name": ("sgd", {}),
    "learning_rate": (0.2, {}),
    "reference_batch_size": (4, {}),
    "warmup_steps": (5, {}),
    "schedule": ("constant", {}),
    "weight_decay": (0.3, {}),
    "clip": (0.01, {}),
    "momentum": (0.5, {"name": "sgd"}),
    "backbone_rate": (0.1, {}),
    "layer_decay": (0.5, {}),
    "freeze_stages": (2, {}),
    "ema": (0.05, {}),
}
# It changes how a gradient is come by: see test_train_step.
ELSEWHERE = {"accumulate_steps"}


# What else decides the rate; "batch_size" does where there is a reference.
OF_TRAIN = {"num_steps": (1_500, {}), "batch_size": (16, {"reference_batch_size": 8})}
LATE = 1_000


@pytest.fixture
def usual(monkeypatch):
    """Settings of runs whose network is DEEP, with a gradient that is known."""

    def known(_, state, *__):
        slope = jax.tree.map(lambda leaf: leaf * (state.step - LATE - 0.3), DEEP)
        return slope, {}, state.batch_stats

    variables = {"params": DEEP, "batch_stats": {}}
    monkeypatch.setattr(PoseSeg, "init", lambda *_, **__: variables)
    monkeypatch.setattr(train_step, "_gradient", known)
    config = base.get_config("tiny")
    # Two steps show it.
    config.update({"optim": {"learning_rate": 0.1, "warmup_steps": 0}})
    config.update({"train": {"num_steps": 1_200}})
    return parse(config.to_dict())


def changed(settings, group, **fields):
    return replace(settings, **{group: replace(getattr(settings, group), **fields)})


def late_steps(settings, num_steps=2):
    """Parameters and average after steps of a run, as it takes them."""
    init, step = train_step.build(settings)
    state = init()
    # The optimiser counts for itself.
    late = lambda leaf: leaf + LATE if leaf.dtype == jnp.int32 else leaf  # noqa: E731
    opt_state = jax.tree.map(late, state.opt_state)
    state = replace(state, step=state.step + LATE, opt_state=opt_state)
    for _ in range(num_steps):
        state, _ = step(state, picture())
    return jax.tree.map(np.asarray, (state.params, state.ema))


def flat(tree):
    return np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])


def test_every_field_of_the_config_has_an_effect_on_a_run(usual):
    assert set(base.get_config().to_dict()["optim"]) == OTHERWISE.keys() | ELSEWHERE
    cases = [("optim", *case) for case in OTHERWISE.items()]
    cases += [("train", *case) for case in OF_TRAIN.items()]
    before = {"{}": late_steps(usual)}
    for group, name, (value, others) in cases:
        start = changed(usual, "optim", **others)
        assert getattr(getattr(start, group), name) != value
        if str(others) not in before:
            before[str(others)] = late_steps(start)
        after = late_steps(changed(start, group, **{name: value}))
        moved = np.abs(flat(after) - flat(before[str(others)])).max()
        assert moved > 1e-6, name


def test_a_run_freezes_the_stages_that_it_is_told_to(usual):
    params, _ = late_steps(changed(usual, "optim", freeze_stages=2))
    for part, stage in STAGES:
        assert (first(params["backbone"][part]) == 0.5) == (stage < 2), part


def test_a_run_averages_by_the_number_of_its_step(usual):
    params, ema = late_steps(usual, 1)
    keep = (1 + LATE) / (10 + LATE)
    assert usual.optim.ema > keep
    expected = jax.tree.map(
        lambda old, new: old * keep + new * (1 - keep), DEEP, params
    )
    np.testing.assert_allclose(flat(ema), flat(expected), rtol=1e-6)


def test_the_average_of_constant_parameters_reaches_them():
    ema = jax.tree.map(jnp.zeros_like, PARAMS)
    for step in range(60):
        ema = optim.update_ema(ema, PARAMS, decay=0.9, step=jnp.int32(step))
    for leaf in jax.tree.leaves(ema):
        np.testing.assert_allclose(leaf, 2.0, rtol=5e-3)


@pytest.mark.parametrize(("step", "kept"), [(0, 0.1), (5, 0.4), (1_000, 0.9)])
def test_the_average_forgets_faster_at_first(step, kept):
    ema = optim.update_ema(jnp.ones(()), jnp.zeros(()), decay=0.9, step=step)
    np.testing.assert_allclose(ema, kept, rtol=1e-6)
