"""TensorBoard shows what a network that is being trained says, and that costs nothing
but time."""

import io

import numpy as np
import pytest
from PIL import Image

from poseseg_jax import train, watching
from tests import tiny_run
from tests.test_logbook import events
from tests.tiny_run import NUM_STEPS

WIDEST = 1500  # px


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground:
        yield ground


def pictures(workdir):
    """(step, name) -> RGB, of all that was shown."""
    return {
        (event.step, value.tag): np.asarray(
            Image.open(io.BytesIO(value.image.encoded_image_string))
        )
        for event in events(workdir)
        for value in event.summary.value
        if value.HasField("image")
    }


def test_an_evaluation_shows_people_and_one_pictures_maps(ground):
    shown = pictures(ground.finished)
    overlays = ground.config()["eval"]["overlays"]
    names = sorted(name for step, name in shown)
    assert {step for step, _ in shown} == {NUM_STEPS}
    assert names[0] == "maps/val"
    assert len(names) == 1 + overlays
    assert all(name.startswith("val/") for name in names[1:])
    for picture in shown.values():
        assert picture.shape[1] <= WIDEST
        assert picture.std() > 20


def test_pictures_change_nothing_that_is_learned(ground, tmp_path):
    config = ground.config(eval={"overlays": 0})
    train.run(config, tmp_path / "bare")
    assert not pictures(tmp_path / "bare")
    bare, _ = tiny_run.read_state(tmp_path / "bare", config)
    shown, _ = tiny_run.read_state(ground.finished, ground.config())
    tiny_run.assert_same_state(bare, shown)


@pytest.mark.parametrize(
    ("heads", "chosen"), [([0, 1, 5, 3, 2], 3), ([0, 1, 9, 5], 2), ([0, 0], 0)]
)
def test_the_maps_shown_are_of_a_picture_with_a_few_people(heads, chosen):
    split = [
        {"visibility": np.ones((count, 17), np.uint8), "image_id": index}
        for index, count in enumerate(heads)
    ]
    assert watching._choose(split)["image_id"] == chosen
