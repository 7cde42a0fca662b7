"""How the arrays of a state are called, described and known again in a file.

A file holds plain arrays under paths of names (`params/heads/mid/kernel`): a typed PRNG
key is stored as its key data, and optax's named tuples, which would tie a file to
optax's version, as dicts.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_DIFFERENCES_SHOWN = 8
LoaderState = dict[str, Any] | bytes | None


def name_of(path: tuple[Any, ...]) -> str:
    """What a leaf is called, from where JAX says that it is in its tree."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def named(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their `name_of`."""
    return {name_of(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Dicts within dicts, from what `named` gives."""
    tree: dict[str, Any] = {}
    for name, leaf in leaves.items():
        *parents, last = name.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = leaf
    return tree


def to_array(leaf: Any) -> Any:
    """What is stored of a leaf."""
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def from_array(array: jax.Array, template: Any) -> jax.Array:
    """The leaf again; `template` says whether it was a key, and of which kind."""
    if not _is_key(template):
        return array
    # A template may be a shape only, and only an array tells its implementation.
    key = jnp.zeros(template.shape, template.dtype)
    return jax.random.wrap_key_data(array, impl=jax.random.key_impl(key))


def abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    """Shape, dtype and sharding of what is stored of a leaf."""
    sharding = getattr(leaf, "sharding", None)
    if sharding is None:
        sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    array = jax.eval_shape(to_array, leaf)
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding)


def describe(leaf: Any) -> str:
    """Type and shape in words, as float32[2, 3]."""
    return f"{jnp.dtype(leaf.dtype).name}{list(leaf.shape)}"


def checksum(array: Any) -> str:
    """CRC-32 of its bytes, as eight hex digits."""
    values = np.ascontiguousarray(np.asarray(array))
    return f"{zlib.crc32(values.reshape(-1).view(np.uint8).data):08x}"


def check_same(
    path: Path, listed: Mapping[str, str], wanted: Mapping[str, Any]
) -> None:
    """Compares the arrays of a checkpoint with those of a run.

    Args:
      path: of the checkpoint.
      listed: "float32[2, 3] CHECKSUM" by name.
      wanted: what has a shape and a dtype, by name.

    Raises:
      ValueError: naming the arrays that differ, up to a few.
    """
    found = {name: said.rpartition(" ")[0] for name, said in listed.items()}
    asked = {name: describe(leaf) for name, leaf in wanted.items()}
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


def is_finite(array: Any) -> bool:
    """Whether every number is one; integers are."""
    return not jnp.issubdtype(array.dtype, jnp.inexact) or bool(
        np.isfinite(np.asarray(array)).all()
    )


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Content as JSON holds it, with a checksum of its own."""
    return {**content, "checksum": _checksum_of_json(content)}


def unsealed(sealed: Mapping[str, Any]) -> dict[str, Any]:
    """The content again.

    Raises:
      ValueError: if it is not what was sealed.
    """
    content = {name: value for name, value in sealed.items() if name != "checksum"}
    if sealed.get("checksum") != _checksum_of_json(content):
        raise ValueError("its list of arrays is not what was written")
    return content


def pack(loader_state: LoaderState) -> dict[str, Any]:
    """The loader's place as JSON can hold it."""
    if isinstance(loader_state, bytes):
        return {"base64": base64.b64encode(loader_state).decode()}
    assert json.loads(json.dumps(loader_state)) == loader_state, loader_state
    return {"json": loader_state}


def unpack(packed: Mapping[str, Any]) -> LoaderState:
    """The loader's place again."""
    if "base64" in packed:
        return base64.b64decode(packed["base64"])
    return packed["json"]


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _checksum_of_json(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return f"{zlib.crc32(text.encode()):08x}"
