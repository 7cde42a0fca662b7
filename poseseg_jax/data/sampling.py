"""Which record comes when: in a new random order in every epoch, without end.

A source is anything with a length and with records by index. Parts of a source and
weights are said here, over one source and without copying it.
"""

from dataclasses import dataclass
from typing import Any

import grain
import numpy as np
from grain.sources import RandomAccessDataSource
from jaxtyping import Int

_SEEDS = 2**32  # Grain's are 32 bits


@dataclass(frozen=True, eq=False)
class Subset:
    """A source of some records of another.

    Attributes:
      source: the other.
      positions: of its records in the order in which they are wanted.
    """

    source: RandomAccessDataSource[Any]
    positions: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, index: int) -> Any:
        return self.source[int(self.positions[index])]


@dataclass(frozen=True, eq=False)
class Mixture:
    """All records of a source, the first of which are drawn more often than the rest.

    An epoch has `num_always + num_by_turns` draws.

    Attributes:
      source: with the records that come in every epoch first.
      num_always: how many those are; each is drawn once per epoch.
      num_by_turns: how many of the others are drawn per epoch: always those that were
        drawn least often, in random order.

    Raises:
      ValueError: for more records than there are, or none to draw.
    """

    source: RandomAccessDataSource[Any]
    num_always: int
    num_by_turns: int

    def __post_init__(self):
        others = len(self.source) - self.num_always
        if not (self.num_always >= 0 and 0 <= self.num_by_turns <= others):
            raise ValueError(
                f"An epoch cannot have {self.num_always} records and "
                f"{self.num_by_turns} of the others: there are {len(self.source)}."
            )
        if not self.epoch:
            raise ValueError("There are no pictures to train on: an epoch is empty.")

    @property
    def epoch(self) -> int:
        """Draws per epoch."""
        return self.num_always + self.num_by_turns

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Any:
        return self.source[index]


def endless(source: RandomAccessDataSource[Any], *, seed: int) -> grain.MapDataset:
    """The places of the records to take, without end, anew in every epoch.

    Args:
      source: of a Subset, an epoch has the chosen records; of a Mixture, what it says.
        A Mixture's first records come at the same places as those of a source that
        holds nothing but an epoch's number of records.
      seed: of the order.
    """
    if not isinstance(source, Mixture):
        return grain.MapDataset.range(len(source)).seed(seed).shuffle().repeat()
    places = grain.MapDataset.range(source.epoch).seed(seed).shuffle().repeat()
    # Another stream of the same seed.
    turns = int(np.random.SeedSequence([seed, 1]).generate_state(1)[0])
    return places.map_with_index(_Draw(source, turns))


@dataclass(frozen=True, eq=False)
class _Draw(grain.transforms.MapWithIndex):
    """Number of the draw, and place in its epoch -> place in a Mixture."""

    mixture: Mixture
    seed: int

    def map_with_index(self, index: int, element: int) -> int:
        mixture = self.mixture
        if element < mixture.num_always:
            return element
        # The others are shuffled again and again, on from epoch to epoch.
        others = len(mixture.source) - mixture.num_always
        turn = index // mixture.epoch * mixture.num_by_turns
        turn += element - mixture.num_always
        round_, place = divmod(turn, others)
        drawn = grain.experimental.index_shuffle(
            place, max_index=others - 1, seed=(self.seed + round_) % _SEEDS, rounds=4
        )
        return mixture.num_always + int(drawn)
