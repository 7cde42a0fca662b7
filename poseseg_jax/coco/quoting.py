"""Values in error messages: on one line, of a bounded length, whatever they are."""

import reprlib

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxlist = _SHORT.maxdict = 8
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 60


def quote(value: object) -> str:
    """A value as Python writes it, its middle left out where that is long.

    Annotation files are not ours: a value may be an integer of thousands of digits, or
    lists within lists beyond what `repr` can follow.
    """
    return _SHORT.repr(value)
