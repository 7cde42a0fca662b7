"""Every field of a run, once, with its unit and its reason.

The defaults are the real thing: COCO 2017 on one large GPU. The preset `tiny` turns
any config into minutes on two CPU cores, on drawn people, from nothing.
"""

from ml_collections import ConfigDict

PRESETS = ("", "tiny")


def get_config(preset: str = "") -> ConfigDict:
    """The base configuration.

    Args:
      preset: "" for the real thing, or "tiny": what follows the colon in
        `--config=configs/bias70.py:tiny`.

    Raises:
      ValueError: if there is no such preset.
    """
    if preset not in PRESETS:
        raise ValueError(
            f"There is no preset {preset!r}; the only one is 'tiny'. Without a colon "
            "and a preset, a config is the real thing."
        )
    config = ConfigDict(
        {
            "data": _data(),
            "augment": _augment(),
            "representation": _representation(),
            "model": _model(),
            "loss": _loss(),
            "decode": _decode(),
            "optim": _optim(),
            "init": _init(),
            "train": _train(),
            "checkpoint": {
                "every_steps": 2_000,  # a save also happens at the end
                # Latest ones kept, beside the best; at least 2, to fall back on one.
                "keep": 2,
            },
            "eval": {
                "every_steps": 10_000,  # 0: only at the end
                # Input side as a multiple of training's, to the nearest that fits.
                "zoom": 1.0,
                # Test-time averaging: every picture is seen at these multiples of that
                # side, and with `flip` mirrored too. Answers come in the frame of
                # `zoom`: detail beyond it is lost. Each view costs a forward pass.
                "scales": (1.0,),
                "flip": False,  # see scales
                "batch_size": 16,  # of all devices together; scores do not depend on it
                "overlays": 12,  # pictures drawn into workdir/overlays
                "worst": 8,  # pictures on workdir/worst.png, 0: no such sheet
            },
            # Writes what the devices do in a few steps into workdir/profile. In no
            # group: it is about the program, not about what is learned.
            "profile": False,
        }
    )
    if preset == "tiny":
        config.update(_tiny())
    return config


def _data():
    return {
        # A folder in COCO's layout: annotations/person_keypoints_{train,val}2017.json,
        # train2017/, val2017/. "embedded" draws one.
        "root": "",
        # Files and folders that lie elsewhere; "": as in root's layout. Given all four,
        # no root is needed. Any COCO-keypoint JSON will do, also .json.gz.
        "train_annotations": "",
        "train_images": "",  # likewise, a folder
        "val_annotations": "",  # likewise
        "val_images": "",  # likewise
        # Fetch COCO 2017 (20 GB) into prepared_dir where nothing else is given.
        "download": False,
        # Percent of the pictures with exactly one person to remove, 0 ... 100.
        "reduction": 0,
        # "removal", or a control: "random" removes as many of all pictures at random;
        # "reweight" removes none, and draws single-person pictures as much less often.
        "reduction_by": "removal",
        # Who counts: persons with a "labelled" keypoint, or everybody "annotated".
        # Part of the prepared data set's identity, like the next.
        "head_count": "labelled",
        # Which of them are removed, and the order.
        "order_seed": 0,
        # Where TFDS keeps prepared data sets; "": TFDS' own default (TFDS_DATA_DIR).
        "prepared_dir": "",
        # A broken record: "raise" stops the preparation, "skip" lists it in a report.
        "on_error": "raise",
        # People per picture in training; of more, the largest.
        "max_people": 30,
        # Loader processes; 0: in the training process.
        "num_workers": 12,
        # Which labels training sees: "keypoints", "masks" or "both". Scores are of both
        # tasks all the same.
        "labels": "both",
        # Pictures that "embedded" draws.
        "embedded_train": 3000,
        "embedded_val": 200,  # likewise, for its validation split
    }


