"""Whose weights a file holds, as far as the names of its tensors tell.

Many networks are called ResNet. Who has picked the wrong file wants to know which.
"""

import re
from collections.abc import Collection

from poseseg_jax.models.resnet import RESNETS, Bottleneck

# What only their names have -> who they are, and what to do if something can be done.
_RELATIVES = {
    r"conv1\.\d": 'a stem of three convolutions, as in timm\'s "d", "c", "s" and "t"',
    r"layer\d\.0\.downsample\.2\.": 'pooling in the shortcut, as in timm\'s "d"',
    r"layer\d\.\d+\.(se|attn)\.": "attention in the blocks, as in SE-ResNets",
    r"layer\d\.\d+\.aa\.": "blurred pooling, as in timm's resnetblur50",
    r"layer\d\.\d+\.convs\.": "several convolutions abreast, as in Res2Nets",
    r"(conv1|layer\d\.\d+\.conv\d)\.bias": "biases beside the norms, as in Keras' own",
    r"(resnet\.)?(embedder|encoder\.stages)\.": (
        "the names of the transformers library; timm has such networks in names that "
        "fit"
    ),
    r"(stem|stages|head)\.": "names of another family, such as timm's resnetv2",
    r"(module|model|backbone|trunk|encoder|body|0)\.": (
        "a prefix before the names: take it away and save the file again"
    ),
}


def explain(names: Collection[str]) -> str:
    """What kind of network a file is of that does not fit, in a few words.

    Args:
      names: of all tensors in the file.
    """
    for pattern, words in _RELATIVES.items():
        found = next((name for name in names if re.match(pattern, name)), None)
        if found:
            return f"{found} means {words}"
    backbone = guess(names)
    if backbone:
        return f"its blocks are those of a {backbone}; set model.backbone to that"
    return "no network is known here that has such names"


def guess(names: Collection[str]) -> str | None:
    """The one of RESNETS whose blocks a file holds, by their names.

    A file may lack whole stages; None where that leaves more than one, or none.
    """
    found = [re.match(r"layer(\d)\.(\d+)\.conv(\d)\.", name) for name in names]
    blocks = [tuple(map(int, match.groups())) for match in found if match]
    sizes = tuple(
        1 + max((block for stage, block, _ in blocks if stage == number), default=-1)
        for number in (1, 2, 3, 4)
    )
    deep = any(conv == 3 for *_, conv in blocks)
    fitting = [
        name
        for name, (kind, known) in RESNETS.items()
        if (kind is Bottleneck) == deep
        and all(size in (0, its) for size, its in zip(sizes, known, strict=True))
    ]
    return fitting[0] if len(fitting) == 1 else None
