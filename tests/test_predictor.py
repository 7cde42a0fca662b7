"""A Predictor says what evaluation says, of pictures however they are given."""

import dataclasses
import json

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from poseseg_jax import inference
from poseseg_jax.data.photos import of_pixels
from poseseg_jax.predictor import Predictor
from poseseg_jax.structs import Instances, Poses
from tests import tiny_run
from tests.test_shapes import all_shapes
from tests.tiny_run import NUM_VAL, SIZE


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    with tiny_run.ground(tmp_path_factory) as ground, tiny_run.remembering():
        yield ground


@pytest.fixture(scope="module")
def pictures(ground):
    return sorted((ground.drawn / "val2017").glob("*.jpg"))


@pytest.fixture(scope="module")
def trained(ground):
    return inference.restore(ground.finished)


@pytest.fixture(scope="module")
def predictor(trained):
    return Predictor(trained, min_score=0.0, square=True)


def assert_same_people(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        for field in dataclasses.fields(a):
            values = (getattr(person, field.name) for person in (a, b))
            np.testing.assert_allclose(*values, atol=1e-3)


def test_people_are_those_of_the_evaluation(ground, trained, pictures):
    """With its shape and its batch: to the last digit that is written."""
    size = trained.settings.eval.batch_size
    predictor = Predictor(trained, min_score=0.0, square=True, batch_size=size)
    keypoints, segm = [], []
    for path, people in zip(pictures, predictor(pictures), strict=True):
        for person in people:
            entry = person.to_coco(int(path.stem))
            common = {key: entry[key] for key in ("image_id", "category_id", "score")}
            keypoints.append({**common, "keypoints": entry["keypoints"]})
            segm.append({**common, "segmentation": entry["segmentation"]})
    assert len(pictures) == NUM_VAL
    for task, found in (("keypoints", keypoints), ("segm", segm)):
        expected = (ground.finished / f"results_{task}.json").read_text()
        assert found == json.loads(expected)


def test_pictures_of_all_kinds_come_back_in_order(predictor, pictures):
    several = predictor(pictures)
    assert len(several) == len(pictures)
    for path, people in zip(pictures, several, strict=True):
        assert_same_people(people, predictor(path))
        assert_same_people(people, predictor(str(path)))


def test_an_array_is_as_good_as_a_file(predictor, tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (40, SIZE, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    assert_same_people(predictor(image), predictor(tmp_path / "a.png"))
    (people,) = predictor([image])
    assert_same_people(people, predictor(image))
    assert predictor([]) == []


def test_people_have_their_scores_and_their_pictures_size(predictor):
    image = np.random.default_rng(0).integers(0, 255, (50, 31, 3), np.uint8)
    people = predictor(image)
    scores = [person.score for person in people]
    assert people
    assert scores == sorted(scores, reverse=True)
    assert {person.mask.shape for person in people} == {(50, 31)}


def test_who_is_less_sure_than_asked_is_left_out(trained, predictor, pictures):
    everybody = predictor(pictures[0])
    level = (everybody[0].score + everybody[1].score) / 2
    chosen = Predictor(trained, min_score=level, square=True)(pictures[0])
    assert_same_people(chosen, everybody[:1])


def test_a_shape_that_saves_padding_finds_the_same_people(trained, predictor):
    """Nearly: convolutions see the picture's end where there was padding."""
    image = np.random.default_rng(0).integers(0, 255, (30, SIZE, 3), np.uint8)
    fitting = Predictor(trained, min_score=0.0)
    look, whole = fitting.look(of_pixels(image)), predictor.look(of_pixels(image))
    rows = look.input.shape[0]
    assert rows < whole.input.shape[0]
    np.testing.assert_array_equal(look.input, whole.input[:rows])
    one, other = fitting(image)[0], predictor(image)[0]
    assert one.score == pytest.approx(other.score, abs=0.05)
    assert one.mask.shape == other.mask.shape == (30, SIZE)


def test_nothing_is_compiled_again_once_its_shape_was_seen(trained, monkeypatch):
    @jax.jit
    def detect(variables, images):
        slots = images[:, :2, 0, 0] / 255.0
        people = Poses(
            jnp.zeros((*slots.shape, 17, 2)), jnp.ones((*slots.shape, 17)), slots
        )
        return Instances(people, jnp.zeros((*slots.shape, 9, 9)))

    monkeypatch.setattr(inference, "make_detect", lambda settings: detect)
    predictor = Predictor(trained, batch_size=4)
    side, stride = trained.settings.eval_image_size, 16
    generator = np.random.default_rng(0)

    def mixed(count):
        shapes = generator.integers(20, 90, (count, 2)).tolist()
        return [generator.integers(0, 255, (*s, 3), np.uint8) for s in shapes]

    compiled = []
    with counting(lambda: compiled.append(1)):
        for shape in sorted(all_shapes(side, stride)):
            blank = np.zeros((*shape, 3), np.uint8)
            predictor([blank])
            predictor(blank)
        warm = len(compiled)
        for images in (mixed(13), mixed(1), mixed(6)):
            predictor(images)
            predictor(images[0])
    assert warm > 0
    assert len(compiled) == warm


class counting:
    """Calls `notify` whenever JAX traces a function into a program, in this block."""

    def __init__(self, notify):
        self.notify = notify

    def __enter__(self):
        jax.monitoring.register_event_duration_secs_listener(self.hear)

    def hear(self, event, seconds, **fields):
        if event.endswith("jaxpr_trace_duration"):
            self.notify()

    def __exit__(self, *_):
        jax.monitoring.unregister_event_duration_listener(self.hear)


def test_views_can_be_asked_for(ground):
    predictor = Predictor.from_workdir(ground.finished, flip=True, scales=[0.5])
    assert predictor.settings.eval.flip
    assert predictor.settings.eval.scales == (0.5,)
    assert predictor.step == 4
    assert not Predictor.from_workdir(ground.finished, step=2).settings.eval.flip


def test_another_decoder_and_other_views_can_be_asked_for(ground):
    wanted = {"decode.snap_radius": 10, "eval.flip": True}
    scales = np.linspace(0.5, 1, 3)
    predictor = Predictor.from_workdir(ground.finished, changes=wanted, scales=scales)
    assert predictor.settings.decode.snap_radius == 10
    assert predictor.settings.eval.flip
    assert predictor.settings.eval.scales == (0.5, 0.75, 1.0)


def test_on_a_cpu_pictures_go_one_by_one(trained, monkeypatch):
    assert Predictor(trained).batch_size == 1
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert Predictor(trained).batch_size == trained.settings.eval.batch_size


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"min_score": 1.5}, "min_score is 1.5"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"scales": ()}, "eval.scales"),
        ({"changes": {"train.seed": 1}}, "train.seed shapes the network or its"),
        ({"changes": {"eval.flip": True}, "flip": False}, "eval.flip is given twice"),
        ({"step": 3}, "checkpoints/3 does not exist"),
    ],
)
def test_nonsense_is_refused(ground, wishes, words):
    with pytest.raises(ValueError, match=words):
        Predictor.from_workdir(ground.finished, **wishes)


def test_what_is_no_picture_is_refused_by_its_place(predictor, tmp_path):
    with pytest.raises(ValueError, match="picture 1 of the list is float64"):
        predictor([np.zeros((9, 9, 3), np.uint8), np.zeros((9, 9, 3))])
    with pytest.raises(ValueError, match=r"none\.jpg"):
        predictor(tmp_path / "none.jpg")
