"""The network, its loss and its optimiser once more, in PyTorch.

Written for benchmarks/train_step.py, as somebody would who wants PyTorch to be fast:
channels last, autocast to bfloat16, fused AdamW, everything but the optimiser compiled.
PyTorch need not be installed; see `is_installed`. It is given our parameters under our
names, so that whether it is the same network can be asked: see `Twin.maps`.

Targets are not made here: the twin is given them, and ours makes them in every step.
"""

import contextlib
import importlib
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from benchmarks.torch_network import Network, torch
from poseseg_jax import losses
from poseseg_jax.config import Settings
from poseseg_jax.models import poseseg
from poseseg_jax.stored import named
from poseseg_jax.structs import Batch, Maps, Targets


def is_installed() -> bool:
    """Whether there is a PyTorch to compare with."""
    return torch is not None


class Twin:
    """The same training step in PyTorch.

    Args:
      settings: of the run; without learned refine stages, parts of a batch, an ancestor
        or anything frozen.
      variables: {"params", "batch_stats"} of ours.
      device: "cpu" or "cuda".
      is_compiled: whether forward pass, loss and gradient go through torch.compile.

    Raises:
      ValueError: for settings that it knows nothing of.
    """

    def __init__(
        self,
        settings: Settings,
        variables: Mapping[str, Any],
        *,
        device: str,
        is_compiled: bool,
    ):
        _check(settings)
        self._settings, self._device = settings, device
        params, stats = (
            {name: self._tensor(name, leaf) for name, leaf in named(tree).items()}
            for tree in (variables["params"], variables["batch_stats"])
        )
        for tensor in params.values():
            tensor.requires_grad_()
        self._network = Network(settings, params, stats)
        self._parameters = list(params.values())
        self._average = [tensor.detach().clone() for tensor in self._parameters]
        self._optimizer = _optimizer(settings, params, is_fused=device == "cuda")
        if device == "cuda":  # XLA does so, too
            torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.allow_tf32 = True
            torch.backends.cudnn.benchmark = True
        self._loss = torch.compile(self._loss_of) if is_compiled else self._loss_of

    @property
    def num_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(tensor.numel() for tensor in self._parameters)

    def put(self, batch: Batch, targets: Targets) -> tuple[Any, Any]:
        """A batch and its targets on the device, as `step` wants them."""

        def place(leaf: Any) -> Any:
            return torch.from_numpy(np.array(leaf)).to(self._device)

        return place(batch.image), jax.tree.map(place, targets)

    def step(self, images: Any, targets: Any) -> Any:
        """One step; gives the loss, which may still be under way."""
        settings = self._settings.optim
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._loss(images, targets)
        loss.backward()
        if settings.clip:
            torch.nn.utils.clip_grad_norm_(self._parameters, settings.clip)
        self._optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self._average, self._parameters, 1 - settings.ema)
        return loss.detach()

    def choose_threads(self, images: Any, targets: Any) -> int:
        """Takes as many threads as are fastest on this CPU, one or one for each core.

        Threads of OpenMP wait for each other busily: where others are at work on the
        same cores, two may be many times as slow as one.
        """
        most = torch.get_num_threads()
        seconds = {}
        for threads in {1, most}:
            torch.set_num_threads(threads)
            self._loss_of(images, targets).backward()
            start = time.perf_counter()
            self._loss_of(images, targets).backward()
            seconds[threads] = time.perf_counter() - start
        self._optimizer.zero_grad(set_to_none=True)
        chosen = min(seconds, key=lambda threads: seconds[threads])
        torch.set_num_threads(chosen)
        return chosen

    def maps(self, images: Any) -> list[Maps]:
        """What it says in training, stage by stage, as NumPy arrays."""
        with torch.no_grad():
            stages = self._stages(images)
        return [jax.tree.map(lambda leaf: leaf.cpu().numpy(), maps) for maps in stages]

    def wait(self) -> None:
        """Until all that was started is done."""
        if self._device == "cuda":
            torch.cuda.synchronize()

    def flops(self, images: Any, targets: Any) -> float:
        """Operations of the convolutions and products of a step's two passes."""
        counter = importlib.import_module("torch.utils.flop_counter")
        with counter.FlopCounterMode(display=False) as counted:
            self._loss_of(images, targets).backward()
        self._optimizer.zero_grad(set_to_none=True)
        return float(counted.get_total_flops())

    def _loss_of(self, images: Any, targets: Any) -> Any:
        stages = self._stages(images)
        settings = self._settings
        weights = [settings.loss.intermediate_weight] * (len(stages) - 1) + [1.0]
        names = poseseg.supervised(settings.model)
        radius = settings.representation.radius
        parts = (
            weight / sum(weights) * _total(maps, targets, settings.loss, radius, names)
            for maps, weight in zip(stages, weights, strict=True)
        )
        return sum(parts)

    def _stages(self, images: Any) -> list[Maps]:
        is_half = self._settings.model.dtype == "bfloat16"
        half = contextlib.nullcontext()
        if is_half:
            half = torch.autocast(self._device, torch.bfloat16)
        with half:
            return self._network.stages(images)

    def _tensor(self, name: str, leaf: Any) -> Any:
        values = np.array(leaf)
        if name.endswith("kernel"):  # HWIO -> OIHW
            values = values.transpose(3, 2, 0, 1).copy()
        tensor = torch.from_numpy(values).to(self._device)
        if values.ndim == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        return tensor


