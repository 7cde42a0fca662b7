"""Tables in Markdown, and the numbers in them."""

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


def percent(value: float | None) -> str:
    """A score from 0 to 1 times 100, as papers have it; "-" for none."""
    return "-" if value is None else f"{100 * value:.1f}"
