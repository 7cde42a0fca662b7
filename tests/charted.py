"""Charts as their readers get them: the pixels of a PNG file."""

import cv2
import numpy as np


def decode(png):
    """RGB."""
    return cv2.cvtColor(
        cv2.imdecode(np.frombuffer(png, np.uint8), 1), cv2.COLOR_BGR2RGB
    )


def area(picture, color):
    """Pixels of a colour: #RRGGBB."""
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return int((picture == wanted).all(-1).sum())
