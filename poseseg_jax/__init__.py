"""One network for the keypoints and the pixels of every person in a picture."""

import configparser
from importlib import metadata
from pathlib import Path


def _version() -> str:
    """setup.cfg's, which an installed package knows by heart."""
    try:
        return metadata.version(__name__)
    except metadata.PackageNotFoundError:  # a checkout that nobody has installed
        setup = configparser.ConfigParser()
        setup.read(Path(__file__).parents[1] / "setup.cfg")
        return setup.get("metadata", "version", fallback="unknown")


__version__ = _version()
