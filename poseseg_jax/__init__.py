"""One network for the keypoints and the pixels of every person in a picture."""

from importlib import metadata as _metadata

try:
    __version__ = _metadata.version(__name__)  # setup.cfg's
except _metadata.PackageNotFoundError:  # a copy that nobody has installed
    __version__ = "unknown"
