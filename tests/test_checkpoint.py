"""What is saved comes back, what was promised is kept, errors say what to do."""

import shutil
import subprocess
import sys
import textwrap

import grain
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from poseseg_jax import stored
from poseseg_jax.checkpoint import BrokenCheckpoint, Checkpoints
from poseseg_jax.structs import TrainState


def make_state(seed=0, width=3):
    kernel = jax.random.normal(jax.random.key(seed), (2, width))
    params = {"stem": {"kernel": kernel, "bias": jnp.arange(width, dtype=jnp.float32)}}
    chain = optax.chain(optax.clip(1.0), optax.adamw(1e-3))
    return TrainState(
        step=jnp.int32(seed),
        params=params,
        batch_stats={"norm": {"mean": jnp.full(width, seed, jnp.float32)}},
        opt_state=chain.init(params),
        ema=jax.tree.map(lambda leaf: leaf + 1, params),
        rng=jax.random.key(seed + 7),
    )


def assert_same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "loader_state",
    [None, b"\x00\xffplace", {"next_index": 3, "workers": {"0": [1, None]}}],
)
def test_a_checkpoint_gives_back_everything(tmp_path, loader_state):
    state = make_state(seed=5)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(5, state, loader_state)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest_step() == 5
        restored, place = checkpoints.restore(5, make_state(seed=0))
    assert_same(restored, state)
    assert place == loader_state
    assert (tmp_path / "checkpoints" / "5").is_dir()


def test_shapes_are_template_enough(tmp_path):
    state = make_state(seed=2)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(2, state)
        restored, _ = checkpoints.restore(2, jax.eval_shape(make_state))
    assert_same(restored, state)


def test_the_restored_key_draws_the_same_numbers(tmp_path):
    state = make_state(seed=2)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(2, state)
        restored, _ = checkpoints.restore(2, make_state())
    assert jax.random.uniform(restored.rng) == jax.random.uniform(state.rng)


def test_a_loader_goes_on_where_it_was(tmp_path):
    def loader():
        data = grain.MapDataset.range(20).shuffle(seed=1).repeat().batch(3)
        return iter(data.to_iter_dataset())

    first = loader()
    for _ in range(4):
        next(first)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(4, make_state(), first.get_state())
    with Checkpoints(tmp_path) as checkpoints:
        _, place = checkpoints.restore(4, make_state())
    second = loader()
    second.set_state(place)
    for _ in range(5):
        np.testing.assert_array_equal(next(first), next(second))


def test_donating_the_state_after_saving_changes_nothing(tmp_path):
    state = make_state(seed=3)
    expected = np.array(state.params["stem"]["kernel"])
    step = jax.jit(lambda s: jax.tree.map(lambda a: a * 0, s), donate_argnums=0)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(3, state)
        step((state.params, state.ema))
        restored, _ = checkpoints.restore(3, make_state())
    np.testing.assert_array_equal(restored.params["stem"]["kernel"], expected)


def test_the_latest_and_the_best_are_kept(tmp_path):
    state = make_state()
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        for step, quality in enumerate([0.1, 0.5, None, float("nan"), 0.2, 0.3]):
            checkpoints.save(step, state, metrics={"keypoints/AP": quality})
        assert checkpoints.steps() == [1, 4, 5]
        assert checkpoints.best_step() == 1
        assert checkpoints.latest_step() == 5
    with Checkpoints(tmp_path, create=False) as checkpoints:
        assert (checkpoints.steps(), checkpoints.best_step()) == ([1, 4, 5], 1)


def test_nothing_is_the_best_without_its_metric(tmp_path):
    with Checkpoints(tmp_path, keep=2, best_by="segm/AP") as checkpoints:
        assert checkpoints.latest_step() is None
        assert checkpoints.best_step() is None
        for step in range(3):
            checkpoints.save(step, make_state(), metrics={"keypoints/AP": 0.5})
        assert checkpoints.steps() == [1, 2]
        assert checkpoints.best_step() is None


def test_saving_a_step_again_adds_its_metrics(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(4, make_state(seed=4))
        checkpoints.save(4, make_state(seed=4))
        assert checkpoints.best_step() is None
        checkpoints.save(4, make_state(seed=4), metrics={"keypoints/AP": 0.0})
        assert checkpoints.best_step() == 4
        assert checkpoints.steps() == [4]


def test_inference_reads_the_average_and_the_batch_statistics(tmp_path):
    state = make_state(seed=6)
    template = jax.eval_shape(make_state)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(6, state)
    with Checkpoints(tmp_path, create=False) as checkpoints:
        ema, batch_stats = checkpoints.restore_model(
            6, template.params, template.batch_stats
        )
    assert_same(ema, state.ema)
    assert_same(batch_stats, state.batch_stats)


def test_another_config_is_explained(tmp_path):
    other = make_state(width=4)
    other = other.replace(params={**other.params, "neck": jnp.zeros(2)})
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, make_state())
        with pytest.raises(ValueError, match="another config") as error:
            checkpoints.restore(1, other)
    message = str(error.value)
    assert str(tmp_path / "checkpoints" / "1") in message
    assert str(tmp_path / "config.json") in message
    assert "params/neck: nothing in the checkpoint, float32[2] in this run" in message
    assert "float32[2, 3] in the checkpoint, float32[2, 4] in this run" in message


