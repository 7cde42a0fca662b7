"""What a workdir gives back, and the program from pictures to people."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import expit

from poseseg_jax import config as config_lib
from poseseg_jax import inference
from poseseg_jax.models import poseseg
from poseseg_jax.structs import Instances, Maps
from tests import tiny_run
from tests.tiny_run import NUM_STEPS, SIZE, assert_same_state, read_state


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground:
        yield ground


@pytest.fixture(scope="module")
def trained(ground):
    return inference.restore(ground.finished)


@pytest.fixture(scope="module")
def detect(trained):
    return inference.make_detect(trained.settings)


def noise(count, *, seed=0):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def test_settings_and_averaged_parameters_come_back(ground, trained):
    state, _ = read_state(ground.finished, ground.config())
    assert trained.step == NUM_STEPS
    assert trained.settings.train.image_size == SIZE
    assert_same_state(trained.variables["params"], state.ema)
    assert_same_state(trained.variables["batch_stats"], state.batch_stats)


def test_any_checkpoint_can_be_asked_for(ground, trained):
    early = inference.restore(ground.finished, step=2)
    state, _ = read_state(ground.finished, ground.config(), step=2)
    assert early.step == 2
    assert_same_state(early.variables["params"], state.ema)
    with pytest.raises(ValueError, match=r"checkpoints/3 does not exist.*\[2, 4\]"):
        inference.restore(ground.finished, step=3)


def test_the_best_checkpoint_can_be_asked_for_if_one_was_scored(ground, tmp_path):
    assert inference.restore(ground.finished, best=True).step == 4
    workdir = ground.copy(tmp_path / "run", step=2)
    with pytest.raises(ValueError, match="no checkpoint that was scored"):
        inference.restore(workdir, best=True)


def test_variables_are_known_before_they_are_there(trained):
    expected = inference.abstract_variables(trained.settings)
    assert jax.tree.structure(expected) == jax.tree.structure(trained.variables)
    for one, other in zip(
        jax.tree.leaves(expected), jax.tree.leaves(trained.variables), strict=True
    ):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)


def test_the_last_stage_is_decoded_picture_by_picture(trained, monkeypatch):
    cells = jnp.arange(6.0).reshape(2, 3)
    stages = [Maps(*[cells + number] * 6) for number in (100, -2)]

    class Network:
        def apply(self, variables, images, *, train):
            assert not train
            return stages

    def read(maps, **settings):
        assert settings.keys() == {"representation", "settings"}
        assert maps.heatmap.shape == (3,)
        return Instances(poses=maps.heatmap, masks=maps.short)

    monkeypatch.setattr(poseseg, "build", lambda *settings: Network())
    monkeypatch.setattr(inference, "decode", read)
    found = inference.make_detect(trained.settings)({}, noise(2))
    np.testing.assert_allclose(found.poses, expit(stages[1].heatmap))
    np.testing.assert_array_equal(found.masks, stages[1].short)


def test_every_picture_has_its_slots_best_first(trained, detect):
    found = detect(trained.variables, noise(4))
    people, keypoints = trained.settings.decode.max_people, 17
    cells = SIZE // trained.settings.representation.person_stride + 1
    assert found.poses.keypoints.shape == (4, people, keypoints, 2)
    assert found.poses.confidence.shape == (4, people, keypoints)
    assert found.masks.shape == (4, people, cells, cells)
    for values in (found.poses.confidence, found.poses.score, found.masks):
        assert 0 <= float(values.min()) <= float(values.max()) <= 1
    assert (np.diff(found.poses.score) <= 0).all()


def test_pictures_do_not_depend_on_their_neighbours(trained, detect):
    images = noise(4)
    images[1] = 0
    both = detect(trained.variables, images)
    turned = detect(trained.variables, images[::-1].copy())
    for one, other in zip(jax.tree.leaves(both), jax.tree.leaves(turned), strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_allclose(one, other[::-1], atol=1e-4)


def test_a_side_that_does_not_fit_is_refused(trained, detect):
    with pytest.raises(ValueError, match=f"{SIZE + 1}"):
        detect(trained.variables, np.zeros((1, SIZE + 1, SIZE, 3), np.uint8))


@pytest.mark.parametrize("content", [None, "", "{", "{}"])
def test_a_workdir_without_a_readable_config_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=str(tmp_path / "config.json")):
        inference.read_settings(tmp_path)


def test_a_workdir_without_checkpoints_is_refused(ground, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(ground.config()))
    with pytest.raises(ValueError, match="checkpoints does not exist: train first"):
        inference.restore(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ValueError, match="no checkpoint yet"):
        inference.restore(tmp_path)


def test_settings_come_back_from_json_as_they_were(ground, trained):
    expected = config_lib.parse(ground.config())
    for field in dataclasses.fields(expected):
        if field.name != "representation":
            assert getattr(trained.settings, field.name) == getattr(
                expected, field.name
            )
