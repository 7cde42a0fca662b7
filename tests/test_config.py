"""Every config is whole and makes sense, and nonsense is refused by name."""

import dataclasses
import functools
import importlib
import json
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from configs import base
from poseseg_jax import config as config_lib
from poseseg_jax import inference, optim, train_step
from poseseg_jax.config import InitSettings, OptimSettings, Settings, parse
from poseseg_jax.data.settings import DataSettings
from poseseg_jax.fields import differences, flat
from poseseg_jax.losses import TERMS
from poseseg_jax.models.stages import stage_of
from poseseg_jax.skeleton import NUM_KEYPOINTS, SKELETONS
from poseseg_jax.structs import Batch

FOLDER = Path(base.__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
# Of another question than the rest, and in want of weights.
MINI = "coco_mini"
EVERY_CONFIG = pytest.mark.parametrize(
    ("name", "preset"), [(name, preset) for name in NAMES for preset in base.PRESETS]
)


def load(name="base", preset="", **changes) -> dict:
    """A config as plain dicts; `changes` are group__field=value."""
    module = importlib.import_module(f"configs.{name}")
    config = module.get_config(preset).to_dict()
    if name == MINI and not preset:  # which its command line names; nobody reads it
        config["model"]["pretrained"] = "weights.safetensors"
    for key, value in changes.items():
        group, field = key.split("__")
        config[group][field] = value
    return config


def settings(name="base", preset="", **changes) -> Settings:
    return parse(load(name, preset, **changes))


@EVERY_CONFIG
def test_every_config_is_parsed(name, preset):
    parsed = settings(name, preset)
    by = {"bias": "removal", "random": "random", "reweight": "reweight"}
    kind, removed = name.rstrip("0123456789"), name[-2:]
    assert parsed.data.reduction == (int(removed) if kind in by else 0)
    assert parsed.data.reduction_by == by.get(kind, "removal")
    assert parsed.representation.skeleton in SKELETONS.values()


@pytest.mark.parametrize("preset", base.PRESETS)
@pytest.mark.parametrize("name", [name for name in NAMES if name != MINI])
def test_configs_differ_in_their_reduction_alone(name, preset):
    """So that whatever else comes out different comes from it."""
    changes = differences(load("full", preset), load(name, preset))
    assert set(changes) <= {"data.reduction", "data.reduction_by"}


@EVERY_CONFIG
def test_a_train_step_keeps_the_shapes_of_the_state(name, preset):
    # The step does not know of data; what remains is the same for many configs.
    parsed = dataclasses.replace(settings(name, preset), data=settings().data)
    evaluate_shapes(parsed)


@pytest.mark.parametrize(
    "changes",
    [
        {"refine_stages": 2},
        {"refine_stages": 1, "refine_steps": 1, "refine_maps": "keypoint"},
        {"body_map": False, "refine_stages": 1},
        {"remat": True},
        {"neck": "upsample", "backbone": "resnet18", "refine_stages": 1},
    ],
    ids=str,
)
def test_every_part_of_the_network_fits_a_train_step(changes):
    small = {f"model__{name}": value for name, value in changes.items()}
    evaluate_shapes(settings(preset="tiny", **small))


@functools.cache
def evaluate_shapes(parsed: Settings) -> None:
    init, step = train_step.build(parsed)
    state = jax.eval_shape(init)
    after, report = jax.eval_shape(step, state, abstract_batch(parsed))
    assert jax.tree.structure(after) == jax.tree.structure(state)
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        assert (old.shape, old.dtype) == (new.shape, new.dtype)
    model = parsed.model
    stages = model.refine_stages + bool(model.refine_steps)
    prefixes = ["", *(f"stage{number}/" for number in range(stages))]
    terms = [name for name in TERMS if name != "body" or model.body_map]
    named = {f"{prefix}{name}" for prefix in prefixes for name in terms}
    assert report.keys() == {"total", "gradient_norm", *named}
    for value in report.values():
        assert (value.shape, value.dtype) == ((), jnp.float32)


def abstract_batch(parsed: Settings) -> Batch:
    side, people = parsed.train.image_size, parsed.data.max_people

    def rows(*shape, dtype=jnp.float32) -> Any:
        return jax.ShapeDtypeStruct((parsed.train.batch_size, *shape), dtype)

    return Batch(
        image=rows(side, side, 3, dtype=jnp.uint8),
        people=rows(side, side, dtype=jnp.uint8),
        keypoints=rows(people, NUM_KEYPOINTS, 2),
        visibility=rows(people, NUM_KEYPOINTS, dtype=jnp.uint8),
        box=rows(people, 4),
        area=rows(people),
        to_input=rows(2, 3),
        size=rows(2, dtype=jnp.int32),
        image_id=rows(dtype=jnp.int32),
        is_real=rows(dtype=jnp.bool_),
    )


def test_who_sees_a_config_is_named():
    """All but those who are about configs, whosever they are."""
    package = Path(config_lib.__file__).parent
    seen = {
        ".".join(path.relative_to(package).with_suffix("").parts)
        for path in package.rglob("*.py")
        if re.search(
            r"config: Mapping|config_flag\.given|CONFIG_FILE|get_config\(\S*\)\.",
            path.read_text(),
        )
    } - {"config", "config_flag", "fields"}
    assert set(re.findall(r"`([\w.]+)`", config_lib.__doc__ or "")) == seen


def test_the_small_real_set_asks_for_weights():
    config = load(MINI, model__pretrained="")
    with pytest.raises(ValueError, match=r"model\.pretrained names no file"):
        parse(config)


def test_with_the_preset_tiny_the_small_real_set_is_drawn_as_all_are():
    assert not differences(load("full", "tiny"), load(MINI, "tiny"))


def test_in_the_small_real_set_the_best_checkpoint_is_one_that_is_kept():
    parsed = settings(MINI)
    assert parsed.eval.every_steps % parsed.checkpoint.every_steps == 0
    assert parsed.optim.warmup_steps < parsed.train.num_steps
    assert parsed.eval_image_size == 641


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(settings().train, "seed", 1)  # noqa: B010


def test_a_config_survives_its_file():
    config = load(preset="tiny")
    assert parse(json.loads(json.dumps(config))) == parse(config)


def test_settings_say_what_the_config_says():
    parsed = settings(train__seed=7, loss__mid=0.5, representation__skeleton="both")
    assert (parsed.train.seed, parsed.loss.mid) == (7, 0.5)
    assert parsed.representation.skeleton is SKELETONS["both"]
    assert isinstance(parsed.data, DataSettings)
    assert isinstance(parsed.optim, OptimSettings)


@pytest.mark.parametrize(
    ("group", "wrong", "meant"),
    [
        ("train", "num_step", "num_steps"),
        ("representation", "raduis", "radius"),
        ("data", "redution", "reduction"),
        ("optim", "learningrate", "learning_rate"),
    ],
)
def test_an_unknown_field_is_refused_with_what_was_meant(group, wrong, meant):
    message = f"no field '{wrong}' in {group}; did you mean '{meant}'"
    changes: dict[str, Any] = {f"{group}__{wrong}": 1}
    with pytest.raises(ValueError, match=message):
        settings(**changes)


def test_a_field_that_is_like_no_other_is_refused_with_all_there_are():
    with pytest.raises(ValueError, match=r"no field 'zzz' in eval; known: .*overlays"):
        settings(eval__zzz=1)


def test_an_unknown_group_is_refused():
    with pytest.raises(ValueError, match="'tarin' in config; did you mean 'train'"):
        parse({**load(), "tarin": {}})


@pytest.mark.parametrize(
    "group",
    [
        field.name
        for field in dataclasses.fields(Settings)
        if dataclasses.is_dataclass(field.type)
    ],
)
def test_a_missing_field_is_refused_by_name(group):
    field = next(iter(load()[group]))
    config = load()
    del config[group][field]
    with pytest.raises(ValueError, match=f"(?s){group}.*{field}|{group}.{field}"):
        parse(config)
    del config[group]
    with pytest.raises(ValueError, match=f"config lacks .*'{group}'"):
        parse(config)


def test_a_field_of_no_group_is_one_like_all_others():
    config = load()
    assert parse({**config, "profile": True}).profile
    assert differences(config, {**config, "profile": True}) == {
        "profile": (False, True)
    }
    with pytest.raises(ValueError, match="'profil' in config; did you mean 'profile'"):
        parse({**config, "profil": True})
    del config["profile"]
    with pytest.raises(ValueError, match=r"config lacks \['profile'\]"):
        parse(config)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("train__num_steps", 0, "train.num_steps is 0; it must be at least 1"),
        ("train__batch_size", -2, "train.batch_size is -2; it must be at least 1"),
        ("train__log_every", 0, "train.log_every is 0; it must be at least 1"),
        ("checkpoint__every_steps", 0, "checkpoint.every_steps is 0"),
        ("checkpoint__keep", 0, "checkpoint.keep is 0; it must be at least 1"),
        ("eval__every_steps", -1, "eval.every_steps is -1; it must be at least 0"),
        ("eval__batch_size", 0, "eval.batch_size is 0"),
        ("eval__scales", (), r"eval.scales is \(\); it must name one scale"),
        ("eval__scales", (1.0, 0.0), r"eval.scales is \(1.0, 0.0\)"),
        ("optim__learning_rate", NAN, "optim.learning_rate is nan; .* at least 0"),
        ("optim__learning_rate", INF, "optim.learning_rate is inf"),
        ("optim__learning_rate", -1e-3, "optim.learning_rate is -0.001"),
        ("optim__warmup_steps", -1, "optim.warmup_steps is -1"),
        ("optim__ema", 1.0, r"optim.ema is 1.0; it must be in \[0, 1\)"),
        ("optim__momentum", -0.1, r"optim.momentum is -0.1; it must be in \[0, 1\)"),
        ("optim__accumulate_steps", 0, "optim.accumulate_steps is 0; .* at least 1"),
        ("optim__accumulate_steps", 5, "batch_size 32 does not divide into 5 equal"),
        ("optim__backbone_rate", -1.0, "optim.backbone_rate is -1.0"),
        ("optim__layer_decay", NAN, "optim.layer_decay is nan"),
        ("optim__reference_batch_size", -1, "optim.reference_batch_size is -1"),
        ("optim__freeze_stages", -1, "optim.freeze_stages is -1; .* at least 0"),
        ("optim__freeze_stages", 2, "freeze_stages is 2, but neither model.pretrained"),
        ("model__norm", "frozen", "model.norm is 'frozen', but neither .*init.workdir"),
        ("init__what", "heads", "init.what is 'heads'; there are .*'all'"),
        ("init__step", 5, "init.step is 5 .*but init.workdir names no ancestor"),
        ("init__distill_weight", 0.5, "distill_weight 0.5, but init.workdir names no"),
        ("init__distill_weight", -0.5, "init.distill_weight is -0.5; .* at least 0"),
        ("optim__freeze_stages", 6, "stages is 6, but .* 'resnet101' .* has 5 stages"),
        ("model__pretrained_partial", True, "model.pretrained names no file"),
        ("init__what", "all", "init.what is 'all', but init.workdir names no ancestor"),
        ("init__what", "nothing", "init.what is 'nothing', but init.workdir names no"),
        ("optim__name", "adam", r"optim.name is 'adam'; there are \('adamw', 'sgd'\)"),
        ("optim__schedule", "step", "optim.schedule is 'step'; there are .*'cosine'"),
        ("loss__heatmap", -1.0, "loss.heatmap is -1.0; it must be at least 0"),
        ("loss__mid", NAN, "loss.mid is nan"),
        ("loss__intermediate_weight", -1.0, "loss.intermediate_weight is -1.0"),
        ("model__refine_maps", "all", "model.refine_maps is 'all'; there are .*'mask'"),
        ("loss__positive_weight", INF, "loss.positive_weight is inf"),
        ("representation__radius", 0.0, "representation.radius is 0.0"),
        ("representation__body_sigma", 0.0, "representation.body_sigma is 0.0"),
        ("representation__skeleton", "star", "skeleton is 'star'; there are .*'tree'"),
        ("representation__map_stride", 3, "representation.map_stride is 3"),
        ("representation__person_stride", 8, "representation.person_stride is 8"),
        ("model__backbone", "vgg", "model.backbone is 'vgg'; there are"),
        ("model__output_stride", 0, "model.output_stride is 0; there are"),
        ("decode__max_people", 0, "decode.max_people is 0; it must be at least 1"),
        ("decode__max_people", 800, "decode.max_people is 800, but .* at most 720"),
        ("decode__peaks_per_anchor", 0, "decode.peaks_per_anchor is 0"),
        ("decode__suppression_radius", -1.0, "decode.suppression_radius is -1.0"),
        ("decode__peak_threshold", 0.0, "decode.peak_threshold is 0.0; .* 1e-06"),
        ("decode__found_threshold", 0, "decode.found_threshold is 0.0; .* 1e-06"),
        (
            "decode__center_radius_min",
            11.0,
            "center_radius_min 11.0 must not exceed decode.center_radius 10.0",
        ),
        ("data__reduction", 101, r"data.reduction is 101; .* 0 ... 100"),
        ("data__reduction_by", "magic", "data.reduction_by is 'magic'; there are"),
        ("data__head_count", "all", "data.head_count is 'all'; .*'labelled', 'ann"),
        ("data__on_error", "ignore", "data.on_error is 'ignore'; there are .*'skip'"),
        ("data__max_people", 253, "data.max_people is 253; .* 252 at most"),
        ("data__num_workers", -1, "data.num_workers is -1"),
        ("data__labels", "pose", "data.labels is 'pose'; there are .*'keypoints'"),
        ("data__order_seed", -1, "data.order_seed is -1; it must be at least 0"),
        ("data__embedded_val", 0, "data.embedded_val is 0; it must be at least 1"),
        ("augment__flip", 1.5, r"augment.flip must lie in \[0, 1\]; got 1.5"),
        ("augment__scale_min", 2.0, r"augment.scale_min must lie in .*; got 2.0"),
        ("train__image_size", 640, "stride 16, plus 1; got 640. Nearest: 625 or 641"),
        ("train__image_size", 0, "stride 16, plus 1; got 0. Nearest: 17 or 33"),
    ],
)
def test_nonsense_is_refused_with_field_value_and_what_was_expected(
    field, value, expected
):
    with pytest.raises(ValueError, match=expected):
        settings(**{field: value})