def test_a_missing_step_names_those_that_are_there(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(8, make_state())
        with pytest.raises(ValueError, match=r"9 does not exist.*\[8\]"):
            checkpoints.restore(9, make_state())


def spoilt(path, how):
    content = bytearray(path.read_bytes())
    if how == "removed":
        path.unlink()
    elif how == "cut off":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


def files_of(checkpoint):
    return sorted(path for path in checkpoint.rglob("*") if path.is_file())


# Orbax leaves what it did not get to.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", ["removed", "cut off", "one bit is another"])
def test_whatever_byte_is_wrong_nothing_wrong_is_restored(tmp_path, how):
    """Each file in turn: what comes is what was saved, or what was saved before."""
    with Checkpoints(tmp_path / "whole") as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, make_state(seed=step), {"taken": step})
    found = set()
    for number in range(len(files_of(tmp_path / "whole" / "checkpoints" / "2"))):
        workdir = tmp_path / str(number)
        shutil.copytree(tmp_path / "whole", workdir)
        spoilt(files_of(workdir / "checkpoints" / "2")[number], how)
        with Checkpoints(workdir) as checkpoints:
            step, state, place = checkpoints.restore_latest(make_state())
            assert checkpoints.latest_step() == step
        assert_same(state, make_state(seed=step))
        assert place == {"taken": step}
        assert (workdir / "broken_checkpoints" / "2").exists() == (step == 1)
        found.add(step)
    assert found == {1, 2}, "some files are not needed, as that of the metrics"


def test_if_none_is_whole_all_stay_and_it_is_an_error(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, make_state())
            (tmp_path / f"checkpoints/{step}/state/_METADATA").write_text("{")
        with pytest.raises(BrokenCheckpoint, match="None of the checkpoints") as error:
            checkpoints.restore_latest(make_state())
        assert checkpoints.steps() == [1, 2]
    for step in (1, 2):
        assert str(tmp_path / "checkpoints" / str(step)) in str(error.value)


def test_another_config_is_no_broken_checkpoint(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, make_state())
        with pytest.raises(ValueError, match="another config") as error:
            checkpoints.restore_latest(make_state(width=4))
        assert not isinstance(error.value, BrokenCheckpoint)
        assert checkpoints.steps() == [1, 2]


def test_metrics_that_come_later_leave_the_checkpoint_where_it_is(tmp_path):
    """Killed at any moment, there is the one with them or the one without."""
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(4, make_state())
        before = {path: path.stat().st_ino for path in files_of(tmp_path)}
        checkpoints.save(4, make_state(), metrics={"keypoints/AP": 0.25})
        assert checkpoints.best_step() == 4
    after = {path: path.stat().st_ino for path in files_of(tmp_path)}
    assert [path.name for path in before if before[path] != after[path]] == ["metrics"]
    with Checkpoints(tmp_path, create=False) as checkpoints:
        assert checkpoints.best_step() == 4


def test_metrics_that_cannot_be_read_are_forgotten(tmp_path, caplog):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(4, make_state(), metrics={"keypoints/AP": 0.25})
    path = tmp_path / "checkpoints/4/metrics/metrics"
    path.write_text('{"keypo')
    with pytest.raises(ValueError, match="metrics cannot be read; remove it"):
        Checkpoints(tmp_path, create=False)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.best_step() is None
        assert checkpoints.restore_latest(make_state())[0] == 4
    assert "the score is forgotten" in caplog.text


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_never_saved(tmp_path, value):
    state = make_state()
    broken = {**state.params, "neck": jnp.array([1.0, value])}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state)
        with pytest.raises(FloatingPointError, match=r"after step 2: params/neck\."):
            checkpoints.save(2, state.replace(params=broken))
        assert checkpoints.steps() == [1]


def test_reading_where_nothing_was_trained_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match="train first"):
        Checkpoints(tmp_path / "nothing", create=False)
    assert not (tmp_path / "nothing").exists()


def test_nothing_kept_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not 0"):
        Checkpoints(tmp_path, keep=0)


def test_a_half_written_checkpoint_is_none(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, make_state())
    leftover = tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp"
    (leftover / "state").mkdir(parents=True)
    with Checkpoints(tmp_path, create=False) as checkpoints:
        assert checkpoints.steps() == [1]
        assert leftover.exists()
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == [1]
        checkpoints.save(2, make_state())
        assert checkpoints.steps() == [1, 2]
    assert not leftover.exists()