def _augment():
    return {
        # Zoom relative to the picture filling the input, drawn log-uniformly.
        "scale_min": 0.5,
        "scale_max": 1.5,  # the upper end
        "rotation": 20.0,  # degrees, either way
        "translation": 0.15,  # fraction of the input side, either way
        "flip": 0.5,  # probability
        "color": 0.3,  # brightness, contrast and saturation: factor 1 - c ... 1 + c
    }


def _representation():
    return {
        "skeleton": "center",  # directed edges: "tree", "center" or "both"
        "radius": 32.0,  # of an anchor's disc, input px
        "map_stride": 4,  # input px per cell
        "person_stride": 2,  # the person map's own: small people keep their outline
        "body_sigma": 0.1,  # fraction of sqrt(person's area)
        # A cell of the person map: the fraction that people cover ("soft"), or 0 or 1
        # ("hard").
        "masks": "soft",
    }


def _model():
    return {
        "backbone": "resnet101",  # "resnet18", 34, 50, 101, 152 or "tiny"
        "width": 1.0,  # factor on the channels of "tiny"
        "output_stride": 16,  # 32, 16 or 8: later strides become dilation
        # Where a bottleneck strides: "3x3" (v1.5, torchvision) or "1x1" (v1, Keras).
        "bottleneck_stride": "3x3",
        "neck": "fpn",  # "fpn", or "upsample": heads at output_stride
        "neck_channels": 256,  # that the heads see
        # Learned refinement: networks that see features and maps, and correct the maps.
        # All of them are supervised, see loss.intermediate_weight.
        "refine_stages": 0,  # how many, one after the other
        "refine_channels": 64,  # of their residual blocks
        # "keypoint" (heatmap, body, short, mid), "mask" (person, long) or "both".
        "refine_maps": "both",
        "refine_steps": 2,  # recurrent offset refinement, after them, 0: none
        # False: neither a head nor a loss; the heatmaps' maximum stands for the map.
        "body_map": True,
        "norm": "live",  # of the backbone: "live", or "frozen" as pretrained
        "dtype": "bfloat16",  # of the computation; parameters are float32
        # Residual blocks are computed again for the gradient: less memory, more time
        # (gradient checkpointing, rematerialisation).
        "remat": False,
        "pretrained": "",  # ImageNet weights of the backbone, .safetensors
        # True: layers that the file lacks start fresh; False: they are an error.
        "pretrained_partial": False,
    }


def _loss():
    return {
        # PersonLab's 4 : 2 : 1 : 1/4 : 1/8; each term is a mean over what counts.
        "heatmap": 4.0,
        "person": 2.0,  # like heatmap and body, cross-entropy of a cell
        "short": 1.0,  # offsets: L1 / radius of a component
        "mid": 0.25,  # likewise
        "long": 0.125,  # likewise
        "body": 0.5,  # not PersonLab's
        "positive_weight": 4.0,  # of heatmap cells inside a disc against those outside
        "hard_keypoint_weight": 1.0,  # of hidden (v=1) against visible (v=2) keypoints
        # Of the maps before each refinement against the last ones, 0: they are free.
        "intermediate_weight": 1.0,
    }


def _decode():
    return {
        "peak_threshold": 0.01,  # Hough score
        "peaks_per_anchor": 40,  # candidates kept per anchor type
        "max_people": 30,  # slots of the answer: of more people, the best
        "suppression_radius": 10.0,  # px: nearer to the same anchor is the same person
        # px per cell of the centre's Hough map: small people stand close together.
        "center_stride": 2,
        "center_radius": 10.0,  # px: poses with nearer centres are the same person
        "center_radius_min": 4.0,  # px: the same for the smallest people
        "center_scale": 0.25,  # in between: fraction of sqrt(person's visible area)
        "refine_steps": 2,  # by short offsets, after each step of a walk
        # px: the nearest candidate within it is where a step ends. 0: as PersonLab,
        # steps end where the offsets say.
        "snap_radius": 0.0,
        "found_threshold": 0.1,  # probability from which an anchor counts as found
        # Exponent of the body map in a confidence. Off: with 0.5 and 1, `tiny` lost
        # 0.2 and 0.5 keypoints AP.
        "body_weight": 0.0,
        # Keypoints that a better person claims do not count in a person's score
        # (PersonLab's soft non-maximum suppression); False: all of them do.
        "soft_nms": True,
        # Embedding distance, in units of the person's scale. PersonLab's, whose masks
        # may overlap, is 0.25.
        "mask_threshold": 0.75,
        # True: a cell is shared between the two nearest people by nearness. False: it
        # is everybody's within the threshold.
        "exclusive_masks": True,
    }


