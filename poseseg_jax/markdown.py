"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """A table whose first columns hold words, and whose others hold numbers.

    Args:
      head: what the columns hold.
      rows: a cell for each of them.
      words: how many of the columns are aligned left.
    """
    marks = ["---"] * words + ["---:"] * (len(head) - words)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, marks, *rows))
