"""As many pictures as in bias50 are removed, at random from all of them."""

from ml_collections import ConfigDict

from configs import base


def get_config(preset: str = "") -> ConfigDict:
    """See configs/base.py; `preset` is "" or "tiny"."""
    config = base.get_config(preset)
    config.update({"data": {"reduction": 50, "reduction_by": "random"}})
    return config