@pytest.mark.parametrize("name", flat(load()))
def test_a_value_of_another_type_is_refused_by_name(name):
    config = load()
    group, _, field = name.rpartition(".")
    (config[group] if group else config)[field] = {}
    with pytest.raises(ValueError, match=f"{name} is {{}}; (expected|there are)"):
        parse(config)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("train__num_steps", "7000", "train.num_steps is '7000'; .* a whole number"),
        ("train__num_steps", 7e3, "train.num_steps is 7000.0; .* a whole number"),
        ("train__seed", True, "train.seed is True; expected a whole number"),
        ("eval__flip", "no", "eval.flip is 'no'; expected True or False"),
        ("eval__flip", 0, "eval.flip is 0; expected True or False"),
        ("eval__scales", "1", "eval.scales is '1'; expected numbers, as 0.8,1"),
        ("eval__scales", [1, None], r"eval.scales is \[1, None\]; expected numbers"),
        ("optim__learning_rate", "1e-3", "learning_rate is '1e-3'; expected a number"),
        ("data__root", None, "data.root is None; expected a text"),
        ("representation__skeleton", ["tree"], r"\['tree'\]; there are .*'tree'"),
    ],
)
def test_what_only_looks_like_a_value_of_its_type_is_refused(field, value, expected):
    with pytest.raises(ValueError, match=expected):
        settings(**{field: value})


