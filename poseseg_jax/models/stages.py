"""How deep in the network a parameter lies, told by its name."""

import re

_STAGE = re.compile(r"backbone/(?:layer|down)(\d)")


def stage_of(name: str) -> int | None:
    """The backbone's stage that a parameter belongs to; None: to no backbone.

    Stage 0 is the stem. Stage n is `layer<n>` of a ResNet, and of "tiny" all that lies
    at stride 2^(n+1): `down<n>` and `layer<n>`.

    Args:
      name: as `backbone/layer1_0/conv1/kernel`.
    """
    if not name.startswith("backbone/"):
        return None
    match = _STAGE.match(name)
    return int(match[1]) if match else 0
