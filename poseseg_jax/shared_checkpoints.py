"""The checkpoints of a run of several hosts, of which the first alone has the files.

All hosts have the same state, so one copy is enough. It is read once, too, and sent to
the others: only the first host needs the workdir.
"""

from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from poseseg_jax import devices, hosts, layout, stored
from poseseg_jax.checkpoint import Checkpoints, Metrics
from poseseg_jax.stored import LoaderState
from poseseg_jax.structs import TrainState


class SharedCheckpoints:
    """As `Checkpoints`, for all hosts at once. With a single one it is the same.

    Every method is called by all hosts, in the same order, and fails on all or none.

    Args:
      workdir, keep: see `Checkpoints`.
    """

    def __init__(self, workdir: Path, *, keep: int):
        self.directory = workdir.absolute() / layout.CHECKPOINTS
        self._files: list[Checkpoints] = []

        def open_files() -> None:
            self._files.append(Checkpoints(workdir, keep=keep))

        hosts.told(open_files)

    def __enter__(self) -> "SharedCheckpoints":
        return self

    def __exit__(self, *_: object) -> None:
        for files in self._files:
            files.close()

    def latest_step(self) -> int | None:
        """The last step saved; None if there is no checkpoint."""
        return hosts.told(lambda: self._files[0].latest_step())

    def save(
        self,
        step: int,
        state: TrainState,
        loader_state: LoaderState,
        *,
        metrics: Metrics | None,
    ) -> None:
        """Writes a checkpoint; see `Checkpoints`."""
        state = _local(state)

        def write() -> None:
            self._files[0].save(step, state, loader_state, metrics=metrics)

        hosts.told(write)

    def restore_latest(
        self, template: TrainState
    ) -> tuple[int, TrainState, LoaderState]:
        """Reads the latest checkpoint that is whole.

        Args:
          template: the state of this run so far, placed as the result shall be.
        """
        if hosts.count() == 1:
            return self._files[0].restore_latest(template)
        found = _local(template)

        def read() -> list[Any]:
            nonlocal found
            like = jax.eval_shape(lambda: found)
            step, found, place = self._files[0].restore_latest(like)
            return [step, place]

        step, place = hosts.told(read)
        return step, _of_first(found), place


def _local(state: TrainState) -> TrainState:
    """This host's copy of what every host has."""
    if hosts.count() == 1:
        return state
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), state)


def _of_first(state: TrainState) -> TrainState:
    """The first host's state, on all devices of all hosts."""
    arrays = jax.tree.map(lambda leaf: np.asarray(stored.to_array(leaf)), state)
    arrays = multihost_utils.broadcast_one_to_all(arrays)
    arrays = jax.device_put(arrays, devices.everywhere())
    return jax.tree.map(stored.from_array, arrays, state)
