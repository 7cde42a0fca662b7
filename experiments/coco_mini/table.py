"""A row of the page's table, and the best, the median and the worst pictures.

    python -m experiments.coco_mini.table E --annotations=J --images=I --output=O

E is what `poseseg_jax.evaluate` has left of a split, or several such folders, and J and
I are that split. O gets table.md and, of each E, sheets of truth beside prediction:
NAME_best.png, NAME_median.png and NAME_worst.png, by a picture's mean AP of both tasks.
No network is needed, nor a GPU.

Pictures are counted by their persons with a labelled keypoint, as everywhere in this
repository: a picture in which there is none is in the AP of all, and in no bucket.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import flags

from poseseg_jax import command, exhibits, judging, visualize
from poseseg_jax.coco import bootstrap, crowding, scoring
from poseseg_jax.coco.bootstrap import Interval
from poseseg_jax.coco.curves import make_curve
from poseseg_jax.coco.per_picture import best_score, score_pictures, worst_first
from poseseg_jax.coco.results import Results, read_json
from poseseg_jax.coco.scoring import Matches
from poseseg_jax.data.prepared import prepare_val
from poseseg_jax.markdown import percent, table

TABLE = "table.md"
ALL = "all"
# As the rows of others have them, made of the buckets of metrics.json.
BUCKETS: Mapping[str, tuple[str, ...]] = {
    "1": ("people_1",),
    "2": ("people_2",),
    "3-4": ("people_3-4",),
    "5+": ("people_5-7", "people_8+"),
}
_LEVEL = 0.95
Scores = dict[str, tuple[float | None, Interval | None]]


def make(
    evaluations: Sequence[Path],
    output: Path,
    *,
    annotations: Path,
    images: Path,
    resamples: int = 1000,
    count: int = 6,
) -> str:
    """Writes table.md and the sheets.

    Args:
      evaluations: folders with results_keypoints.json and results_segm.json.
      output: O.
      annotations, images: of the split that was evaluated.
      resamples: draws of the bootstrap over pictures; 0: no intervals.
      count: pictures on a sheet.

    Returns:
      What table.md holds.

    Raises:
      ValueError: for files that cannot be read, or are of other pictures; for two
        folders of one name.
    """
    names = [folder.resolve().name for folder in evaluations]
    if len(set(names)) < len(names):
        raise ValueError(f"{names}: two folders have one name; rename one")
    rows, said = [], []
    for name, folder in zip(names, evaluations, strict=True):
        tasks = judging.read_matches(folder, annotations)
        scores = {one.task: by_bucket(one, resamples=resamples) for one in tasks}
        rows.append([name, *(in_a_cell(scores[task]) for task in scoring.TASKS)])
        said += [_with_intervals(name, scores, tasks[0], resamples)]
        sheets(folder, output, tasks, annotations, images, name=name, count=count)
    head = ["", *(f"{task} AP ({' / '.join(BUCKETS)})" for task in scoring.TASKS)]
    text = "\n".join([table(head, rows), *said])
    output.mkdir(parents=True, exist_ok=True)
    (output / TABLE).write_text(text)
    return text


def by_bucket(matches: Matches, *, resamples: int, seed: int = 0) -> Scores:
    """AP over all pictures, and over those of each head count.

    Args:
      matches: of one task.
      resamples: draws of the bootstrap over pictures; 0: no intervals.
      seed: of the draws.

    Returns:
      AP, 0 to 1, and its interval, by bucket. No AP where nobody is to be found; no
      interval where that is in a single picture.
    """
    buckets = _chosen(matches)
    value = {}
    for name, places in buckets.items():
        ids = {matches.pictures[place].image_id for place in places}
        value[name] = scoring.summarize(matches, ids)[f"{matches.task}/AP"]
    if not resamples:
        return {name: (value[name], None) for name in buckets}
    curves = {
        f"AP/{name}": make_curve(matches, pictures=places)
        for name, places in buckets.items()
    }
    drawn = bootstrap.scores_on_draws(
        curves, len(matches.pictures), resamples=resamples, seed=seed
    )
    scores = {name: drawn[f"AP/{name}"] for name in buckets}
    found = bootstrap.interval_of_each(value, scores, _LEVEL)
    return {name: (value[name], found[name]) for name in buckets}


def in_a_cell(scores: Scores) -> str:
    """AP x 100 as the rows of others have it: `56.2 (65 / 56 / 62 / 53)`."""
    of_all, _ = scores[ALL]
    values = [scores[bucket][0] for bucket in BUCKETS]
    parts = ["-" if value is None else f"{100 * value:.0f}" for value in values]
    return f"{percent(of_all)} ({' / '.join(parts)})"


def sheets(
    folder: Path,
    output: Path,
    tasks: Sequence[Matches],
    annotations: Path,
    images: Path,
    *,
    name: str,
    count: int,
) -> None:
    """Draws the pictures with the best, the median and the worst AP.

    To be drawn, the split is prepared where TensorFlow Datasets keeps what it prepares.
    """
    files = (folder / f"results_{task}.json" for task in scoring.TASKS)
    found = Results(*(read_json(path) for path in files))
    prepared = prepare_val(annotations, images)
    levels = {matches.task: best_score(matches) for matches in tasks}
    ranked = worst_first(score_pictures(tasks, levels))
    middle = max(len(ranked) - count, 0) // 2
    parts = {
        "best": ranked[::-1][:count],
        "median": ranked[middle : middle + count],
        "worst": ranked[:count],
    }
    for part, pictures in parts.items():
        if pictures:
            sheet = exhibits.sheet_of(found, prepared, pictures, levels)
            visualize.write_png(output / f"{name}_{part}.png", sheet)


def _chosen(matches: Matches) -> dict[str, list[int]]:
    """Places of the pictures of each bucket, in rising order."""
    place = {picture.image_id: at for at, picture in enumerate(matches.pictures)}
    ids = crowding.buckets(matches.pictures)
    return {ALL: list(range(len(place)))} | {
        name: sorted(place[i] for part in parts for i in ids[part])
        for name, parts in BUCKETS.items()
    }


def _with_intervals(
    name: str, scores: Mapping[str, Scores], matches: Matches, resamples: int
) -> str:
    """Every score of a row, with its interval and the number of pictures."""
    rows = []
    for bucket, chosen in _chosen(matches).items():
        cells = []
        for task in scoring.TASKS:
            value, interval = scores[task][bucket]
            between = (
                f" [{percent(interval.low)}, {percent(interval.high)}]"
                if interval
                else ""
            )
            cells.append(percent(value) + between)
        rows.append([bucket, str(len(chosen)), *cells])
    how = (
        f", with {100 * _LEVEL:g} % intervals of {resamples:,} draws of the pictures"
        if resamples
        else ""
    )
    head = ["persons with keypoints", "pictures", *scoring.TASKS]
    return f"\n{name}, AP x 100{how}:\n\n{table(head, rows)}"


def _main(argv: list[str]) -> None:
    given, words = flags.FLAGS, argv[1:]
    if not words:
        raise ValueError("Of which evaluation? Name its folder; see --help.")
    text = make(
        [Path(word) for word in words],
        Path(given.output),
        annotations=Path(given.annotations),
        images=Path(given.images),
        resamples=given.bootstrap,
        count=given.count,
    )
    print(text)


if __name__ == "__main__":
    flags.DEFINE_string("annotations", None, "J, of the split.", required=True)
    flags.DEFINE_string("images", None, "I, its pictures.", required=True)
    flags.DEFINE_string("output", None, "O, to write into.", required=True)
    flags.DEFINE_integer(
        "bootstrap", 1000, "Draws for the intervals; 0: none.", lower_bound=0
    )
    flags.DEFINE_integer("count", 6, "Pictures on a sheet.", lower_bound=1)
    command.run(_main, flags_parser=command.parse_flags_and_words)
