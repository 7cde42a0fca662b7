"""A run on disk: `workdir/checkpoints/<step>`. Orbax lives here and nowhere else.

Each checkpoint holds three items: `state`, the arrays of a TrainState under the names
of their fields (`params/heads/mid/kernel`); `data`, the loader's place, and a list of
the arrays with a checksum of each; and `metrics`.

Saving is synchronous: a checkpoint from which `save` has returned is complete, and the
next step may donate the buffers. One that was interrupted leaves no directory with a
step as its name; the next save removes what it left. The loader's place counts
batches, so it is the same on every host.
"""

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from poseseg_jax import checkpoint_files, layout, stored
from poseseg_jax.checkpoint_files import BrokenCheckpoint, Metrics
from poseseg_jax.stored import LoaderState
from poseseg_jax.structs import TrainState

_log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one workdir: the latest `keep`, and beside them the best.

    Use it as a context manager.

    Args:
      workdir: folder of the run; the checkpoints lie in `workdir/checkpoints`.
      keep: how many of the latest are kept, at least 1.
      best_by: name of the metric of which the largest value is the best. Checkpoints
        that were saved without it are kept for being recent only.
      create: False to read what another process writes: nothing is created or tidied.

    Raises:
      ValueError: if `keep` is not positive, or if `create` is False and there is none,
        or one with broken metrics.
    """

    def __init__(
        self,
        workdir: str | Path,
        *,
        keep: int = 2,
        best_by: str = "keypoints/AP",
        create: bool = True,
    ):
        if keep < 1:
            raise ValueError(f"At least 1 checkpoint has to be kept, not {keep}.")
        self.directory = Path(workdir).absolute() / layout.CHECKPOINTS
        if not create and not self.directory.is_dir():
            raise ValueError(
                f"{self.directory} does not exist: train first, with "
                f"`python -m poseseg_jax.main --config=... --workdir={workdir}`."
            )
        if create:  # Orbax makes no folder for one host alone
            self.directory.mkdir(parents=True, exist_ok=True)
        checkpoint_files.forget_broken_metrics(self.directory, may_remove=create)
        self._quality = lambda metrics: checkpoint_files.quality(metrics, best_by)
        self._manager = ocp.CheckpointManager(
            self.directory,
            options=_options(keep, self._quality, may_clean=create),
            item_handlers={
                "state": ocp.PyTreeCheckpointHandler(),
                "data": ocp.JsonCheckpointHandler(),
            },
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends Orbax's threads; all that was saved is on disk already."""
        self._manager.close()

    def save(
        self,
        step: int,
        state: TrainState,
        loader_state: LoaderState = None,
        *,
        metrics: Metrics | None = None,
    ) -> None:
        """Writes a checkpoint, and removes those that are neither recent nor the best.

        Metrics that were removed from older ones since do not count.

        A step that is there already is left as it is, but `metrics` that come with it
        now are added.

        Args:
          step: name of the checkpoint.
          state: all of the run but the loader.
          loader_state: what the loader's iterator said of its place: bytes, or
            anything that JSON gives back unchanged.
          metrics: of this state, if it was evaluated; null and NaN are never the best.

        Raises:
          FloatingPointError: naming the arrays that hold what is no finite number.
        """
        self._manager.reload()
        if step in self._manager.all_steps():
            if metrics is not None:
                checkpoint_files.add_metrics(self.directory / str(step), metrics)
                self._manager.reload()
            return
        leaves = stored.named(state)
        arrays = {name: stored.to_array(leaf) for name, leaf in leaves.items()}
        if jax.process_count() > 1:  # Orbax would want all hosts to save their part
            arrays = jax.device_get(arrays)
        _check_finite(step, arrays)
        listed = {
            name: f"{stored.describe(array)} {stored.checksum(array)}"
            for name, array in arrays.items()
        }
        data = {"place": stored.pack(loader_state), "arrays": listed}
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.PyTreeSave(stored.nested(arrays)),
                data=ocp.args.JsonSave(stored.sealed(data)),
            ),
            # Without metrics at all Orbax would warn at each save.
            metrics=dict(metrics or {}),
            force=True,
        )

    def steps(self) -> list[int]:
        """Steps of which there is a checkpoint, ascending."""
        return sorted(self._manager.all_steps())

    def latest_step(self) -> int | None:
        """The last step saved; None if there is no checkpoint."""
        return self._manager.latest_step()

    def best_step(self) -> int | None:
        """The step with the best metric; None if no checkpoint has that metric."""
        step = self._manager.best_step()
        if step is None or self._quality(self._manager.metrics(step)) == -math.inf:
            return None
        return step

    def restore(
        self, step: int, template: TrainState
    ) -> tuple[TrainState, LoaderState]:
        """Reads a checkpoint whole.

        Args:
          step: which one.
          template: a state with the same names, shapes and dtypes: arrays, or what
            `jax.eval_shape` gives. Where a leaf has a sharding, the restored one has
            it too, whatever the devices were on which it was saved.

        Returns:
          The state and the loader's place.

        Raises:
          ValueError: naming the path, if there is no such step, or if it holds other
            arrays than `template`; BrokenCheckpoint, which is one, if it cannot be
            read, or is not what was written.
          OSError: if it may be whole, but could not be read now.
        """
        with self._naming_others(step):
            return self._read(step, template)

    def restore_latest(
        self, template: TrainState
    ) -> tuple[int, TrainState, LoaderState]:
        """Reads the latest checkpoint that is whole; there has to be one at least.

        Later ones are moved to `workdir/broken_checkpoints`, out of the way of those
        that the run will write.

        Returns:
          Its step, and what `restore` gives.

        Raises:
          ValueError: as `restore` does; and BrokenCheckpoint if no checkpoint is whole.
          OSError: as `restore` does; nothing is moved then.
        """
        broken: list[BrokenCheckpoint] = []
        for step in reversed(self.steps()):
            try:
                state, place = self._read(step, template)
            except BrokenCheckpoint as error:
                _log.warning("%s", error)
                broken.append(error)
                continue
            if later := [other for other in self.steps() if other > step]:
                checkpoint_files.set_aside(self.directory, later)
                self._manager.reload()
            return step, state, place
        raise BrokenCheckpoint(
            f"None of the checkpoints in {self.directory} can be read, and the run "
            "does not start from nothing by itself. To start anew, take another "
            "--workdir.\n" + "\n".join(f"  {error}" for error in broken)
        )

    def restore_model(
        self, step: int, params: Any, batch_stats: Any
    ) -> tuple[Any, Any]:
        """What inference needs: (ema, batch_stats), given templates as in `restore`."""
        with self._naming_others(step):
            model, _ = self._read(step, {"ema": params, "batch_stats": batch_stats})
        return model["ema"], model["batch_stats"]

    def _read(self, step: int, template: Any) -> tuple[Any, LoaderState]:
        """Fills `template`, whose top-level fields are fields of the saved state."""
        path = self.directory / str(step)
        if step not in self.steps():
            raise ValueError(
                f"{path} does not exist; there are checkpoints of the steps "
                f"{self.steps()}."
            )
        leaves = stored.named(template)
        wanted = {name: stored.abstract(leaf) for name, leaf in leaves.items()}
        fields = {name.split("/")[0] for name in wanted}
        with checkpoint_files.readable(path):
            items = ocp.args.Composite(data=ocp.args.JsonRestore())
            data = stored.unsealed(self._manager.restore(step, args=items)["data"])
        listed: dict[str, str] = data["arrays"]
        listed = {n: said for n, said in listed.items() if n.split("/")[0] in fields}
        stored.check_same(path, listed, wanted)
        tree = stored.nested(wanted)
        arguments = ocp.args.PyTreeRestore(
            tree,
            restore_args=ocp.checkpoint_utils.construct_restore_args(tree),
            partial_restore=True,
        )
        with checkpoint_files.readable(path):
            items = ocp.args.Composite(state=arguments)
            found = stored.named(self._manager.restore(step, args=items)["state"])
            for name, said in listed.items():
                if said.split()[-1] != stored.checksum(found[name]):
                    raise ValueError(f"{name} is not what was written")
        arrays = [stored.from_array(found[name], leaf) for name, leaf in leaves.items()]
        restored = jax.tree.unflatten(jax.tree.structure(template), arrays)
        return restored, stored.unpack(data["place"])

    @contextlib.contextmanager
    def _naming_others(self, step: int) -> Iterator[None]:
        """Says what there is beside a checkpoint that is broken."""
        try:
            yield
        except BrokenCheckpoint as error:
            others = [other for other in self.steps() if other != step]
            raise BrokenCheckpoint(
                f"{error} There are other checkpoints of the steps {others}."
            ) from error


def _options(
    keep: int, quality: Callable[[Any], float], *, may_clean: bool
) -> ocp.CheckpointManagerOptions:
    best = checkpoint_managers.BestN(
        get_metric_fn=quality,
        n=1,
        keep_checkpoints_without_metrics=False,  # they were forgotten
    )
    return ocp.CheckpointManagerOptions(
        best_fn=quality,  # without it Orbax does not write metrics
        preservation_policy=checkpoint_managers.AnyPreservationPolicy(
            [checkpoint_managers.LatestN(keep), best]
        ),
        enable_async_checkpointing=False,
        create=False,
        cleanup_tmp_directories=may_clean,
        # Of several hosts this one alone is concerned; the others do not wait.
        multiprocessing_options=ocp.options.MultiprocessingOptions(
            primary_host=jax.process_index(),
            active_processes={jax.process_index()},
        ),
    )


def _check_finite(step: int, arrays: Mapping[str, Any]) -> None:
    broken = [name for name, array in arrays.items() if not stored.is_finite(array)]
    if broken:
        more = f" and {len(broken) - 1} more arrays" if len(broken) > 1 else ""
        raise FloatingPointError(
            f"The state is not finite after step {step}: {broken[0]}{more}."
        )