def _total(
    maps: Maps, targets: Targets, settings: Any, radius: float, names: tuple[str, ...]
) -> Any:
    """The weighted sum of the terms; see losses.terms."""
    true = targets.maps
    softplus = torch.nn.functional.softplus

    def mean(values: Any, weights: Any) -> Any:
        return (values * weights).sum() / weights.sum().clamp(min=1e-6)

    def unlike(logits: Any, truth: Any) -> Any:
        return truth * softplus(-logits) + (1 - truth) * softplus(logits)

    def far(said: Any, truth: Any) -> Any:
        return (said - truth).abs().mean(-1) / radius

    importance = 1 + (settings.positive_weight - 1) * true.heatmap
    terms: dict[str, Callable[[], Any]] = {
        "heatmap": lambda: mean(
            importance * unlike(maps.heatmap, true.heatmap), targets.asked
        ),
        "person": lambda: mean(unlike(maps.person, true.person), targets.asked_person),
        "short": lambda: mean(far(maps.short, true.short), targets.near),
        "mid": lambda: mean(far(maps.mid, true.mid), targets.edge),
        "long": lambda: mean(far(maps.long, true.long), targets.owned),
        "body": lambda: mean(unlike(maps.body, true.body), targets.asked_body),
    }
    assert terms.keys() == set(losses.TERMS)
    return sum(getattr(settings, name) * terms[name]() for name in names)


def _optimizer(settings: Settings, params: dict[str, Any], *, is_fused: bool) -> Any:
    kernels = [tensor for tensor in params.values() if tensor.ndim > 1]
    rest = [tensor for tensor in params.values() if tensor.ndim <= 1]
    chosen = settings.optim
    groups = [
        {"params": kernels, "weight_decay": chosen.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    # As early in a run: nothing that is measured depends on the rate.
    rate = chosen.learning_rate / (chosen.warmup_steps + 1)
    if chosen.name == "sgd":
        momentum = chosen.momentum
        return torch.optim.SGD(groups, lr=rate, momentum=momentum, fused=is_fused)
    return torch.optim.AdamW(groups, lr=rate, fused=is_fused)


def _check(settings: Settings) -> None:
    model, chosen = settings.model, settings.optim
    unknown = {
        "model.refine_stages": model.refine_stages > 0,
        "model.norm": model.norm != "live",
        "model.remat": model.remat,
        "optim.freeze_stages": chosen.freeze_stages > 0,
        "optim.accumulate_steps": chosen.accumulate_steps > 1,
        "optim.backbone_rate": not math.isclose(chosen.backbone_rate, 1),
        "optim.layer_decay": not math.isclose(chosen.layer_decay, 1),
        "init.workdir": bool(settings.init.workdir),
    }
    asked = [name for name, is_asked in unknown.items() if is_asked]
    if asked:
        raise ValueError(f"The twin in PyTorch does not know {', '.join(asked)}.")
