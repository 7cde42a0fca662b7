"""Bias reduction as arithmetic: how many people pictures show, and their order.

Nearly half of COCO's pictures of people show exactly one person. Bias reduction trains
on data sets from which a part of them is removed. Here a reduced data set is a prefix
of one order, multi-person pictures first, so all of them are nested and one copy on
disk holds them all.
"""

from collections.abc import Mapping

import numpy as np

# Percent of the single-person pictures that are removed: none, then six iterations.
REDUCTIONS = (0, 30, 40, 50, 60, 70, 80)


def training_order(head_counts: Mapping[int, int], *, seed: int) -> list[int]:
    """Image ids in the order in which they are written to the training split.

    Pictures with several heads come first, then those with one, each group shuffled;
    those without any are left out. The order depends on ids, counts and seed alone, not
    on the order of the mapping, and each group's order does not depend on the other.
    """
    groups = (
        sorted(i for i, heads in head_counts.items() if heads > 1),
        sorted(i for i, heads in head_counts.items() if heads == 1),
    )
    order: list[int] = []
    for index, group in enumerate(groups):
        shuffled = np.random.default_rng([seed, index]).permutation(group)
        order += [int(image_id) for image_id in shuffled]
    return order


def pictures_left(num_multi: int, num_single: int, *, reduction: int) -> int:
    """n_r: the length of the prefix with `reduction` percent of the singles removed.

    The number removed is rounded to the nearest, halves up, in integers.

    Args:
      num_multi: pictures with several heads.
      num_single: pictures with exactly one.
      reduction: one of REDUCTIONS, percent of `num_single`.

    Raises:
      ValueError: for any other reduction.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"data.reduction is {reduction}; expected one of {REDUCTIONS}")
    return num_multi + num_single - (num_single * reduction + 50) // 100
