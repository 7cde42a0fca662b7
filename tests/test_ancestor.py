"""What a run takes from another, what it refuses, and that it asks once."""

import dataclasses
import json
import logging
import shutil

import jax
import numpy as np
import pytest

from configs import base
from poseseg_jax import ancestor, inference, train
from poseseg_jax import config as config_lib
from tests import tiny_run
from tests.tiny_run import NUM_STEPS, assert_same_state, read_lines, read_state


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground:
        yield ground


@pytest.fixture(scope="module")
def trained(ground):
    return inference.restore(ground.finished)


def settings(ground, *, model=None, representation=None, train=None, **init):
    config = ground.config(
        model=model or {},
        representation=representation or {},
        train=train or {},
        init={"workdir": str(ground.finished), **init},
    )
    return config_lib.parse(config)


def zeros(parsed):
    shapes = inference.abstract_variables(parsed)
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes)


def inherit(ground, **changes):
    parsed = settings(ground, **changes)
    return ancestor.inherit(zeros(parsed), settings=parsed)


def test_the_averaged_backbone_is_taken_with_its_statistics(ground, trained):
    variables, report = inherit(ground)
    for collection in ("params", "batch_stats"):
        for part, found in variables[collection].items():
            if part == "backbone":
                assert_same_state(found, trained.variables[collection][part])
            else:
                assert not any(leaf.any() for leaf in jax.tree.leaves(found)), part
    ours = [f"{collection}/{part}" for collection in variables for part in variables]
    assert ours
    assert {name.split("/")[1] for name in report.taken} == {"backbone"}
    assert {name.split("/")[1] for name in report.fresh} == {"heads", "neck"}
    assert len(report.taken) + len(report.fresh) == len(jax.tree.leaves(variables))


def test_all_is_everything(ground, trained):
    variables, report = inherit(ground, what="all")
    assert_same_state(variables, trained.variables)
    assert not report.fresh


def test_the_step_can_be_named(ground):
    variables, report = inherit(ground, step=2, what="all")
    early, _ = read_state(ground.finished, ground.config(), step=2)
    assert_same_state(variables["params"], early.ema)
    assert report.origin == f"{ground.finished}, step 2"


def test_the_report_says_what_was_taken_and_what_starts_fresh(ground):
    other = {"neck_channels": 16}
    _, report = inherit(ground, model=other, representation={"radius": 7.0})
    count = len(report.taken)
    assert str(report) == (
        f"backbone ({count} arrays) from {ground.finished}, step {NUM_STEPS}; heads, "
        "neck start fresh; it had model.neck_channels: 8 -> 16, "
        "representation.radius: 6.0 -> 7.0"
    )


def test_all_that_does_not_fit_is_listed(ground):
    with pytest.raises(ValueError, match=r"does not fit.* 'all'") as error:
        inherit(ground, what="all", model={"neck_channels": 16})
    message = str(error.value)
    assert "params/heads/body/kernel: [1, 1, 8, 1] there, [1, 1, 16, 1] here" in message
    assert "backbone/" not in message
    assert message.count(" there, ") == 8, "the first few"
    assert "\n  and " in message
    with pytest.raises(ValueError, match=r"down1_bn/mean: \[8\] there, \[24\] here"):
        inherit(ground, model={"width": 0.5})


def test_arrays_that_only_one_of_them_has_do_not_fit(ground):
    upsample = {"neck": "upsample", "neck_channels": 8}
    with pytest.raises(ValueError, match=r"smooth_bn/mean: \[8\] there, nothing here"):
        inherit(ground, what="all", model=upsample)


@pytest.mark.parametrize("backbone", ["resnet50", "resnet18"])
def test_strides_elsewhere_in_bottlenecks_are_another_network(
    ground, monkeypatch, backbone
):
    """Though the shapes are the same."""
    model = {"backbone": backbone, "neck_channels": 8}
    ours = settings(ground, model=model)
    late = dataclasses.replace(ours.model, bottleneck_stride="1x1")
    theirs = dataclasses.replace(ours, model=late)
    variables = {"params": {"backbone": {"conv1": {"kernel": np.zeros(3)}}}}
    found = inference.Trained(theirs, variables, 4)
    monkeypatch.setattr(ancestor, "_restore", lambda _: found)
    if backbone == "resnet18":  # it has none
        ancestor.inherit(variables, settings=ours)
        return
    with pytest.raises(ValueError, match="bottleneck_stride: 1x1 there, 3x3 here"):
        ancestor.inherit(variables, settings=ours)


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ({"workdir": "/nowhere"}, "init.workdir /nowhere: /nowhere does not exist"),
        ({"step": 3}, r"init.workdir .*checkpoints/3 does not exist.*\[2, 4\]"),
    ],
)
def test_an_ancestor_that_is_not_there_is_named(ground, init, message):
    with pytest.raises(ValueError, match=message):
        inherit(ground, **init)


def test_nobody_is_asked_for_maps_unless_they_weigh(ground):
    parsed = settings(ground)
    gone = dataclasses.replace(parsed.init, workdir="/nowhere")
    assert ancestor.teacher(dataclasses.replace(parsed, init=gone)) is None


