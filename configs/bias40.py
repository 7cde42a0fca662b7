"""40 % of the pictures with exactly one person are removed."""

from ml_collections import ConfigDict

from configs import base


def get_config(preset: str = "") -> ConfigDict:
    """See configs/base.py; `preset` is "" or "tiny"."""
    config = base.get_config(preset)
    config.update({"data": {"reduction": 40}})
    return config
