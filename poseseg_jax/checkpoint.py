"""A run on disk: `workdir/checkpoints/<step>`. Orbax lives here and nowhere else.

Each checkpoint holds three items: `state`, the arrays of a TrainState under the names
of their fields (`params/heads/mid/kernel`); `data`, the loader's place; and
`metrics`. A typed PRNG key is stored as its key data.

Saving is synchronous: a checkpoint from which `save` has returned is complete, and the
next step may donate the buffers. One that was interrupted leaves no directory with a
step as its name; the next save removes what it left. The loader's place counts
batches, so it is the same on every host.
"""

import base64
import contextlib
import functools
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from poseseg_jax.structs import TrainState

LoaderState = dict[str, Any] | bytes | None
Metrics = Mapping[str, float | None]
_DIFFERENCES_SHOWN = 8


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
      ValueError: if `keep` is not positive, or if `create` is False and there is none.
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
        self.directory = Path(workdir).absolute() / "checkpoints"
        if not create and not self.directory.is_dir():
            raise ValueError(
                f"{self.directory} does not exist: train first, with "
                f"`python -m poseseg_jax.main --config=... --workdir={workdir}`."
            )
        self._quality = lambda metrics: _quality(metrics, best_by)
        policy = checkpoint_managers.AnyPreservationPolicy(
            [
                checkpoint_managers.LatestN(keep),
                checkpoint_managers.BestN(get_metric_fn=self._quality, n=1),
            ]
        )
        self._manager = ocp.CheckpointManager(
            self.directory,
            options=ocp.CheckpointManagerOptions(
                best_fn=self._quality,  # without it Orbax does not write metrics
                preservation_policy=policy,
                enable_async_checkpointing=False,
                create=create,
                cleanup_tmp_directories=create,
            ),
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

        A step that is there already is left as it is, unless `metrics` come with it
        now: then it is replaced.

        Args:
          step: name of the checkpoint.
          state: all of the run but the loader.
          loader_state: what the loader's iterator said of its place: bytes, or
            anything that JSON gives back unchanged.
          metrics: of this state, if it was evaluated; null and NaN are never the best.
        """
        if step in self._manager.all_steps():
            if metrics is None:
                return
            self._manager.delete(step)
        arrays = {name: _to_array(leaf) for name, leaf in _named(state).items()}
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.PyTreeSave(_nested(arrays)),
                data=ocp.args.JsonSave(_pack(loader_state)),
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
          ValueError: naming the path, if there is no such step, if it cannot be read
            or if it holds other arrays than `template`.
        """
        with self._readable(step):
            items = ocp.args.Composite(data=ocp.args.JsonRestore())
            loader_state = _unpack(self._manager.restore(step, args=items)["data"])
        return self._read(step, template), loader_state

    def restore_model(
        self, step: int, params: Any, batch_stats: Any
    ) -> tuple[Any, Any]:
        """What inference needs: (ema, batch_stats), given templates as in `restore`."""
        model = self._read(step, {"ema": params, "batch_stats": batch_stats})
        return model["ema"], model["batch_stats"]

    def _read(self, step: int, template: Any) -> Any:
        """Fills `template`, whose top-level fields are fields of the saved state."""
        leaves = _named(template)
        wanted = {name: _abstract(leaf) for name, leaf in leaves.items()}
        fields = {name.split("/")[0] for name in wanted}
        with self._readable(step):
            items = self._manager.metadata(step).item_metadata
            assert items is not None  # it is None for a root without steps only
            saved = _named(items["state"].tree)
        saved = {n: leaf for n, leaf in saved.items() if n.split("/")[0] in fields}
        _check_same(self.directory / str(step), saved, wanted)
        tree = _nested(wanted)
        arguments = ocp.args.PyTreeRestore(
            tree,
            restore_args=ocp.checkpoint_utils.construct_restore_args(tree),
            partial_restore=True,
        )
        with self._readable(step):
            items = ocp.args.Composite(state=arguments)
            found = _named(self._manager.restore(step, args=items)["state"])
        restored = [_from_array(found[name], leaf) for name, leaf in leaves.items()]
        return jax.tree.unflatten(jax.tree.structure(template), restored)

    @contextlib.contextmanager
    def _readable(self, step: int) -> Iterator[None]:
        """Says of which checkpoint an error in reading is, and what to do."""
        path = self.directory / str(step)
        if step not in self.steps():
            raise ValueError(
                f"{path} does not exist; there are checkpoints of the steps "
                f"{self.steps()}."
            )
        try:
            yield
        except (OSError, ValueError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{path} cannot be read; remove it to go on from another of the "
                f"steps {self.steps()}."
            ) from error


def _quality(metrics: Metrics | None, name: str) -> float:
    value = (metrics or {}).get(name)
    return -math.inf if value is None or math.isnan(value) else float(value)


def _named(tree: Any) -> dict[str, Any]:
    keystr = functools.partial(jax.tree_util.keystr, simple=True, separator="/")
    return {keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def _nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Dicts within dicts: optax's named tuples would tie a file to optax's version."""
    tree: dict[str, Any] = {}
    for name, leaf in leaves.items():
        *parents, last = name.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = leaf
    return tree


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _to_array(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _from_array(array: jax.Array, template: Any) -> jax.Array:
    if not _is_key(template):
        return array
    # A template may be a shape only, and only an array tells its implementation.
    key = jnp.zeros(template.shape, template.dtype)
    return jax.random.wrap_key_data(array, impl=jax.random.key_impl(key))


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    sharding = getattr(leaf, "sharding", None)
    if sharding is None:
        sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    array = jax.eval_shape(_to_array, leaf)
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding)


def _check_same(
    path: Path, saved: Mapping[str, Any], wanted: Mapping[str, Any]
) -> None:
    found = {name: _describe(leaf) for name, leaf in saved.items()}
    asked = {name: _describe(leaf) for name, leaf in wanted.items()}
    differences = [
        f"  {name}: {found.get(name, 'nothing')} in the checkpoint, "
        f"{asked.get(name, 'nothing')} in this run"
        for name in sorted(found.keys() | asked.keys())
        if found.get(name) != asked.get(name)
    ]
    if differences:
        shown = "\n".join(differences[:_DIFFERENCES_SHOWN])
        raise ValueError(
            f"{path} is a checkpoint of another config: {len(differences)} arrays "
            f"differ, among them\n{shown}\nCompare {path.parents[1] / 'config.json'} "
            "with the config of this run, or give this run a --workdir of its own."
        )


def _describe(leaf: Any) -> str:
    return f"{jnp.dtype(leaf.dtype).name}{list(leaf.shape)}"


def _pack(loader_state: LoaderState) -> dict[str, Any]:
    if isinstance(loader_state, bytes):
        return {"base64": base64.b64encode(loader_state).decode()}
    assert json.loads(json.dumps(loader_state)) == loader_state, loader_state
    return {"json": loader_state}


def _unpack(packed: Mapping[str, Any]) -> LoaderState:
    if "base64" in packed:
        return base64.b64decode(packed["base64"])
    return packed["json"]
