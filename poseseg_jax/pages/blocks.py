"""The parts of a page that the program writes, between two marks."""

import re

_BLOCK = "<!-- {name}: written by `python -m poseseg_jax.pages` -->\n"
_END = "<!-- end of {name} -->"


def fill(page: str, name: str, text: str) -> str:
    """The page with another text between the marks of that name.

    Raises:
      ValueError: if it has not got one such pair of marks.
    """
    first, last = _BLOCK.format(name=name), _END.format(name=name)
    pattern = f"(?<={re.escape(first)}).*?(?={re.escape(last)})"
    filled, count = re.subn(pattern, lambda _: f"\n{text}\n", page, flags=re.S)
    if count != 1:
        raise ValueError(f"expected one pair of marks, {first.strip()} and {last}")
    return filled