def test_a_group_without_fields_is_refused():
    with pytest.raises(ValueError, match="train is 7; expected fields"):
        parse({**load(), "train": 7})


def test_a_whole_number_will_do_for_a_number_and_a_list_for_a_tuple():
    parsed = settings(loss__mid=1, eval__scales=[1])
    assert (parsed.loss.mid, parsed.eval.scales) == (1.0, (1.0,))
    assert [type(value) for value in (parsed.loss.mid, *parsed.eval.scales)] == [
        float,
        float,
    ]


@pytest.mark.parametrize(
    ("backbone", "output_stride", "stages"),
    [("resnet18", 16, 5), ("resnet152", 8, 5), ("tiny", 16, 4), ("tiny", 32, 5)],
)
def test_as_many_stages_can_be_frozen_as_there_are(backbone, output_stride, stages):
    network = {"model__backbone": backbone, "model__output_stride": output_stride}
    ancestor = {"init__workdir": "W", "train__image_size": 641}
    parsed = settings(**network, **ancestor, optim__freeze_stages=stages)
    names = inference.abstract_variables(parsed)["params"]["backbone"]
    found = {stage_of(f"backbone/{name}/x") for name in names}
    assert found == set(range(stages))
    with pytest.raises(ValueError, match=f"{backbone!r} .* has {stages} stages"):
        settings(**network, **ancestor, optim__freeze_stages=stages + 1)


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34", "tiny"])
def test_only_bottlenecks_stride_elsewhere(backbone):
    assert settings(model__bottleneck_stride="1x1").model.bottleneck_stride == "1x1"
    with pytest.raises(ValueError, match=f"'{backbone}' has no bottlenecks"):
        settings(model__backbone=backbone, model__bottleneck_stride="1x1")


