"""The network once more, in PyTorch: see torch_twin.py.

With functions instead of modules, as it is given our parameters, under our names.
PyTorch need not be installed: nothing here is called then.
"""

import importlib
import importlib.util
import itertools
from typing import Any

import numpy as np

from poseseg_jax.config import Settings
from poseseg_jax.models import poseseg, resnet
from poseseg_jax.models.heads import shallow_stride
from poseseg_jax.structs import Maps

Tensors = dict[str, Any]

torch: Any = None
if importlib.util.find_spec("torch") is not None:
    torch = importlib.import_module("torch")


class Network:
    """Pictures -> maps, with live norms.

    Args:
      settings: of the run.
      params, stats: tensors by our names, as `backbone/conv1/kernel`; kernels as OIHW.
    """

    def __init__(self, settings: Settings, params: Tensors, stats: Tensors):
        self._model, self._representation = settings.model, settings.representation
        self._params, self._stats = params, stats
        self._mean = _like(params, poseseg.MEAN)[:, None, None]
        self._std = _like(params, poseseg.STD)[:, None, None]

    def stages(self, images: Any) -> list[Maps]:
        """Of B uint8 pictures [B H W 3]: what the heads say, and then refined."""
        x = (images.permute(0, 3, 1, 2) / 255 - self._mean) / self._std
        x = x.contiguous(memory_format=torch.channels_last)
        is_tiny = self._model.backbone == "tiny"
        features = self._tiny(x) if is_tiny else self._resnet(x)
        stride = self._model.output_stride
        x = features[stride]
        if self._model.neck == "fpn":
            x, stride = self._fpn(features), self._representation.map_stride
        stages = [
            self._heads(x, features[shallow_stride(self._representation)], stride)
        ]
        if self._model.refine_steps:
            stages.append(self._refine(stages[0]))
        return stages

    def _conv(self, x: Any, name: str, stride: int = 1, dilation: int = 1) -> Any:
        kernel = self._params[f"{name}/kernel"]
        bias = self._params.get(f"{name}/bias")
        padding = dilation * (kernel.shape[-1] // 2)
        return torch.nn.functional.conv2d(x, kernel, bias, stride, padding, dilation)

    def _norm(self, x: Any, name: str) -> Any:
        return torch.nn.functional.batch_norm(
            x,
            self._stats[f"{name}/mean"],
            self._stats[f"{name}/var"],
            self._params[f"{name}/scale"],
            self._params[f"{name}/bias"],
            training=True,
            momentum=0.1,
            eps=poseseg.NORM_EPSILON,
        )

    def _block(self, x: Any, name: str, stride: int, before: int, after: int) -> Any:
        relu = torch.relu
        if f"{name}/conv3/kernel" in self._params:
            in_first = self._model.bottleneck_stride == "1x1"
            first, second, between = (
                (stride, 1, after) if in_first else (1, stride, before)
            )
            y = self._conv(x, f"{name}/conv1", first)
            y = relu(self._norm(y, f"{name}/bn1"))
            y = self._conv(y, f"{name}/conv2", second, between)
            y = relu(self._norm(y, f"{name}/bn2"))
            y = self._norm(self._conv(y, f"{name}/conv3"), f"{name}/bn3")
        else:
            y = self._conv(x, f"{name}/conv1", stride, before)
            y = relu(self._norm(y, f"{name}/bn1"))
            y = self._conv(y, f"{name}/conv2", 1, after)
            y = self._norm(y, f"{name}/bn2")
        if f"{name}/downsample_conv/kernel" in self._params:
            x = self._conv(x, f"{name}/downsample_conv", stride)
            x = self._norm(x, f"{name}/downsample_bn")
        return relu(x + y)

    def _resnet(self, x: Any) -> dict[int, Any]:
        _, sizes = resnet.RESNETS[self._model.backbone]
        x = self._conv(x, "backbone/conv1", 2)
        x = torch.relu(self._norm(x, "backbone/bn1"))
        features, reached = {2: x}, 4
        x = torch.nn.functional.max_pool2d(x, 3, 2, 1)
        grids = resnet.stage_grids((1, 2, 2, 2), self._model.output_stride // reached)
        for stage, (size, grid) in enumerate(zip(sizes, grids, strict=True), 1):
            stride, before, after = grid
            for index in range(size):
                name = f"backbone/layer{stage}_{index}"
                first = (stride, before) if index == 0 else (1, after)
                x = self._block(x, name, *first, after)
            reached *= stride
            features[reached] = x
        return features

    def _tiny(self, x: Any) -> dict[int, Any]:
        stages = self._count("backbone/down{}/kernel")
        features, reached = {}, 1
        grids = resnet.stage_grids((2,) * stages, self._model.output_stride)
        for stage, (stride, before, after) in enumerate(grids):
            blocks = self._count(f"backbone/layer{stage}_{{}}/conv1/kernel")
            x = self._conv(x, f"backbone/down{stage}", stride, before)
            x = torch.relu(self._norm(x, f"backbone/down{stage}_bn"))
            for index in range(blocks):
                x = self._block(x, f"backbone/layer{stage}_{index}", 1, after, after)
            reached *= stride
            features[reached] = x
        return features

    def _count(self, name: str) -> int:
        """How many parameters have this name with 0, 1, ... in it."""
        numbers = itertools.count()
        there = (name.format(number) in self._params for number in numbers)
        return sum(1 for _ in itertools.takewhile(bool, there))

    def _fpn(self, features: dict[int, Any]) -> Any:
        reached, last = max(features), self._representation.map_stride
        x = self._conv(features[reached], f"neck/lateral{reached}")
        for stride in sorted(
            (s for s in features if last <= s < reached), reverse=True
        ):
            x = _upsample(x, reached // stride)
            x = x + self._conv(features[stride], f"neck/lateral{stride}")
            reached = stride
        return torch.relu(self._norm(self._conv(x, "neck/smooth"), "neck/smooth_bn"))

    def _heads(self, x: Any, shallow: Any, stride: int) -> Maps:
        finer = stride // self._representation.map_stride

        def read(name: str) -> Any:
            with torch.autocast(x.device.type, enabled=False):
                values = _upsample(self._conv(x.float(), f"heads/{name}"), finer)
            return values.permute(0, 2, 3, 1)

        def offsets(name: str) -> Any:
            values = read(name) * self._representation.radius
            return values.reshape(*values.shape[:-1], -1, 2)

        heatmap = read("heatmap")
        return Maps(
            heatmap=heatmap,
            short=offsets("short"),
            mid=offsets("mid"),
            long=offsets("long"),
            person=self._person(x, shallow, stride),
            body=(
                read("body")[..., 0]
                if self._model.body_map
                else heatmap[..., :-1].amax(-1)
            ),
        )

    def _person(self, x: Any, shallow: Any, stride: int) -> Any:
        own = shallow_stride(self._representation)
        deep = _upsample(self._conv(x, "heads/person_deep"), stride // own)
        y = self._conv(shallow, "heads/person_shallow") + deep
        y = torch.relu(self._norm(y, "heads/person_bn"))
        with torch.autocast(x.device.type, enabled=False):
            logits = self._conv(y.float(), "heads/person")
            return _upsample(logits, own // self._representation.person_stride)[:, 0]

    def _refine(self, maps: Maps) -> Maps:
        stride, steps = self._representation.map_stride, self._model.refine_steps
        targets = torch.tensor(np.array(self._representation.skeleton.targets))
        to_targets = maps.short[:, :, :, targets.to(maps.short.device)]
        mid, long = maps.mid, maps.long
        for _ in range(steps):
            mid = mid + _sample(to_targets, mid, stride)
        for _ in range(steps):
            long = long + _sample(maps.long, long, stride)
        for _ in range(steps):
            long = long + _sample(maps.short, long, stride)
        return maps.replace(mid=mid, long=long)  # type: ignore[attr-defined]


def _sample(field: Any, offsets: Any, stride: int) -> Any:
    """Of [B h w n 2]: each channel of `field` where the same one of `offsets` lands."""
    batch, height, width, n, _ = offsets.shape
    options = {"device": offsets.device, "dtype": offsets.dtype}
    x = torch.arange(width, **options)[None, :, None] + offsets[..., 0] / stride
    y = torch.arange(height, **options)[:, None, None] + offsets[..., 1] / stride
    # grid_sample counts from -1 to 1.
    places = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], -1)
    places = places.permute(0, 3, 1, 2, 4).reshape(batch * n, height, width, 2)
    field = field.permute(0, 3, 4, 1, 2).reshape(batch * n, 2, height, width)
    found = torch.nn.functional.grid_sample(
        field, places, mode="bilinear", padding_mode="border", align_corners=True
    )
    return found.reshape(batch, n, 2, height, width).permute(0, 3, 4, 1, 2)


def _upsample(x: Any, factor: int) -> Any:
    """Old cells keep their value and place."""
    if factor == 1:
        return x
    size = [factor * (cells - 1) + 1 for cells in x.shape[-2:]]
    return torch.nn.functional.interpolate(
        x, size=size, mode="bilinear", align_corners=True
    )


def _like(params: Tensors, values: np.ndarray) -> Any:
    some = next(iter(params.values()))
    return torch.from_numpy(values.astype(np.float32)).to(some.device)