def test_a_checkpoint_of_one_device_is_restored_onto_many(tmp_path):
    state = make_state(seed=9)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(9, state)
    program = f"""
        import jax, numpy as np
        from jax.sharding import NamedSharding, PartitionSpec
        jax.config.update("jax_num_cpu_devices", 4)
        from poseseg_jax.checkpoint import Checkpoints
        mesh = jax.make_mesh((4,), ("data",))
        everywhere = NamedSharding(mesh, PartitionSpec())
        template = lambda shape: jax.ShapeDtypeStruct(
            shape, np.float32, sharding=everywhere)
        params = {{"stem": {{"kernel": template((2, 3)), "bias": template((3,))}}}}
        stats = {{"norm": {{"mean": template((3,))}}}}
        with Checkpoints({str(tmp_path)!r}, create=False) as checkpoints:
            ema, stats = checkpoints.restore_model(9, params, stats)
        kernel = ema["stem"]["kernel"]
        assert kernel.sharding == everywhere and len(kernel.devices()) == 4
        print(float(kernel.sum()))
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(float(done.stdout), state.ema["stem"]["kernel"].sum())


def test_a_sharding_of_the_template_is_the_restored_ones(tmp_path):
    mesh = jax.make_mesh((len(jax.devices()),), ("data",))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    state = make_state(seed=1)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state)
        template = jax.device_put(make_state(), everywhere)
        restored, _ = checkpoints.restore(1, template)
    assert_same(restored, state)
    for leaf in jax.tree.leaves(restored):
        assert leaf.sharding.is_equivalent_to(everywhere, leaf.ndim)


PASSING = [
    OSError(5, "Input/output error"),
    MemoryError(),
    ValueError("UNKNOWN: Error reading x: Too many [os_error_code='24']"),
    ValueError("RESOURCE_EXHAUSTED: not now"),
    jax.errors.JaxRuntimeError("out of memory"),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_may_be_read_later_stays_and_ends_the_run(tmp_path, monkeypatch, error):
    def fail(array):
        raise RuntimeError("Orbax failed") from error

    with Checkpoints(tmp_path) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, make_state(seed=step))
        with monkeypatch.context() as patch:
            patch.setattr(stored, "checksum", fail)
            with pytest.raises(OSError, match=r"2 could not be read now.*again") as e:
                checkpoints.restore_latest(make_state())
            assert e.value.__cause__.__cause__ is error
        assert not (tmp_path / "broken_checkpoints").exists()
        assert checkpoints.restore_latest(make_state())[0] == 2


def test_broken_checkpoints_of_one_step_are_all_kept(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, make_state())
        for _ in range(3):
            checkpoints.save(4, make_state())
            (tmp_path / "checkpoints/4/state/_METADATA").write_text("{")
            assert checkpoints.restore_latest(make_state())[0] == 1
    found = {path.name for path in (tmp_path / "broken_checkpoints").iterdir()}
    assert found == {"4", "4.1", "4.2"}


def test_one_that_is_asked_for_and_broken_names_the_others(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, make_state())
        (tmp_path / "checkpoints/2/state/_METADATA").write_text("{")
        with pytest.raises(BrokenCheckpoint, match=r"others? .*\[1\]"):
            checkpoints.restore(2, make_state())


def test_metrics_that_were_removed_make_nothing_the_best(tmp_path):
    with Checkpoints(tmp_path, keep=1) as checkpoints:
        checkpoints.save(1, make_state(), metrics={"keypoints/AP": 0.9})
        (tmp_path / "checkpoints/1/metrics/metrics").unlink()
        checkpoints.save(2, make_state(), metrics={"keypoints/AP": 0.1})
        assert (checkpoints.best_step(), checkpoints.steps()) == (2, [2])


KILLED = """
import os, shutil, sys
from pathlib import Path
import jax
from orbax.checkpoint._src.path import async_path
from poseseg_jax.checkpoint import Checkpoints
from tests.test_checkpoint import make_state

def after_rename(source, target, rename=async_path.rename):
    async def renamed():
        await rename(source, target)
        if Path(target).name == "2":
            os._exit(9)
    return renamed()

def before_rename(source, target, rename=async_path.rename):
    if Path(target).name == "2":
        os._exit(9)
    return rename(source, target)

def within_removal(path, *given, remove=shutil.rmtree, **options):
    if Path(path).name == "1":
        next(p for p in Path(path).rglob("*") if p.is_file()).unlink()
        os._exit(9)
    return remove(path, *given, **options)

# JAX has started nothing yet, so that every case can be a fork.
for name in ("before_rename", "after_rename", "within_removal"):
    if os.fork():
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 9, name
        continue
    with Checkpoints(Path(sys.argv[1]) / name, keep=1) as checkpoints:
        checkpoints.save(1, make_state(seed=1))
        if "rename" in name:
            async_path.rename = globals()[name]
        else:
            shutil.rmtree = within_removal
        checkpoints.save(2, make_state(seed=2))
    os._exit(0)
"""


def test_killed_in_a_save_the_one_before_is_there_or_the_new_one(tmp_path):
    """At the rename that makes it whole, right after it, and while the old one goes."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for workdir in tmp_path.iterdir():
        with Checkpoints(workdir, keep=1) as checkpoints:
            found[workdir.name], state, _ = checkpoints.restore_latest(make_state())
        assert_same(state, make_state(seed=found[workdir.name]))
    assert found == {"before_rename": 1, "after_rename": 2, "within_removal": 2}