def test_a_backbone_begins_with_one_thing():
    both = {"init__workdir": "W", "model__pretrained": "f.safetensors"}
    with pytest.raises(ValueError, match=r"W and model.pretrained f.* both give"):
        settings(**both)
    # Its maps alone are no beginning.
    assert settings(**both, init__what="nothing", init__distill_weight=1.0)


@pytest.mark.parametrize(
    ("workdir", "what", "expected"),
    [
        ("W", "all", True),
        ("W", "backbone", True),
        ("W", "nothing", False),  # its maps, at most
        ("", "backbone", False),
    ],
)
def test_an_ancestor_gives_parameters_unless_nothing_is_asked_for(
    workdir, what, expected
):
    assert InitSettings(workdir, what, 0, 0.0).gives_parameters is expected


def test_an_ancestor_that_gives_nothing_is_refused():
    with pytest.raises(ValueError, match=r"and init\.distill_weight 0 nothing comes"):
        settings(init__workdir="W", init__what="nothing")


@pytest.mark.parametrize("what", ["backbone", "all"])
def test_what_an_ancestor_gives_can_be_kept(what):
    kept = {"optim__freeze_stages": 2, "model__norm": "frozen", "init__what": what}
    assert settings(**kept, init__workdir="W").optim.freeze_stages == 2


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_sides_follow_the_networks_largest_stride(stride):
    side = 10 * stride + 1
    parsed = settings(model__output_stride=stride, train__image_size=side)
    assert parsed.train.image_size == side
    with pytest.raises(ValueError, match=f"stride {stride}, plus 1; got {side + 4}"):
        settings(model__output_stride=stride, train__image_size=side + 4)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_every_choice_of_optimizer_can_be_made(name, schedule):
    parsed = settings(optim__name=name, optim__schedule=schedule)
    optim.make(parsed.optim, num_steps=1, batch_size=1)


def test_masks_alone_need_centres_to_find_people_by():
    with pytest.raises(ValueError, match=r"data\.labels is 'masks', but a tree"):
        settings(data__labels="masks", representation__skeleton="tree")
    settings(data__labels="masks", representation__skeleton="both")
    settings(data__labels="keypoints", representation__skeleton="tree")


@pytest.mark.parametrize("scales", [(float("nan"),), (1.0, float("inf"))])
def test_scales_are_finite_numbers(scales):
    with pytest.raises(ValueError, match=r"eval\.scales is"):
        settings(eval__scales=scales)
