"""Checks of a config that are about several of its groups at once."""

from poseseg_jax.models import poseseg
from poseseg_jax.models.poseseg import ModelSettings
from poseseg_jax.representation import Representation
from poseseg_jax.skeleton import CENTER


def check_read(
    model: ModelSettings, *, freeze_stages: int, what: str, workdir: str
) -> None:
    """Refuses what would be read by nothing: who asks for it means something else.

    Args:
      model: the network's settings.
      freeze_stages: of `optim`.
      what, workdir: of `init`.

    Raises:
      ValueError: naming the field.
    """
    stages = poseseg.num_stages(model)
    if freeze_stages > stages:
        raise ValueError(
            f"optim.freeze_stages is {freeze_stages}, but a backbone "
            f"{model.backbone!r} with model.output_stride {model.output_stride} has "
            f"{stages} stages."
        )
    if model.pretrained_partial and not model.pretrained:
        raise ValueError(
            "model.pretrained_partial is True, but model.pretrained names no file that "
            "could lack layers."
        )
    if what != "backbone" and not workdir:
        raise ValueError(f"init.what is {what!r}, but init.workdir names no ancestor.")
    if model.bottleneck_stride == "1x1" and not poseseg.has_bottlenecks(model):
        raise ValueError(
            f'model.bottleneck_stride is "1x1", but a backbone {model.backbone!r} has '
            'no bottlenecks; leave it at "3x3".'
        )


def check_labels(labels: str, representation: Representation) -> None:
    """Refuses to learn masks alone where people are only found by their keypoints.

    Raises:
      ValueError: naming the fields.
    """
    if labels == "masks" and CENTER not in representation.skeleton.roots:
        raise ValueError(
            "data.labels is 'masks', but a tree has no centre to find people by, and "
            "their keypoints would not be learned: take representation.skeleton "
            "'center' or 'both'."
        )


def check_strides(representation: Representation, center_stride: int) -> None:
    """Refuses strides of maps that do not divide the common one.

    Raises:
      ValueError: naming the field.
    """
    others = {
        "representation.person_stride": representation.person_stride,
        "decode.center_stride": center_stride,
    }
    for name, stride in others.items():
        if representation.map_stride % stride:
            raise ValueError(
                f"representation.map_stride {representation.map_stride} must be a "
                f"multiple of {name} {stride}."
            )
