"""How far a long work is, as a bar on a terminal. tqdm lives here and nowhere else."""

import sys

from tqdm import tqdm


def bar(
    unit: str,
    *,
    total: int | None,
    done: int = 0,
    what: str | None = None,
    stays: bool = True,
) -> tqdm:
    """A bar that redraws its line; where there is no terminal, none, and `disable` set.

    Args:
      unit: what is counted; "B" for bytes, which are shown as MB and GB.
      total: how many there are; None: nobody knows.
      done: how many need no doing any more.
      what: the work, in front of the bar.
      stays: whether it is still there when it is closed.

    Returns:
      What `update` moves and `close` ends.
    """
    return tqdm(
        desc=what,
        total=total,
        initial=done,
        unit=unit,
        unit_scale=unit == "B",
        leave=stays,
        disable=not sys.stderr.isatty(),
    )
