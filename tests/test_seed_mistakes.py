"""Mistakes that were made before, in the code that came before this one.

Most are held off by the tests of the module that could make them again, named in
`ELSEWHERE`; those that no single module can make are tested here.
"""

import ast
import dataclasses
import json
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from configs import base
from poseseg_jax import inference, judging, train_step
from poseseg_jax.coco.results import Results
from poseseg_jax.config import Settings, parse
from poseseg_jax.data.augment import blank
from poseseg_jax.models import poseseg
from tests.drawn import draw_variables

ELSEWHERE = [
    ("scale augmentation that cancels itself",
     "test_augment::test_scale_augmentation_scales_people"),
    ("keypoints cut to integers",
     "test_augment::test_keypoints_outside_become_unlabelled_and_fractions_stay"),
    ("masks warped with interpolation between codes",
     "test_augment::test_every_code_has_its_row"),
    ("unlabelled targets that pull to 0",
     "test_targets::test_unlabelled_keypoints_cost_nothing"),
    ("an edge with one labelled end that pulls to 0",
     "test_targets::test_an_edge_counts_only_if_both_ends_are_labelled"),
    ("joints near the corner taken for absent",
     "test_targets::test_a_joint_in_the_corner_is_a_joint"),
    ("the same error weighing 2 : 4 : 272",
     "test_losses::test_the_same_error_costs_the_same_in_every_offset"),
    ("a sum of means divided by the batch again",
     "test_losses::test_twice_as_much_of_the_same_costs_the_same"),
    ("no shuffling",
     "test_pipeline::test_every_epoch_has_every_picture_in_another_order"),
    ("no seed", "test_pipeline::test_the_seed_decides_everything"),
    ("blue for red", "test_decoding::test_colors_are_rgb"),
    ("a parameter average that nobody makes",
     "test_optim::test_the_average_of_constant_parameters_reaches_them"),
    ("frozen batch norm that is not frozen",
     "test_poseseg::test_only_live_norms_move_the_statistics"),
    ("resuming that is impossible",
     "test_checkpoint::test_a_checkpoint_gives_back_everything"),
    ("resuming with other pictures",
     "test_pipeline::test_restored_state_continues_exactly"),
    ("absent joints written as (0, 0)",
     "test_results::test_a_keypoint_that_was_not_found_has_a_place_all_the_same"),
    ("a pose's scale from joints that were not found",
     "test_decode_scoring::test_what_was_not_found_does_not_matter_for_the_scale"),
    ("joints near the corner rejected by the decoder",
     "test_decode::test_a_joint_in_the_corner_is_a_joint"),
    ("all scores 1.0", "test_decode::test_doubt_lowers_the_score"),
    ("grouping that nobody can call",
     "test_decode::test_the_whole_equals_the_loops_in_a_row"),
    ("nobody found and a decoder that fails",
     "test_decode::test_an_empty_picture_has_empty_slots"),
    ("nobody found and a crash",
     "test_coco_scoring::test_without_results_the_score_is_zero_and_that_is_said"),
    ("training on the validation pictures",
     "test_prepared::test_training_is_multi_then_single_and_validation_is_everything"),
]  # fmt: skip


@pytest.mark.parametrize("case", ELSEWHERE, ids=lambda case: case[0])
def test_it_is_tested_where_it_could_be_made(case, repository):
    module, name = case[1].split("::")
    tests = (repository / "tests" / f"{module}.py").read_text()
    assert f"def {name}(" in tests, f"{case[1]} is gone: who tests this now?"


def small(**changes) -> Settings:
    """Settings of a network that compiles in seconds."""
    config = base.get_config("tiny").to_dict()
    config["model"] |= {"width": 0.25, "neck_channels": 8}
    config["train"] |= {"image_size": 33} | changes
    config["decode"] |= {"max_people": 2, "peaks_per_anchor": 2}
    return parse(config)


def test_the_seed_decides_the_parameters():
    def kernel(seed):
        init, _ = train_step.build(small(seed=seed))
        # One kernel alone: the rest would take a minute to compile.
        return jax.jit(lambda: init().params["backbone"]["down0"]["kernel"])()

    first = kernel(0)
    np.testing.assert_array_equal(kernel(0), first)
    assert (kernel(1) != first).all()


def test_what_is_found_does_not_depend_on_the_other_pictures():
    """Batch statistics of the test would make it so."""
    settings = small()
    network = poseseg.build(settings.model, settings.representation)
    images = np.random.default_rng(0).integers(0, 256, (3, 33, 33, 3), np.uint8)
    variables = draw_variables(partial(network.init, train=False), images)
    detect = inference.make_detect(settings)
    one, other = detect(variables, images[:2]), detect(variables, images[::2])
    assert one.poses.score[0].any()
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a[0], b[0])


def test_the_host_sends_pixels_and_keypoints_instead_of_targets():
    """At 401 px less than a megabyte; the float maps would be a hundred."""
    batch = blank(401, max_people=30)
    assert sum(leaf.nbytes for leaf in jax.tree.leaves(batch)) < 700_000


def attributes_read(folder: Path) -> set[str]:
    """All x of something.x in the code that uses settings."""
    trees = [
        ast.parse(path.read_text())
        for path in folder.rglob("*.py")
        if path.name != "config.py"
    ]
    # Of the config's own room only what Settings tell others counts, not its checks.
    own = ast.parse((folder / "config.py").read_text())
    trees += [node for node in own.body if getattr(node, "name", "") == "Settings"]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def test_every_field_of_a_config_is_read(repository):
    read = attributes_read(repository / "poseseg_jax")
    settings = parse(base.get_config().to_dict())
    groups = dataclasses.fields(settings)
    fields = [
        field
        for group in groups
        if dataclasses.is_dataclass(group.type)
        for field in dataclasses.fields(group.type)
    ]
    unread = [field.name for field in (*groups, *fields) if field.name not in read]
    assert not unread


def test_each_task_is_written_to_its_own_file(tmp_path):
    common = {"image_id": 1, "category_id": 1, "score": 0.5}
    found = Results(
        keypoints=[{**common, "keypoints": [1.0] * 51}],
        segm=[{**common, "segmentation": {"size": [2, 2], "counts": "04"}}],
    )
    judging.write_results(tmp_path, found)
    for task in ("keypoints", "segm"):
        written = json.loads((tmp_path / f"results_{task}.json").read_text())
        assert written == getattr(found, task)
