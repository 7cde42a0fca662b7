"""Grids of experiments: whole, in order, and fair."""

import dataclasses
import importlib

import pytest

from configs import base
from experiments import launch, readme
from experiments.grid import Experiment, Variant
from experiments.planning import plan
from poseseg_jax import changes
from poseseg_jax import config as config_lib
from poseseg_jax.data.bias import REDUCTIONS

SCRIPTS = readme.NAMES
QUESTION = Experiment(
    name="made_up",
    title="Made up",
    question="Which?",
    expected="Nothing.",
    baseline="one",
    variants=lambda config: [
        Variant("one"),
        Variant("two", {"train.num_steps": config.train.num_steps // 2}, after="one"),
    ],
    tiny_steps=800,
)


def load(name) -> Experiment:
    return importlib.import_module(f"experiments.{name}").EXPERIMENT


def runs_of(experiment, folder, *, preset="tiny", seeds=1, **overrides):
    overrides = {name.replace("__", "."): value for name, value in overrides.items()}
    config = base.get_config(preset)
    config.update_from_flattened_dict(overrides)
    return plan(
        experiment,
        folder,
        file=f"configs/full.py:{preset}" if preset else "configs/full.py",
        config=config.to_dict(),
        overrides=overrides,
        seeds=seeds,
    )


@pytest.mark.parametrize("preset", base.PRESETS)
@pytest.mark.parametrize("name", SCRIPTS)
def test_every_run_of_every_script_has_a_config_that_makes_sense(
    name, preset, tmp_path
):
    experiment = load(name)
    assert experiment.name == name
    runs = runs_of(experiment, tmp_path, preset=preset, seeds=2)
    for run in runs:
        config_lib.parse(run.config)
    assert len({run.workdir for run in runs}) == len(runs)
    assert {run.seed for run in runs} == {0, 1}


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_a_run_needs_comes_before_it_and_has_its_seed(name, tmp_path):
    seen = {}
    for run in runs_of(load(name), tmp_path, seeds=2):
        assert run.source is None or seen[run.source] == run.seed
        seen[run.workdir] = run.seed


@pytest.mark.parametrize("name", SCRIPTS)
def test_variants_differ_from_the_baseline_and_from_each_other(name, tmp_path):
    experiment = load(name)
    made = [
        (repr(run.config), repr((run.variant.of, run.variant.of and run.changes)))
        for run in runs_of(experiment, tmp_path)
    ]
    assert len(set(made)) == len(made)


def test_all_reductions_are_there_three_times_at_equal_steps(tmp_path):
    runs = runs_of(load("bias_ablation"), tmp_path, seeds=3)
    kinds = [
        (r.config["data"]["reduction_by"], r.config["data"]["reduction"]) for r in runs
    ]
    assert len(set(kinds)) == 1 + 3 * (len(REDUCTIONS) - 1)
    assert len({run.steps for run in runs}) == 1
    assert all(run.config["data"]["order_seed"] == run.seed for run in runs)


@pytest.mark.parametrize("preset", base.PRESETS)
def test_a_chain_has_as_many_steps_as_one_long_run(preset, tmp_path):
    runs = runs_of(load("feedback_transfer"), tmp_path, preset=preset)
    long = next(run.steps for run in runs if run.variant.name.startswith("one long"))
    chains: dict[str, list] = {}
    for run in runs:
        for series in run.variant.series:
            chains.setdefault(series, []).append(run)
    assert len(chains) == 6
    for name, chain in chains.items():
        is_control = name.endswith("80 % in all stages")
        assert [run.variant.at for run in chain] == [1, 2, 3, 4, 5, 6]
        assert sum(run.steps for run in chain) == long
        removed = [run.config["data"]["reduction"] for run in chain]
        assert removed == ([80] * 6 if is_control else [30, 40, 50, 60, 70, 80])
        seeds = [run.config["train"]["seed"] for run in chain]
        assert len(set(seeds)) == 6  # no stage sees pictures in the order of another
        ancestors = [run.config["init"]["workdir"] for run in chain]
        expected = ["", *(str(run.workdir) for run in chain[:-1])]
        assert ancestors == (expected if name != "nothing" else [""] * 6)
        if is_control:
            (chained,) = [r for r in runs if name in r.variant.controls]
            assert chained.config["init"]["what"] == chain[-1].config["init"]["what"]


def test_steps_that_do_not_divide_into_stages_are_refused(tmp_path):
    with pytest.raises(ValueError, match="100 does not divide into 6 stages"):
        runs_of(load("feedback_transfer"), tmp_path, train__num_steps=100)


def test_fields_are_set_in_every_run_and_go_before_those_of_the_preset(tmp_path):
    given = {"checkpoint__every_steps": 2, "data__root": "x"}
    runs = runs_of(QUESTION, tmp_path, seeds=2, **given)
    assert [run.seed for run in runs] == [0, 0, 1, 1]
    for run in runs:
        assert run.config["checkpoint"]["every_steps"] == 2
        assert run.changes["data.root"] == "x"
    tiny = runs_of(QUESTION, tmp_path)[0]
    assert (tiny.steps, tiny.config["checkpoint"]["every_steps"]) == (800, 800)
    real = runs_of(QUESTION, tmp_path, preset="")[0]
    usual = base.get_config()
    assert real.steps == usual.train.num_steps
    assert real.config["checkpoint"]["every_steps"] == usual.checkpoint.every_steps


def test_changes_are_all_that_differs_from_the_file(tmp_path):
    for run in runs_of(QUESTION, tmp_path, data__root="x"):
        config = base.get_config("tiny")
        config.update_from_flattened_dict(dict(run.changes))
        assert config.to_dict() == run.config


@pytest.mark.parametrize(
    ("seeds", "overrides", "message"),
    [
        (0, {}, "--seeds is 0"),
        (1, {"train__num_steps": 8}, "train.num_steps cannot be set: made_up sets"),
        (1, {"train__seed": 1}, "train.seed cannot be set: made_up sets it itself"),
        (1, {"train__image_size": 98}, "made_up: An input side must"),
    ],
)
def test_what_cannot_be_run_is_refused(seeds, overrides, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        runs_of(QUESTION, tmp_path, seeds=seeds, **overrides)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_command_of_every_script_can_be_typed(name, tmp_path):
    experiment = load(name)
    for run in runs_of(experiment, tmp_path):
        words = launch.command(run)
        if run.variant.of:
            given = [w.removeprefix("--set=") for w in words if w.startswith("--set=")]
            assert changes.read(given) == run.variant.changes
            continue
        given = [w.removeprefix("--config.") for w in words if "--config." in w]
        fields = dict(word.split("=", 1) for word in given)
        assert fields == {n: str(value) for n, value in run.changes.items()}


def test_a_part_of_a_grid_comes_with_what_it_needs(tmp_path):
    config = base.get_config("tiny")
    given = {"file": "configs/full.py:tiny", "config": config.to_dict()}
    given |= {"overrides": {}, "seeds": 1}
    runs = plan(QUESTION, tmp_path, **given, only=("two",))
    assert [run.variant.name for run in runs] == ["one", "two"]
    runs = plan(QUESTION, tmp_path, **given, only=("one",))
    assert [run.variant.name for run in runs] == ["one"]
    with pytest.raises(ValueError, match=r"no variant 'tow'; did you mean 'two'"):
        plan(QUESTION, tmp_path, **given, only=("tow",))


def test_what_an_experiment_fixes_cannot_be_set(tmp_path):
    with pytest.raises(ValueError, match=r"model.pretrained cannot be set: backbone"):
        runs_of(load("backbone"), tmp_path, model__pretrained="x.safetensors")


def test_an_evaluation_trains_nothing(tmp_path):
    def variants(config):
        del config
        return [Variant("one"), Variant("two", {"eval.flip": True}, of="one")]

    experiment = dataclasses.replace(QUESTION, variants=variants)
    first, second = runs_of(experiment, tmp_path)
    assert (first.steps, second.steps) == (800, 0)
    assert second.source == first.workdir
