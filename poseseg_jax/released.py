"""A trained network as two files to give away: model.safetensors and config.json.

The first holds averaged parameters and batch statistics under the names that a
checkpoint has for them (`params/heads/mid/kernel`), in float32 or, of kernels, in
bfloat16, and in its metadata where they come from. The second is the config of the run,
as `config.parse` reads it. Such a folder stands wherever the workdir of a run is asked
for a trained network.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from poseseg_jax import layout, stored, tensors

WEIGHTS_FILE = "model.safetensors"
# One entry of the metadata, so that the same network gives the same bytes.
_ENTRY = "poseseg_jax"
_ADVICE = "Export it again: `python -m poseseg_jax.export --workdir=... --output={}`."


@dataclass(frozen=True)
class Origin:
    """Where a released network comes from.

    Attributes:
      step: of the checkpoint.
      version: of this package, which wrote the file.
      scores: of that step on the run's validation split, as in metrics.json; may be
        empty.
    """

    step: int
    version: str
    scores: Mapping[str, float | None]


def is_released(folder: Path) -> bool:
    """Whether a folder holds a released network, and is not the workdir of a run.

    Into one that this user may not look it says False; whoever opens it next can say
    better what is wrong.
    """
    has_checkpoints = os.access(folder / layout.CHECKPOINTS, os.F_OK)
    return os.access(folder / WEIGHTS_FILE, os.F_OK) and not has_checkpoints


def write(
    folder: Path,
    variables: Mapping[str, Any],
    origin: Origin,
    *,
    dtype: str = "float32",
) -> Path:
    """Writes model.safetensors; the config is the caller's.

    Args:
      folder: which is there.
      variables: "params" and "batch_stats".
      origin: for the metadata.
      dtype: of what has two axes or more. Biases and norms stay as they are: they are
        a hundredth of a file, and a rounded variance changes all that follows.
    """
    path = folder / WEIGHTS_FILE
    arrays = {
        name: array.astype(dtype) if array.ndim > 1 else array
        for name, array in jax.device_get(stored.named(dict(variables))).items()
    }
    tensors.write(path, arrays, {_ENTRY: json.dumps(vars(origin))})
    return path


def read_origin(folder: Path) -> Origin:
    """Where the network comes from; errors as of `read`."""
    return _origin(folder / WEIGHTS_FILE, tensors.read(folder / WEIGHTS_FILE)[1])


def dtype_of(folder: Path) -> str:
    """In what the kernels are stored: "float32" or "bfloat16"; errors as of `read`."""
    stored_as, _ = tensors.read(folder / WEIGHTS_FILE)
    kinds = {str(array.dtype) for array in stored_as.values() if array.ndim > 1}
    return "bfloat16" if kinds == {"bfloat16"} else "float32"


def read(folder: Path, template: Mapping[str, Any]) -> tuple[dict[str, Any], Origin]:
    """The variables of a released network, and where they come from.

    What is stored in bfloat16 is float32 again, with the values that it has.

    Args:
      folder: with the file.
      template: the network's "params" and "batch_stats", with shapes and dtypes.

    Raises:
      ValueError: naming the file, if it cannot be read or does not say where it comes
        from; naming the tensor too, where one is missing, unknown, of another shape or
        type, or has values that are no finite numbers.
    """
    path = folder / WEIGHTS_FILE
    stored_as, metadata = tensors.read(path)
    origin = _origin(path, metadata)
    found = {name: _widened(array) for name, array in stored_as.items()}
    wanted = stored.named(dict(template))
    for name in sorted(found.keys() | wanted.keys()):
        has, needs = (
            stored.describe(some[name]) if name in some else "nothing"
            for some in (found, wanted)
        )
        if has != needs:
            raise ValueError(
                f"{path}: {name} is {has}; the network of {folder}/config.json has "
                f"{needs}. The two files are not of one network. "
                + _ADVICE.format(folder)
            )
        if not stored.is_finite(found[name]):
            raise ValueError(f"{path}: {name} has values that are not finite.")
    variables = {name: jnp.asarray(array) for name, array in found.items()}
    return {"params": {}, "batch_stats": {}} | stored.nested(variables), origin


def _widened(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == jnp.bfloat16 else array


def _origin(path: Path, metadata: Mapping[str, str]) -> Origin:
    try:
        return Origin(**json.loads(metadata[_ENTRY]))
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"{path} does not say which step of which run it holds, so this package "
            "did not write it. " + _ADVICE.format(path.parent)
        ) from None
