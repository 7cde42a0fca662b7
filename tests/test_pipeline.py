"""The loader: the same batches however they are made, every picture, named errors."""

import json
import multiprocessing
import subprocess
import sys
import time

import cv2
import jax
import numpy as np
import pytest

from poseseg_jax import geometry
from poseseg_jax.data import pipeline
from poseseg_jax.data.augment import AugmentSettings
from poseseg_jax.data.run_lengths import encode_runs
from poseseg_jax.structs import IGNORE, UNKNOWN_MASK

AUGMENT = AugmentSettings(0.5, 1.5, 20.0, 0.1, 0.5, 0.3)
SIDE = 65


def encode(pixels, extension):
    return cv2.imencode(extension, pixels)[1].tobytes()


def make_record(image_id, height=48, width=64):
    """Noise with one person, whose nose is at its box's upper left pixel."""
    rng = np.random.default_rng(image_id)
    people = np.zeros((height, width), np.uint8)
    people[10:30, 20:30] = 1
    keypoints = np.zeros((1, 17, 2), np.float32)
    keypoints[0, 0] = 20, 10
    visibility = np.zeros((1, 17), np.uint8)
    visibility[0, 0] = 2
    noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return {
        "image": encode(noise, ".jpg"),
        "people": encode_runs(people),
        "image_id": np.int64(image_id),
        "file_name": f"{image_id:012}.jpg",
        "size": np.array([height, width], np.int32),
        "keypoints": keypoints,
        "visibility": visibility,
        "box": np.array([[19.5, 9.5, 29.5, 29.5]], np.float32),
        "area": np.array([200], np.float32),
        "has_mask": np.array([True]),
        "annotation_id": np.array([image_id], np.int64),
    }


RECORDS = [make_record(image_id) for image_id in range(100, 111)]


def train(source=None, **changes):
    arguments = {
        "image_size": SIDE,
        "max_people": 2,
        "augment": AUGMENT,
        "batch_size": 4,
        "seed": 3,
        "num_workers": 0,
    }
    source = RECORDS if source is None else source
    return pipeline.train_batches(source, **(arguments | changes))


def take(iterator, number):
    return [next(iterator) for _ in range(number)]


def first(number, **changes):
    batches = train(**changes)
    taken = take(batches, number)
    batches.close()
    return taken


def ids(batches):
    return np.concatenate([batch.image_id for batch in batches]).tolist()


def assert_same(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_batches_have_the_shapes_of_the_legend():
    (batch,) = first(1)
    shapes = {
        "image": (4, SIDE, SIDE, 3),
        "people": (4, SIDE, SIDE),
        "keypoints": (4, 2, 17, 2),
        "visibility": (4, 2, 17),
        "box": (4, 2, 4),
        "area": (4, 2),
        "to_input": (4, 2, 3),
        "size": (4, 2),
        "image_id": (4,),
        "is_real": (4,),
    }
    assert {name: getattr(batch, name).shape for name in shapes} == shapes
    assert batch.image.dtype == batch.people.dtype == batch.visibility.dtype == np.uint8
    assert batch.keypoints.dtype == batch.box.dtype == batch.area.dtype == np.float32
    assert batch.is_real.all()


def test_every_epoch_has_every_picture_in_another_order():
    seen = ids(first(33, batch_size=1))
    epochs = [seen[:11], seen[11:22], seen[22:]]
    assert all(sorted(epoch) == list(range(100, 111)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert epochs[0] != sorted(epochs[0])


def test_the_order_of_a_seed_stays_what_it_was():
    """Scores that are published were trained in this order and with these views."""
    batches = first(6)
    order = [104, 106, 109, 107, 105, 103, 101, 108, 110, 100, 102]
    order += [108, 101, 103, 107, 109, 110, 105, 104, 102, 106, 100, 104, 100]
    assert ids(batches) == order
    view = [[0.8225547, 0.20014725, 2.5087394], [-0.20014725, 0.8225547, 21.184132]]
    np.testing.assert_allclose(batches[5].to_input[3], view, rtol=1e-5)


def test_a_picture_looks_different_every_time():
    first_time, second_time = first(2, source=RECORDS[:1], batch_size=1)
    assert (first_time.to_input != second_time.to_input).any()


def test_the_seed_decides_everything():
    assert_same(first(3), first(3))
    (one,), (other,) = first(1), first(1, seed=4)
    assert (one.image != other.image).any()


def assert_no_worker_is_left():
    """Before long: they end by themselves once they are told to."""
    for _ in range(600):
        if not multiprocessing.active_children():
            return
        time.sleep(0.05)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_change_nothing_and_may_change_on_resume(num_workers):
    expected = first(5)
    batches = train(num_workers=num_workers)
    assert_same(take(batches, 3), expected[:3])
    state = batches.get_state()
    batches.close()
    assert_no_worker_is_left()
    resumed = train(num_workers=0)
    resumed.set_state(state)
    assert_same(take(resumed, 2), expected[3:])
    resumed.close()


def test_workers_resume_where_the_state_says():
    expected = first(3)
    batches = train(num_workers=1)
    batches.set_state({"batches_taken": 2})
    assert_same(next(batches), expected[2])
    batches.close()


@pytest.mark.parametrize("taken", [0, 1, 3, 7])
def test_restored_state_continues_exactly(taken):
    """Also back in the same iterator, across epochs, through JSON."""
    expected = first(taken + 2)
    batches = train()
    take(batches, taken)
    state = json.dumps(batches.get_state())
    assert_same(take(batches, 2), expected[taken:])
    batches.set_state(json.loads(state))
    assert_same(take(batches, 2), expected[taken:])
    batches.close()


def test_shards_together_give_the_global_batch():
    whole = first(4, batch_size=4)
    halves = [first(4, batch_size=2, shard_index=i, shard_count=2) for i in range(2)]
    for batch, left, right in zip(whole, *halves, strict=True):
        for name in ("image", "keypoints", "image_id"):
            merged = np.stack([getattr(left, name), getattr(right, name)], axis=1)
            expected = getattr(batch, name)
            np.testing.assert_array_equal(merged.reshape(expected.shape), expected)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_broken_picture_is_named(num_workers):
    broken = RECORDS[5] | {"image": RECORDS[5]["image"][:40]}
    batches = train([broken], num_workers=num_workers)
    with pytest.raises(ValueError, match=r"000000000105\.jpg \(image id 105\)"):
        next(batches)
    batches.close()


def test_a_closed_iterator_is_refused():
    batches = train()
    next(batches)
    batches.close()
    batches.close()
    with pytest.raises(ValueError, match="closed"):
        next(batches)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": []}, "empty"),
        ({"batch_size": 0}, "at least one picture"),
        ({"max_people": 253}, "1 ... 252; got 253"),
        ({"shard_index": 2, "shard_count": 2}, "no shard 2 of 2"),
    ],
)
def test_nonsense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        train(**changes)


def test_batches_that_are_kept_stay_what_they_are():
    """More than there are blocks for; and beyond the end of their iterator."""
    batches = train(num_workers=1)
    kept = take(batches, 9)
    batches.close()
    assert_same(kept, first(9))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_what_is_learned_from_one_task_has_nothing_of_the_other_s(num_workers):
    (both,) = first(1)
    kept = {}
    for labels in ("both", "keypoints", "masks"):
        (kept[labels],) = first(1, labels=labels, num_workers=num_workers)
        for name in ("image", "box", "area", "to_input", "image_id", "is_real"):
            assert_same(getattr(kept[labels], name), getattr(both, name))
    assert_same(kept["both"], both)
    assert_same(kept["masks"].people, both.people)
    assert both.visibility.any()
    assert not kept["masks"].visibility.any()
    assert not kept["masks"].keypoints.any()
    for name in ("keypoints", "visibility"):
        assert_same(getattr(kept["keypoints"], name), getattr(both, name))
    unknown = np.where(both.people == IGNORE, IGNORE, UNKNOWN_MASK)
    np.testing.assert_array_equal(kept["keypoints"].people, unknown)


def test_labels_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="no labels 'pose'; expected one of"):
        train(labels="pose")


