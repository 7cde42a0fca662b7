"""A ResNet-50 and 2,450 photographs: what half an hour of one large GPU can teach.

The data and the weights are named on the command line, as they lie elsewhere for all:

    --config.data.root=P --config.model.pretrained=FILE.safetensors

experiments/coco_mini/README.md says how P is made, and what is scored on what. None of
the numbers below has been tried on a GPU yet: they are reasoned, not found.

The time. A step is 8.7e12 operations, as `poseseg_jax.speed.step_flops` counts them. A
ResNet waits for memory more than for arithmetic, so a tenth of the peak of an H100 is
assumed: 0.1 s for a step, ten minutes for 6,000. The rest of the half hour is for
data, compilations and the way home. It is an estimate: measure some steps first, and
set train.num_steps to what fits, for a cosine has to come to its end.
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
        "data": {
            # 387 of the pictures have people with masks and nobody with a labelled
            # keypoint: they are to be trained on, too.
            "head_count": "annotated",
            # A core is left for the trainer, and one for what else there is, of 16.
            "num_workers": 14,
        },
        # With 2,000 pasted pictures there are 4,450, and 6,000 steps of 32 see each 43
        # times: they have to differ. The test shows a picture of 480 px at 641, 1.34 of
        # its size; training at 0.8 ... 2.35, evenly in its logarithm, half of them
        # above 1.37. Much below 1 most of the input would be empty.
        "augment": {
            "scale_min": 0.75,
            "scale_max": 2.2,
            "rotation": 30.0,
            "translation": 0.3,
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
            # Less than the 1e-3 of Simple Baselines (arXiv 1804.06208), for a
            # pretrained ResNet-50 and a fresh head: that has more pictures.
            "learning_rate": 7e-4,
            "warmup_steps": 500,
            # More than base.py's, against learning few pictures by heart.
            "weight_decay": 0.05,
            # layer4, neck and heads are fresh and learn at the whole rate, and what
            # they send back at first must not tear the others: layer3 learns at 0.5 of
            # the rate, layer2 at 0.25, layer1 at 0.125, the stem at 0.06.
            "layer_decay": 0.5,
            # Averages over the last 1,000 steps or so, a sixth of the run.
            "ema": 0.999,
        },
        "train": {
            "num_steps": 6_000,
            "batch_size": 32,
            "image_size": 513,
            "log_every": 50,
        },
        # Each is 0.4 GB, and costs a second or two. A machine that vanishes takes 100
        # seconds of work with it; a SIGTERM takes nothing.
        "checkpoint": {"every_steps": 1_000},
        # Scored at the end alone: evaluations on the way take time from the training,
        # and the last checkpoint is taken by rule. The pictures are 480 px wide: small
        # people are seen better when enlarged.
        "eval": {"every_steps": 0, "zoom": 1.25},
    }
