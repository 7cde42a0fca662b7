"""Values in error messages: on one line, of a bounded length, whatever they are.

And whose a problem is, in reports of what was left out.
"""

import reprlib

MAX_LENGTH = 150
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxlist = _SHORT.maxdict = 8
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 60


def quote(value: object) -> str:
    """A value as Python writes it, its middle left out where that is long.

    Annotation files are not ours: a value may be an integer of thousands of digits, or
    lists within lists beyond what `repr` can follow.
    """
    text = _SHORT.repr(value)
    is_long = len(text) > MAX_LENGTH
    return f"{text[: MAX_LENGTH - 30]} ... {text[-25:]}" if is_long else text


def name_picture(image_id: int | None) -> str:
    """The picture of a problem; None: its entry names no picture."""
    return "no picture named" if image_id is None else f"picture {image_id}"
