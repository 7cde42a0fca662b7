"""A run that tests can afford, and one that is finished already, made once for all.

A test file says

    @pytest.fixture(scope="module")
    def ground(tmp_path_factory):
        with tiny_run.ground(tmp_path_factory) as ground:
            yield ground

and shares with all others, also those of other test processes, the drawn pictures, the
finished run, and what was compiled.
"""

import contextlib
import fcntl
import functools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from configs import base
from poseseg_jax import config as config_lib
from poseseg_jax import inference, train, train_step
from poseseg_jax.checkpoint import Checkpoints
from poseseg_jax.config import Settings
from poseseg_jax.structs import TrainState

NUM_STEPS = 4
NUM_TRAIN, NUM_VAL = 12, 4
SIZE = 65

# What differs from the preset `tiny`. All peaks are people, so that a network that has
# learned nothing yet finds some. A constant rate does not ask how long the run will be.
CHANGES = {
    "data": {
        "num_workers": 0,
        "embedded_train": NUM_TRAIN,
        "embedded_val": NUM_VAL,
        "max_people": 5,
    },
    "model": {"width": 0.1, "neck_channels": 8},
    "decode": {"peak_threshold": 1e-6, "peaks_per_anchor": 4, "max_people": 4},
    "optim": {"schedule": "constant", "warmup_steps": 0},
    "train": {
        "num_steps": NUM_STEPS,
        "batch_size": 8,
        "image_size": SIZE,
        "log_every": 1,
    },
    "checkpoint": {"every_steps": 2},
    "eval": {"batch_size": 4, "overlays": 2},
}

# What is no part of any program.
_NO_PROGRAM = ("data", "augment", "checkpoint", "profile")

# As JAX' own tests do it: half the time goes, and the arithmetic stays.
_COMPILATION = {
    "jax_compilation_cache_dir": "",
    "jax_persistent_cache_min_compile_time_secs": 0,
    "jax_disable_most_optimizations": True,
}


@dataclass(frozen=True)
class Ground:
    """Where tiny runs take place.

    Attributes:
      folder: of all that is shared.
    """

    folder: Path

    @property
    def finished(self) -> Path:
        """The workdir of a finished run. Leave it as it is: others need it."""
        return self.folder / "finished"

    @property
    def drawn(self) -> Path:
        """The folder in COCO's layout with the pictures of all runs."""
        (root,) = (self.folder / "prepared" / "embedded").iterdir()
        return root

    def config(self, **changes: dict[str, object]) -> dict[str, dict]:
        """The config of the finished run, but for changes: group={field: value}."""
        config = base.get_config("tiny")
        config.update(CHANGES)
        config.update({"data": {"prepared_dir": str(self.folder / "prepared")}})
        config.update(changes)
        return config.to_dict()

    def flags(self) -> list[str]:
        """The same config as flags of `poseseg_jax.main`, after a preset `tiny`."""
        changed = self.config()
        return [
            f"--config.{group}.{field}={changed[group][field]}"
            for group, fields in CHANGES.items()
            for field in (*fields, *(["prepared_dir"] if group == "data" else []))
        ]

    def copy(self, workdir: Path, *, step: int = NUM_STEPS) -> Path:
        """A copy of the finished run; of less steps: killed before it saved more."""
        shutil.copytree(self.finished, workdir)
        if step < NUM_STEPS:
            for path in (workdir / "checkpoints").iterdir():
                if int(path.name) > step:
                    shutil.rmtree(path)
            shutil.rmtree(workdir / "overlays")
            made = ("metrics.json", "results_*", "per_picture.csv", "*.png")
            for path in (path for name in made for path in workdir.glob(name)):
                path.unlink()
        return workdir

    def environment(self, **variables: str) -> dict[str, str]:
        """Of subprocesses, so that they share what was compiled."""
        settings = _compilation(self.folder)
        shared = {name.upper(): str(value) for name, value in settings.items()}
        return {**os.environ, **shared, **variables}


@contextlib.contextmanager
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """The ground on which all tests with tiny runs stand, within a test session."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with ground_in(folder) as shared:
        yield shared


@contextlib.contextmanager
def ground_in(folder: Path) -> Iterator[Ground]:
    """The same in a folder of one's own."""
    ground = Ground(folder / "tiny_run")
    ground.folder.mkdir(exist_ok=True)
    with _compiling(_compilation(ground.folder)):
        with (ground.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (ground.finished / "metrics.json").exists():
                train.run(ground.config(), ground.finished)
        yield ground


@contextlib.contextmanager
def remembering() -> Iterator[None]:
    """Traces the programs of equal runs once: most of what a tiny run takes."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name, idle in (
            (train_step, "build", ("decode", "eval")),
            (inference, "make_detect", ("loss", "optim", "init")),
        ):
            patch.setattr(owner, name, _remembered(getattr(owner, name), idle))
        yield


def _remembered(make: Callable[..., Any], idle: tuple[str, ...]) -> Callable[..., Any]:
    made: dict[str, Any] = {}

    def again(settings: Settings, *ancestor: Settings | None) -> Any:
        fields = {**vars(settings), "init": settings.init.distill_weight}
        for name in (*_NO_PROGRAM, *idle):
            del fields[name]
        key = repr((fields, ancestor))
        if key not in made:
            made[key] = make(settings, *ancestor)
        return made[key]

    return again


def configure(folder: Path) -> None:
    """Sets JAX up as `ground` does, for good: in a process that does nothing else."""
    _configure(_compilation(folder))


def _compilation(folder: Path) -> dict[str, object]:
    return {**_COMPILATION, "jax_compilation_cache_dir": str(folder / "compiled")}


@contextlib.contextmanager
def _compiling(settings: dict[str, object]) -> Iterator[None]:
    before = {name: jax.config.values[name] for name in settings}
    try:
        _configure(settings)
        yield
    finally:
        _configure(before)


def _configure(settings: dict[str, object]) -> None:
    for name, value in settings.items():
        jax.config.update(name, value)
    # JAX decides once whether there is a cache.
    compilation_cache.reset_cache()


def read_state(
    workdir: Path, config: dict, *, step: int = NUM_STEPS
) -> tuple[TrainState, dict]:
    """A checkpoint: the state, and what it says of the loader and the time."""
    with Checkpoints(workdir, create=False) as checkpoints:
        state, place = checkpoints.restore(step, _template(json.dumps(config)))
    assert isinstance(place, dict)
    return state, place


@functools.cache
def _template(config: str) -> TrainState:
    init, _ = train_step.build(config_lib.parse(json.loads(config)))
    return jax.eval_shape(init)


def assert_same_state(one: TrainState, other: TrainState) -> None:
    """To the last bit."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            a, b = jax.random.key_data(a), jax.random.key_data(b)
        np.testing.assert_array_equal(a, b)


def read_lines(workdir: Path) -> list[dict]:
    """metrics.jsonl, line by line."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def all_files(folder: Path) -> dict[str, bytes]:
    """Every file below, by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
