"""Bias reduction: which pictures of one person are removed, and in which order.

    python -m poseseg_jax.data.bias --annotations=J --output=O

writes the annotations that each iteration trains on, bias30.json ... bias80.json, with
a summary and two charts; O is a folder. Training needs none of these files: it takes
--config.data.reduction=30 ... 80, and removes the same pictures.

Nearly half of COCO's pictures of people show exactly one person. Bias reduction trains
on data sets from which a part of them is removed. Here a reduced data set is a prefix
of one order, multi-person pictures first, so all of them are nested and one copy on
disk holds them all. Two controls go with it: as many pictures removed at random, and
none removed but single-person pictures sampled less often. It is arithmetic on counts;
iteration_files.py writes.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from absl import flags
from jaxtyping import Int

from poseseg_jax import command
from poseseg_jax.coco.annotations import ON_ERROR, Picture

# Percent of the single-person pictures that are removed: none, then six iterations.
REDUCTIONS = (0, 30, 40, 50, 60, 70, 80)
# How: these pictures; as many of all pictures; or none, but these are sampled less.
REDUCED_BY = ("removal", "random", "reweight")
# Who counts: persons with a labelled keypoint, or everybody annotated but crowds.
HEAD_COUNTS = ("labelled", "annotated")
# Percent of COCO train2017's 56,599 pictures of people with 1 ... 13 of them who have
# a labelled keypoint; there are none with more. data/synthetic.py draws by a copy of
# its own: the drawn set is known by that file's text.
COCO_HEAD_COUNTS = (47.8, 19.3, 10.1, 6.5, 4.2, 3.1, 2.3, 1.8, 1.4, 1.2, 1.0, 0.8, 0.5)

_RANDOM = 2  # of a seed's streams; the two groups of `training_order` are 0 and 1


def count_heads(pictures: Iterable[Picture], *, count: str) -> dict[int, int]:
    """How many people each picture shows, by image id.

    Args:
      pictures: of an annotation file.
      count: one of HEAD_COUNTS. Counting persons with a labelled keypoint gives COCO's
        published shares.

    Raises:
      ValueError: for another count.
    """
    if count not in HEAD_COUNTS:
        raise ValueError(f"data.head_count is {count!r}; there are {HEAD_COUNTS}.")
    if count == "annotated":
        return {picture.image_id: len(picture.people) for picture in pictures}
    return {picture.image_id: picture.head_count for picture in pictures}


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


def random_positions(num_pictures: int, *, seed: int) -> Int[np.ndarray, " n"]:
    """The control's order: places in the training order, shuffled over both groups.

    As with the order itself, the data set of a reduction is a prefix.
    """
    return np.random.default_rng([seed, _RANDOM]).permutation(num_pictures)


def check_reduction(reduction: int) -> None:
    """Refuses what is no whole percentage.

    Raises:
      ValueError: saying what was expected.
    """
    if type(reduction) is not int or not 0 <= reduction <= 100:
        raise ValueError(
            f"data.reduction is {reduction!r}; expected a whole percentage, 0 ... 100"
        )


def pictures_left(num_multi: int, num_single: int, *, reduction: int) -> int:
    """n_r: the length of the prefix with `reduction` percent of the singles removed.

    The number removed is rounded to the nearest, halves up, in integers.

    Args:
      num_multi: pictures with several heads.
      num_single: pictures with exactly one.
      reduction: percent of `num_single`, 0 ... 100.

    Raises:
      ValueError: for any other reduction.
    """
    check_reduction(reduction)
    return num_multi + num_single - (num_single * reduction + 50) // 100


def _parse_reductions(texts: list[str]) -> list[int]:
    try:
        reductions = [int(text) for text in texts]
    except ValueError:
        raise ValueError(
            f"--reductions={','.join(texts)}: expected whole percentages, as 30,50,80"
        ) from None
    return reductions


def _main(_) -> None:
    # It imports this module, and draws: nothing that the arithmetic needs.
    from poseseg_jax.data import iteration_files, iteration_report

    given = flags.FLAGS
    summary = iteration_files.write_all(
        Path(given.annotations),
        Path(given.output),
        reductions=_parse_reductions(given.reductions),
        seed=given.seed,
        count=given.count,
        controls=given.controls,
        on_error=given.on_error,
    )
    print(iteration_report.to_markdown(summary))


if __name__ == "__main__":
    flags.DEFINE_string(
        "annotations",
        None,
        "COCO-keypoint file, .json or .json.gz.",
        required=True,
    )
    flags.DEFINE_string("output", None, "The folder to write into.", required=True)
    flags.DEFINE_list(
        "reductions",
        [str(reduction) for reduction in REDUCTIONS if reduction],
        "Percent of the single-person pictures to remove; a file is written for each.",
    )
    flags.DEFINE_integer(
        "seed",
        0,
        "Of the random order in which they are removed; data.order_seed of a training.",
        lower_bound=0,
    )
    flags.DEFINE_enum(
        "count",
        HEAD_COUNTS[0],
        HEAD_COUNTS,
        "Who counts as a person in the picture: those with a labelled keypoint, or all "
        "that are annotated; data.head_count of a training.",
    )
    flags.DEFINE_bool("controls", False, "Write both controls of each iteration too.")
    flags.DEFINE_enum(
        "on_error",
        ON_ERROR[0],
        ON_ERROR,
        "Broken entries: refuse, or leave out and list.",
    )
    command.run(_main)
