"""What each iteration of a bias reduction holds: image ids, and how many people.

`plan` is what a training takes from its prepared data set (prepared.py), said in ids.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from poseseg_jax.data.bias import pictures_left, random_positions, training_order

# Head counts that are told apart; what lies above comes together.
MOST_HEADS = 13

_NAMES = {"removal": "bias", "random": "random"}  # as the configs are called


@dataclass(frozen=True)
class Iteration:
    """A part of a data set.

    Attributes:
      name: as of its config: "bias30", "random30".
      reduction: percent of the single-person pictures; as many pictures are removed.
      image_ids: of the pictures that are left, ascending.
      removed: image ids that the iteration before still holds, ascending.
      heads: number of pictures by head count.
    """

    name: str
    reduction: int
    image_ids: tuple[int, ...]
    removed: tuple[int, ...]
    heads: Mapping[int, int]

    @property
    def persons(self) -> int:
        """How many people that count are in the pictures that are left."""
        return sum(heads * pictures for heads, pictures in self.heads.items())


def plan(
    heads: Mapping[int, int],
    *,
    seed: int,
    reductions: Sequence[int],
    reduced_by: str = "removal",
) -> list[Iteration]:
    """The whole, then what each reduction leaves of it, nested.

    Args:
      heads: people that count, by image id. Pictures without any are in no iteration.
      seed: of the order in which pictures are removed.
      reductions: whole percentages; they are brought into increasing order.
      reduced_by: "removal" or "random".

    Raises:
      ValueError: if there is nothing to reduce, or nothing left of it.
    """
    if not any(reductions):
        raise ValueError(f"There is no reduction above 0 % in {list(reductions)}.")
    order = training_order(heads, seed=seed)
    if not order:
        raise ValueError("No picture shows anybody who counts.")
    num_single = sum(heads[image_id] == 1 for image_id in order)
    num_multi = len(order) - num_single
    if reduced_by == "random":
        order = [order[place] for place in random_positions(len(order), seed=seed)]
    iterations: list[Iteration] = []
    for reduction in sorted({0, *reductions}):
        left = pictures_left(num_multi, num_single, reduction=reduction)
        if not left:
            raise ValueError(
                f"Nothing is left with {reduction} % of {num_single} single-person "
                "pictures removed: there are no others."
            )
        before = len(iterations[-1].image_ids) if iterations else left
        iterations.append(
            Iteration(
                name=f"{_NAMES[reduced_by]}{reduction}",
                reduction=reduction,
                image_ids=tuple(sorted(order[:left])),
                removed=tuple(sorted(order[left:before])),
                heads=Counter(heads[image_id] for image_id in order[:left]),
            )
        )
    return iterations


def sampling_weights(
    heads: Mapping[int, int], iteration: Iteration
) -> dict[int, float]:
    """How often each picture comes per epoch if it is not removed but drawn less often.

    Args:
      heads: people that count, by image id; pictures without any have no weight.
      iteration: whose share of single-person pictures is wanted.

    Returns:
      By image id, ascending: 1 for multi-person pictures; for a single-person picture
      the probability that the iteration still holds it.
    """
    num_single = sum(number == 1 for number in heads.values())
    weight = iteration.heads.get(1, 0) / max(num_single, 1)
    return {
        image_id: weight if heads[image_id] == 1 else 1.0
        for image_id in sorted(heads)
        if heads[image_id]
    }


def shares(heads: Mapping[int, int]) -> dict[str, float]:
    """Part of the pictures, 0 ... 1, by head count: "1" ... "13", and "14+"."""
    pictures = sum(heads.values())
    each = {str(n): heads.get(n, 0) / pictures for n in range(1, MOST_HEADS + 1)}
    more = sum(number for n, number in heads.items() if n > MOST_HEADS)
    return {**each, f"{MOST_HEADS + 1}+": more / pictures}