WORKER_SCRIPT = """
import sys
from jax._src import xla_bridge
sys.path[:0] = {folders!r}
from poseseg_jax.data.pipeline import train_batches

class Source(list):
    def __getitem__(self, index):
        import cv2
        assert cv2.getNumThreads() == 1
        assert not xla_bridge.backends_are_initialized()
        return list.__getitem__(self, index)

if __name__ == "__main__":
    from test_pipeline import AUGMENT, RECORDS
    batches = train_batches(
        Source(RECORDS), image_size=65, max_people=2, augment=AUGMENT, batch_size=4,
        seed=3, num_workers=1,
    )
    print(next(batches).image.shape)  # and no close()
"""


def test_workers_leave_jax_alone_and_end_with_the_program(repository, tmp_path):
    script = tmp_path / "script.py"
    folders = [str(repository), str(repository / "tests")]
    script.write_text(WORKER_SCRIPT.format(folders=folders))
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == f"(4, {SIDE}, {SIDE}, 3)"


def test_closing_again_at_the_program_s_end_needs_no_global_name(monkeypatch):
    batches = train()
    next(batches)
    batches._finish()  # as at exit
    monkeypatch.setattr(pipeline, "_end", None)
    batches.close()
    batches.close()


def evaluate(source, **changes):
    arguments = {"image_size": SIDE, "max_people": 2, "batch_size": 4} | changes
    return list(pipeline.eval_batches(source, **arguments))


@pytest.mark.parametrize("number", [0, 1, 4, 5, 11])
def test_evaluation_sees_every_picture_once_in_order(number):
    batches = evaluate(RECORDS[:number])
    assert len(batches) == -(-number // 4)
    assert all(batch.image.shape[0] == 4 for batch in batches)
    real = [i for b in batches for i in b.image_id[b.is_real].tolist()]
    assert real == list(range(100, 100 + number))
    for batch in batches:
        filler = ~batch.is_real
        assert (batch.image_id[filler] == -1).all()
        assert (batch.people[filler] == IGNORE).all()
        assert not batch.visibility[filler].any()


def test_shards_of_the_evaluation_have_equal_length():
    shards = [evaluate(RECORDS[:9], shard_index=i, shard_count=2) for i in range(2)]
    assert [len(batches) for batches in shards] == [2, 2]
    real = [i for s in shards for b in s for i in b.image_id[b.is_real].tolist()]
    assert sorted(real) == list(range(100, 109))


def test_evaluation_letterboxes():
    (batch,) = evaluate([make_record(7, height=300, width=400)], batch_size=1)
    expected = geometry.letterbox_affine(300, 400, SIDE)
    np.testing.assert_allclose(batch.to_input[0], expected, rtol=1e-6)
    nose = geometry.apply_affine(expected, np.array([20.0, 10.0]))
    np.testing.assert_allclose(batch.keypoints[0, 0, 0], nose, rtol=1e-5)
    assert batch.size[0].tolist() == [300, 400]


def test_evaluation_names_a_broken_picture():
    broken = RECORDS[2] | {"people": b""}
    with pytest.raises(ValueError, match=r"000000000102\.jpg .*people map"):
        evaluate([*RECORDS[:2], broken])
