"""The model in the box is there, whole, and finds the people of its pictures."""

import json
import shutil
from configparser import ConfigParser

import pytest

from poseseg_jax import config as config_lib
from poseseg_jax import evaluate, inference, released, train
from poseseg_jax.fields import flat
from poseseg_jax.inference import BOX
from poseseg_jax.predictor import Predictor
from tests.documented import REPOSITORY

PICTURES = {"one.jpg": 1, "five.jpg": 5, "ten.jpg": 10}


def test_its_config_is_of_this_version_and_names_no_path():
    config = json.loads((BOX / "config.json").read_text())
    assert config_lib.parse(config).train.image_size == 97
    words = [value for value in flat(config).values() if isinstance(value, str)]
    assert not [word for word in words if "/" in word]


def test_it_says_what_it_scored_as_its_card_does():
    origin = released.read_origin(BOX)
    assert origin.step == 7000
    card = (BOX / "README.md").read_text()
    for task in ("keypoints", "segm"):
        assert f"{100 * origin.scores[f'{task}/AP']:.1f}" in card


def test_it_finds_most_of_the_people_of_its_pictures():
    predictor = Predictor.from_workdir(square=True)
    for name, count in PICTURES.items():
        found = predictor(BOX / "pictures" / name)
        assert 0.6 * count <= len(found) <= 1.4 * count


def test_all_of_it_is_installed():
    setup = ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    patterns = setup["options.package_data"]["poseseg_jax"].split(", ")
    listed = {path for one in patterns for path in BOX.parent.glob(one)}
    files = {path for path in BOX.rglob("*") if path.is_file()}
    assert {"model.safetensors", "config.json", "README.md"} < {p.name for p in files}
    assert files <= listed


def test_it_is_not_written_to(tmp_path):
    box = shutil.copytree(BOX, tmp_path / "box")
    before = sorted(box.rglob("*"))
    with pytest.raises(ValueError, match="--output"):
        evaluate.evaluate(box)
    with pytest.raises(ValueError, match="another --workdir"):
        train.run(json.loads((box / "config.json").read_text()), box)
    assert sorted(box.rglob("*")) == before
    assert inference.restore(box).step == 7000