def test_maps_that_mean_something_else_are_refused(ground):
    other = {"radius": 7.0, "skeleton": "tree"}
    parsed = settings(ground, distill_weight=1.0, representation=other)
    with pytest.raises(ValueError, match="mean something else") as error:
        ancestor.teacher(parsed)
    assert "representation.radius: 6.0 -> 7.0" in str(error.value)
    assert "representation.skeleton: 'center' -> 'tree'" in str(error.value)


def test_a_size_that_the_ancestor_cannot_see_is_refused(ground):
    fine = {"model": {"output_stride": 8}, "train": {"image_size": 73}}
    parsed = settings(ground, distill_weight=1.0, what="nothing", **fine)
    with pytest.raises(ValueError, match=r"image_size does not suit .*stride 16, plus"):
        ancestor.teacher(parsed)
    smaller = {"model": {"backbone": "resnet18"}}
    parsed = settings(ground, distill_weight=1.0, what="nothing", **smaller)
    assert ancestor.teacher(parsed), "another network may learn from it"


def descend(ground, where, num_steps, **init):
    """A run on other data, with another seed, that begins with the finished one."""
    config = ground.config(
        data={"reduction": 40},
        train={"seed": 5, "num_steps": num_steps},
        eval={"overlays": 0, "worst": 0},
        init={"workdir": str(ground.finished), "what": "all", **init},
    )
    train.run(config, where)
    return config


def test_a_descendant_begins_where_its_ancestor_ended_and_asks_it_once(
    ground, tmp_path, caplog
):
    caplog.set_level(logging.INFO, "poseseg_jax")
    forebear = ground.copy(tmp_path / "forebear")
    distilling = {"workdir": str(forebear), "distill_weight": 0.5}
    run = tmp_path / "run"
    config = descend(ground, run, 1, **distilling)
    assert f"arrays) from {forebear}, step {NUM_STEPS}" in caplog.text
    first, _ = read_state(run, config, step=1)
    given = inference.restore(forebear).variables["params"]
    reach = 1.01 * config["optim"]["learning_rate"]  # of one step of AdamW
    for ours, theirs in zip(*map(jax.tree.leaves, (first.params, given)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=reach)
    assert "loss/distilled_heatmap" in read_lines(run)[0]

    descend(ground, run, 2, **distilling)
    assert caplog.text.count("Begins with") == 1, "not when it goes on"
    assert "loss/distilled_heatmap" in read_lines(run)[2], "but its maps are seen"
    shutil.rmtree(forebear)
    assert inference.restore(run).step == 2, "nobody needs the ancestor afterwards"


def test_a_run_goes_on_learning_from_the_step_that_it_began_with(
    ground, tmp_path, caplog
):
    """Though its ancestor was trained further, and moved; but not from another step."""
    caplog.set_level(logging.INFO, "poseseg_jax")
    forebear, moved = tmp_path / "forebear", tmp_path / "moved"
    ground.copy(forebear, step=2)
    distilling = {"what": "nothing", "distill_weight": 0.5}
    run = tmp_path / "run"
    descend(ground, run, 1, workdir=str(forebear), **distilling)
    ground.copy(moved)
    shutil.rmtree(forebear)
    config = descend(ground, run, 2, workdir=str(moved), **distilling)
    assert caplog.text.count("Learning from the maps of step 2") == 2
    assert f"another init.workdir: '{forebear}' -> '{moved}'" in caplog.text
    assert json.loads((run / "config.json").read_text())["init"]["step"] == 0
    _, place = read_state(run, config, step=2)
    assert place["ancestor_step"] == 2

    shutil.rmtree(moved / "checkpoints" / "2")
    gone = r"checkpoints/2 does not exist.* maps of one step .*: 2\."
    with pytest.raises(ValueError, match=gone):
        descend(ground, run, 3, workdir=str(moved), **distilling)


def test_without_a_step_named_the_latest_is_settled_on_once(ground):
    parsed = settings(ground)
    settled = ancestor.settled(parsed)
    assert settled == ancestor.at_step(parsed, NUM_STEPS) != parsed
    named = settings(ground, step=2)
    assert ancestor.settled(named) is named
    alone = config_lib.parse(ground.config())
    assert ancestor.settled(alone) is alone
    nowhere = settings(ground, workdir="/nowhere")
    with pytest.raises(ValueError, match=r"init.workdir /nowhere: .*does not exist"):
        ancestor.settled(nowhere)


@pytest.mark.parametrize(
    ("init", "said"),
    [
        ({"workdir": "/nowhere"}, "init.workdir /nowhere: /nowhere does not exist"),
        ({"workdir": "{parent}"}, "holds no run: there is no .*config.json"),
        ({"workdir": "{finished}", "step": 3}, r"no checkpoint of step 3; .* \[2, 4\]"),
    ],
)
def test_a_wrong_ancestor_is_refused_before_anything_is_made(
    ground, tmp_path, monkeypatch, init, said
):
    monkeypatch.delattr(train, "prepare")
    places = {"finished": ground.finished, "parent": ground.finished.parent}
    init["workdir"] = init["workdir"].format(**places)
    with pytest.raises(ValueError, match=said):
        train.run(ground.config(init=init), tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_defaults_have_no_ancestor():
    fields = base.get_config().init.to_dict()
    assert json.loads(json.dumps(fields)) == {
        "workdir": "",
        "what": "backbone",
        "step": 0,
        "distill_weight": 0.0,
    }
