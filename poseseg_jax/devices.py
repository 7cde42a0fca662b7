"""All devices of all hosts as one: each has a part of every batch, and all parameters.

A batch is split along its first axis over a mesh with the single axis "data"; what the
compiler makes of it are the same sums as on one device, added up over the devices.
"""

import math
import os
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from poseseg_jax import hosts


def use_every_core(*batch_sizes: int) -> None:
    """Makes a CPU several devices, to be called before anything asks JAX for one.

    XLA keeps little more than one core busy with the small layers of a laptop's
    network; split over a device per core, a step takes two thirds of the time on two.
    Each device gets at least two pictures. Accelerators are not concerned, and who has
    said how many devices the CPU shall be is heeded.

    Args:
      batch_sizes: how many pictures are computed at once: first in training, and then
        elsewhere. All of them divide over the devices.
    """
    said = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if said or "JAX_NUM_CPU_DEVICES" in os.environ:
        return
    most = min(os.cpu_count() or 1, max(batch_sizes[0] // 2, 1))
    common = math.gcd(*batch_sizes)
    cores = max(n for n in range(1, most + 1) if common % n == 0)
    jax.config.update("jax_num_cpu_devices", cores)


def check_split(group: str, batch_size: int, *, parts: int = 1) -> None:
    """Sees whether a batch can be split.

    Args:
      group: of the config that has the batch size.
      batch_size: of all devices together.
      parts: in which a batch goes through the network; each is split.

    Raises:
      ValueError: if it can not; if hosts have different numbers of devices.
    """
    devices = jax.device_count()
    if devices != hosts.count() * jax.local_device_count():
        raise ValueError(
            f"{hosts.count()} processes have {devices} devices together, and this one "
            f"{jax.local_device_count()}; all have to have as many."
        )
    unit = devices * parts
    if batch_size % unit:
        less = batch_size // unit * unit
        nearest = f"{less} or {less + unit}" if less else f"{unit}"
        in_parts = f" in {parts} parts (optim.accumulate_steps)" if parts > 1 else ""
        raise ValueError(
            f"{group}.batch_size {batch_size} does not divide over {devices} devices"
            f"{in_parts}: take {nearest}, or fewer devices "
            "(JAX_NUM_CPU_DEVICES=1, CUDA_VISIBLE_DEVICES=0)."
        )


def own_share(batch_size: int) -> dict[str, int]:
    """What a loader has to know to make this host's part of every batch."""
    return {
        "batch_size": batch_size // hosts.count(),
        "shard_index": hosts.index(),
        "shard_count": hosts.count(),
    }


def everywhere() -> NamedSharding:
    """Where parameters are: all of them on every device."""
    return NamedSharding(_mesh(), PartitionSpec())


def split() -> NamedSharding:
    """Where batches are: some pictures on each device."""
    return NamedSharding(_mesh(), PartitionSpec("data"))


def put(rows: Any) -> Any:
    """Makes of every host's rows a batch that is split over all devices."""
    if hosts.count() == 1:
        return jax.device_put(rows, split())
    place = split()
    return jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(place, leaf), rows
    )


def own_rows(batch: Any) -> Any:
    """What this host put in, or what was made of it, as NumPy arrays."""
    if hosts.count() == 1:
        return jax.device_get(batch)
    # Whatever the compiler has chosen for the results of a program.
    batch = jax.jit(lambda leaves: leaves, out_shardings=split())(batch)

    def rows(leaf: jax.Array) -> np.ndarray:
        shards = sorted(leaf.addressable_shards, key=lambda s: s.index[0].start or 0)
        return np.concatenate([np.asarray(shard.data) for shard in shards])

    return jax.tree.map(rows, batch)


def _mesh() -> Mesh:
    return Mesh(jax.devices(), ("data",))
