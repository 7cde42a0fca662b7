"""How fast a run is, and which share of its devices' peak that is.

Model FLOPs utilisation (arXiv 2204.02311, appendix B): the operations that the network
needs for a step, over what the devices could do in the time. What is computed twice to
save memory (`model.remat`) is not needed, so it does not count.
"""

import dataclasses
from typing import Any

import jax

from poseseg_jax import train_step
from poseseg_jax.config import Settings
from poseseg_jax.data.form import Form
from poseseg_jax.ledger import Closed

# What is another number in every run.
RATES = ("step_seconds", "pictures_per_second", "waiting_for_data", "mfu")

# Dense bfloat16 operations per second, by what JAX' "device_kind" begins with. From
# NVIDIA's data sheets; where these give the figure "with sparsity", half of it. A V100
# knows no bfloat16: its peak is of float16.
PEAKS = {
    "NVIDIA H200": 989e12,  # H200 Tensor Core GPU, SXM
    "NVIDIA H100 80GB HBM3": 989e12,  # H100 Tensor Core GPU, SXM
    "NVIDIA H100 NVL": 835e12,  # the same
    "NVIDIA H100 PCIe": 756e12,  # H100 PCIe, product brief
    "NVIDIA A100": 312e12,  # A100 Tensor Core GPU, 40 and 80 GB, SXM and PCIe
    "NVIDIA A10": 125e12,  # A10 Tensor Core GPU
    "NVIDIA L40S": 362e12,  # L40S
    "NVIDIA L4": 121e12,  # L4 Tensor Core GPU
    "Tesla V100-SXM2": 125e12,  # V100 Tensor Core GPU
    "Tesla V100-PCIE": 112e12,  # the same
}


def peak(device_kind: str) -> float | None:
    """Dense bfloat16 operations per second of a device; None if it is not known."""
    for name, operations in PEAKS.items():
        rest = device_kind.removeprefix(name)
        # An A10 is no A10G, and an L4 no L40.
        if rest != device_kind and not rest[:1].isalnum():
            return operations
    return None


def step_flops(settings: Settings) -> float | None:
    """Floating-point operations of a step over a whole batch, as XLA counts them.

    Counted is the program as it is given to XLA: what comes out has calls of libraries
    on a GPU, of which XLA does not know what they do, and loops, of which it counts one
    round. So the step is taken without parts and without computing anything twice. An
    ancestor's pass (`init.distill_weight`) is left out. None where XLA does not count.
    """
    whole = dataclasses.replace(
        settings,
        model=dataclasses.replace(settings.model, remat=False),
        optim=dataclasses.replace(settings.optim, accumulate_steps=1),
    )
    init, step = train_step.build(whole)
    train = settings.train
    form = Form(train.batch_size, train.image_size, settings.data.max_people)
    cost: Any = jax.jit(step).lower(jax.eval_shape(init), form.new()).cost_analysis()
    return None if cost is None else float(cost["flops"])


class Speed:
    """Makes of what a ledger says the rates that are logged.

    Args:
      settings: of the run.
    """

    def __init__(self, settings: Settings):
        self._batch_size = settings.train.batch_size
        one = peak(jax.devices()[0].device_kind)
        # Counting takes seconds, for a second look at the whole network.
        self._flops = None if one is None else step_flops(settings)
        self._peak = (one or 0.0) * jax.device_count()

    def rates(self, closed: Closed) -> dict[str, float]:
        """RATES; "mfu" where the devices' peak is known and XLA counts."""
        each = closed.seconds / closed.steps
        rates = {
            "step_seconds": each,
            "pictures_per_second": self._batch_size / each,
            "waiting_for_data": closed.waited / closed.seconds,
        }
        if self._flops is not None:
            rates["mfu"] = self._flops / each / self._peak
        return rates