def _optim():
    return {
        "name": "adamw",  # "adamw" or "sgd"
        "learning_rate": 5e-4,  # peak, after warm-up
        # train.batch_size for which learning_rate is meant: for another it is scaled in
        # proportion (arXiv 1706.02677). 0: learning_rate is taken as it is.
        "reference_batch_size": 0,
        "warmup_steps": 1_000,  # in which the rate rises to its peak
        "schedule": "cosine",  # "cosine" (to 0) or "constant"
        "weight_decay": 1e-4,  # of kernels, not of biases and norms
        "clip": 1.0,  # global norm of the gradient, 0: none
        "momentum": 0.9,  # of "sgd"
        "backbone_rate": 1.0,  # factor on the learning rate of the whole backbone
        # The backbone's deepest stage learns at that rate, each shallower one at this
        # fraction of the rate of the next (layer-wise learning-rate decay).
        "layer_decay": 1.0,
        # Stages of the backbone that keep their values, from the input: 1 is the stem,
        # 2 the stem and layer1, ... 5 a whole ResNet (4 of "tiny", or 5 with
        # output_stride 32). On their norms, see model.norm.
        "freeze_stages": 0,
        # Parts in which a batch goes through the network, for the memory of one part
        # (gradient accumulation). A step stays a step over train.batch_size pictures.
        "accumulate_steps": 1,
        # Decay of the averaged parameters that evaluation uses: an exponential moving
        # average (EMA, Polyak averaging).
        "ema": 0.9998,
    }


def _init():
    return {
        # Workdir of an ancestor: a run whose knowledge this one begins with. "": none.
        "workdir": "",
        "what": "backbone",  # of its parameters: "backbone", "all" or "nothing"
        "step": 0,  # of its checkpoints; 0: the latest
        # Weight of a second loss, towards the ancestor's maps. 0: it is not asked.
        "distill_weight": 0.0,
    }


def _train():
    return {
        "num_steps": 150_000,  # equal for every reduction: steps, not epochs
        "batch_size": 32,  # of all devices together
        "image_size": 641,  # input side, px: a multiple of 32, plus 1
        "seed": 0,  # of first parameters, of the order of pictures and their changes
        "log_every": 100,  # steps
    }


def _tiny():
    """What differs from the real thing in minutes on two CPU cores."""
    return {
        "data": {"root": "embedded", "num_workers": 1, "max_people": 13},
        # People are drawn in all sizes and turned already.
        "augment": {
            "scale_min": 0.85,
            "scale_max": 1.3,
            "rotation": 0.0,
            "translation": 0.08,
            "color": 0.15,
        },
        "representation": {"radius": 6.0},
        "model": {
            "backbone": "tiny",
            "neck_channels": 96,
            "refine_steps": 0,
            "dtype": "float32",
        },
        # Few steps: what places the joints has to be learned from the start.
        "loss": {
            "heatmap": 2.0,
            "short": 2.0,
            "mid": 1.0,
            "long": 0.5,
            "body": 0.25,
        },
        "optim": {"learning_rate": 3e-3, "warmup_steps": 100, "ema": 0.998},
        "train": {"num_steps": 7_000, "batch_size": 8, "image_size": 97},
        "checkpoint": {"every_steps": 1_000},
        # Larger than in training, as small people need it and a step could not pay it.
        "eval": {"every_steps": 0, "zoom": 1.16},
    }
