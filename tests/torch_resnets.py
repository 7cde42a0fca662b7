"""ResNets as torchvision defines them: names and shapes, and a forward pass in NumPy.

Written down from the papers and the published names, apart from the package: nothing
here knows flax, and what strides or how many blocks there are is read from the names.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

BLOCKS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}
# Published: of the whole classifier, without running statistics.
PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
}
NORM_LEAVES = ("weight", "bias", "running_mean", "running_var")

Tensors = dict[str, Any]


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor, convolutions as OIHW."""
    found: dict[str, tuple[int, ...]] = {}

    def add(conv: str, norm: str, out: int, inputs: int, size: int) -> None:
        found[f"{conv}.weight"] = (out, inputs, size, size)
        found.update({f"{norm}.{leaf}": (out,) for leaf in NORM_LEAVES})
        found[f"{norm}.num_batches_tracked"] = ()

    is_deep = name not in ("resnet18", "resnet34")
    add("conv1", "bn1", 64, 3, 7)
    before = 64
    for stage, size in enumerate(BLOCKS[name], 1):
        narrow = 32 * 2**stage
        wide = 4 * narrow if is_deep else narrow
        for block in range(size):
            layer = f"layer{stage}.{block}"
            if is_deep:
                add(f"{layer}.conv1", f"{layer}.bn1", narrow, before, 1)
                add(f"{layer}.conv2", f"{layer}.bn2", narrow, narrow, 3)
                add(f"{layer}.conv3", f"{layer}.bn3", wide, narrow, 1)
            else:
                add(f"{layer}.conv1", f"{layer}.bn1", wide, before, 3)
                add(f"{layer}.conv2", f"{layer}.bn2", wide, wide, 3)
            if block == 0 and (before != wide or stage > 1):
                add(f"{layer}.downsample.0", f"{layer}.downsample.1", wide, before, 1)
            before = wide
    found["fc.weight"], found["fc.bias"] = (1000, before), (1000,)
    return found


def draw(name: str, seed: int = 0) -> Tensors:
    """Random weights under which no layer is silent and none explodes."""
    rng = np.random.default_rng(seed)

    def values(name: str, shape: tuple[int, ...]) -> Any:
        if name.endswith("num_batches_tracked"):
            return np.array(7, np.int64)
        drawn = rng.standard_normal(shape, np.float32)
        if len(shape) > 1:
            return drawn / np.float32(np.sqrt(np.prod(shape[1:])))
        if name.endswith(("running_var", "bn1.weight", "downsample.1.weight")):
            return np.float32(0.5) + np.abs(drawn)
        return np.float32(0.3) * drawn

    return {name: values(name, shape) for name, shape in shapes(name).items()}


def forward(
    tensors: Mapping[str, Any],
    image: np.ndarray,
    *,
    stride_in: str = "3x3",
    output_stride: int = 32,
    epsilon: float = 1e-5,
) -> dict[str, np.ndarray]:
    """What every layer says of one picture [h w 3], by name; of a block, its result.

    Beyond `output_stride`, strides are left out, and whatever comes after reads cells
    that are as much farther apart.
    """
    said: dict[str, np.ndarray] = {}
    left_out = 1

    def conv(name: str, x: np.ndarray, *, stride: int = 1, apart: int = 1):
        weight = np.asarray(tensors[f"{name}.weight"], np.float32)
        said[name] = convolve(x, weight, stride=stride, apart=apart)
        return said[name]

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        scale, bias, mean, variance = (
            np.asarray(tensors[f"{name}.{leaf}"], np.float32) for leaf in NORM_LEAVES
        )
        said[name] = (x - mean) / np.sqrt(variance + epsilon) * scale + bias
        return said[name]

    x = np.maximum(norm("bn1", conv("conv1", image, stride=2)), 0)
    x, reached = max_pool(x), 4
    blocks = [name[: -len(".conv1.weight")] for name in tensors if ".conv1.w" in name]
    for layer in sorted(blocks, key=lambda name: [int(n) for n in name[5:].split(".")]):
        wanted = 2 if layer.endswith(".0") and not layer.startswith("layer1") else 1
        stride = wanted if reached * wanted <= output_stride else 1
        convs = [f"conv{n}" for n in (1, 2, 3) if f"{layer}.conv{n}.weight" in tensors]
        # The convolution that strides, or would: v1.5 is "3x3", v1 is "1x1".
        strides = "conv2" if len(convs) == 3 and stride_in == "3x3" else "conv1"
        y, apart = x, left_out
        for name in convs:
            by = stride if name == strides else 1
            y = conv(f"{layer}.{name}", y, stride=by, apart=apart)
            y = norm(f"{layer}.bn{name[-1]}", y)
            y = y if name == convs[-1] else np.maximum(y, 0)
            if name == strides:
                apart *= wanted // stride
        if f"{layer}.downsample.0.weight" in tensors:
            x = conv(f"{layer}.downsample.0", x, stride=stride)
            x = norm(f"{layer}.downsample.1", x)
        x = said[layer] = np.maximum(x + y, 0)
        reached, left_out = reached * stride, apart
    return said


def convolve(
    x: np.ndarray, weight: np.ndarray, *, stride: int = 1, apart: int = 1
) -> Any:
    """[h w c] and OIHW: the sum over the kernel's places, each a shifted picture."""
    size = weight.shape[2]
    reach = apart * (size // 2)
    height, width, _ = x.shape
    padded = np.pad(x, ((reach, reach), (reach, reach), (0, 0)))
    return sum(
        padded[apart * i :, apart * j :][:height:stride, :width:stride]
        @ weight[:, :, i, j].T
        for i in range(size)
        for j in range(size)
    )


def max_pool(x: np.ndarray) -> np.ndarray:
    """The maximum over 3x3 cells around every other cell."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    height, width, _ = x.shape
    shifted = [padded[i:, j:][:height:2, :width:2] for i in range(3) for j in range(3)]
    return np.max(shifted, axis=0)
