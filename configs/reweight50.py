"""Nothing is removed; pictures with one person come as seldom as in bias50."""

from ml_collections import ConfigDict

from configs import base


def get_config(preset: str = "") -> ConfigDict:
    """See configs/base.py; `preset` is "" or "tiny"."""
    config = base.get_config(preset)
    config.update({"data": {"reduction": 50, "reduction_by": "reweight"}})
    return config
