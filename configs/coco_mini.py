"""A ResNet-50 and some 2,400 photographs: what 25 minutes of one large GPU can teach.

The data and the weights are named on the command line, as they lie elsewhere for all:

    --config.data.root=P --config.model.pretrained=FILE.safetensors

experiments/coco_mini/README.md says how P is made, and what is scored on what. None of
the numbers below has been tried on a GPU yet: they are reasoned, not found.

The time. A step is 8.7e12 operations, as `poseseg_jax.speed.step_flops` counts them. A
ResNet waits for memory more than for arithmetic, so an eighth of the peak of an H100 is
assumed, not a quarter or more: 0.07 s for a step, 14 minutes for 12,000. The rest of
the 25 is for data, compilations and evaluations. It is an estimate: measure some steps
first, and set train.num_steps to what fits, for a cosine has to come to its end.
"""

from ml_collections import ConfigDict

from configs import base


def get_config(preset: str = "") -> ConfigDict:
    """See configs/base.py; `preset` is "" or "tiny".

    With "tiny" nothing of this file is left: its network is no ResNet, there are no
    weights that it could begin with, and its people are drawn.
    """
    config = base.get_config(preset)
    if preset != "tiny":
        config.update(_coco_mini())
    return config


def _coco_mini():
    return {
        # A core is left for the trainer, and one for what else there is, of 16.
        "data": {"num_workers": 14},
        # 2,400 pictures are seen a hundred times and more: they have to differ. Larger
        # rather than smaller, as small people are what is hard in these pictures.
        "augment": {
            "scale_min": 0.5,
            "scale_max": 2.0,
            "rotation": 30.0,
            "translation": 0.2,
            "color": 0.4,
        },
        "model": {
            "backbone": "resnet50",
            # As the weights were trained: Keras' ResNet-50 is v1.
            "bottleneck_stride": "1x1",
            # The file has no layer4; it starts fresh.
            "pretrained_partial": True,
            # The decoder refines its steps by short offsets anyway. In training this
            # gathers, and its gradient scatters, which is slow on a GPU.
            "refine_steps": 0,
        },
        # As of the preset tiny, for the same reason, few steps: what places the joints
        # has to be learned from the start.
        "loss": {
            "heatmap": 2.0,
            "short": 2.0,
            "mid": 1.0,
            "long": 0.5,
            "body": 0.25,
        },
        "optim": {
            # Adam's in Simple Baselines (arXiv 1804.06208), for a pretrained ResNet-50
            # and a fresh head.
            "learning_rate": 1e-3,
            "warmup_steps": 500,
            # More than base.py's, against learning few pictures by heart.
            "weight_decay": 0.05,
            # layer4 is fresh and learns at the whole rate. From layer3 down to the stem
            # the weights know more and more of what is asked: 0.7 ... 0.24 of it.
            "layer_decay": 0.7,
            # Averages over the last 1,000 steps or so, a twelfth of the run.
            "ema": 0.999,
        },
        "train": {
            "num_steps": 12_000,
            "batch_size": 32,
            "image_size": 513,
            "log_every": 50,
        },
        # Each is 0.4 GB, and costs a second or two. A machine that vanishes takes 70
        # seconds of work with it; a `timeout` takes nothing.
        "checkpoint": {"every_steps": 1_000},
        # At the places where checkpoints are, or the best one could not be kept. The
        # pictures are 480 px wide: small people are seen better when enlarged.
        "eval": {"every_steps": 3_000, "zoom": 1.25},
    }
