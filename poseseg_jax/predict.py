"""Finds people in pictures, videos or a camera, draws them, and writes what it found.

    python -m poseseg_jax.predict [--workdir=W] --output=O PATHS...

W is the workdir of a run, or a folder that poseseg_jax.export made; without it the
model in the box is used, which knows drawn people only. PATHS are pictures, folders of
pictures, patterns ("photos/**/*.jpg"), videos, a camera (camera:0), or - for a list of
them on the standard input, one in each line. Leaves NAME_pose.png, NAME_seg.png and
NAME_joint.png for each picture, .mp4 files for each video or camera, predictions.json
and images.json. What cannot be read is named and left out, and the command then ends
with status 1.
"""

import logging
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from absl import flags

from poseseg_jax import changes, command
from poseseg_jax.bars import bar
from poseseg_jax.data import named
from poseseg_jax.data.named import Input
from poseseg_jax.disk import full_disk_explained
from poseseg_jax.inference import BOX, read_step
from poseseg_jax.moving import see_video
from poseseg_jax.predictions import DRAWINGS, Predictions, ids_of
from poseseg_jax.predictor import MIN_SCORE, Predictor
from poseseg_jax.seeing import MAX_SIDE, THREADS, Job, Wishes, see_pictures

_log = logging.getLogger("poseseg_jax.predict")  # __name__ is __main__ for a command


def predict(
    predictor: Predictor,
    inputs: Sequence[Input],
    output: Path,
    *,
    wishes: Wishes | None = None,
) -> Predictions:
    """Finds people, draws them, and writes what was found.

    Args:
      predictor: who finds them.
      inputs: what to look at; see `named.find`.
      output: the folder to write into.
      wishes: what to draw; None: everything.

    Returns:
      What was found and what was left out, as it was written.

    Raises:
      KeyboardInterrupt: if it was interrupted. What was found until then is written.
      ValueError: if the network's answers are no numbers.
    """
    output.mkdir(parents=True, exist_ok=True)
    predictions = Predictions()
    still = [(place, one) for place, one in enumerate(inputs) if not one.is_moving]
    moving = [(place, one) for place, one in enumerate(inputs) if one.is_moving]
    ids = ids_of([one.name for _, one in still])
    if moving:  # frames have numbers that pictures' names may say, too
        ids = list(range(1, len(still) + 1))
    seen = bar("picture", total=None if moving else len(still))
    pool = ThreadPoolExecutor(THREADS)
    job = Job(predictor, output, wishes or Wishes(), predictions, pool, seen.update)
    try:
        places = [(place, one, i) for (place, one), i in zip(still, ids, strict=True)]
        see_pictures(job, places)
        for place, one in moving:
            see_video(job, place, one, len(still) + 1 + predictions.num_frames)
    finally:
        pool.shutdown(cancel_futures=True)
        seen.close()
        predictions.write(output)
    return predictions


def find_inputs(
    words: Sequence[str], listed: Iterable[str], *, output: Path
) -> tuple[list[Input], dict[str, str]]:
    """The inputs that a command line names; see `named.find`.

    Args:
      words: of the command line; "-" stands for what is listed.
      listed: lines of the standard input.
      output: a folder whose contents are nobody's input.

    Raises:
      ValueError: if nothing is named that is there.
    """
    all_words: list[str] = []
    for word in words:
        lines = (line.strip() for line in listed) if word == "-" else [word]
        all_words += [line for line in lines if line]
    inputs, wrong = named.find(all_words, output=output)
    if not inputs:
        found = "; ".join(f"{word}: {why}" for word, why in wrong.items())
        raise ValueError(
            "There is nothing to look at. Name pictures, folders, patterns, videos, "
            f"camera:0, or - for a list on the standard input. {found}".strip()
        )
    return inputs, wrong


def _main(words: list[str]) -> None:
    given = flags.FLAGS
    output = Path(given.output)
    inputs, wrong = find_inputs(words[1:], sys.stdin, output=output)
    for word, why in wrong.items():
        _log.warning("%s: %s", word, why)
    wishes = Wishes(
        tuple(kind for kind in given.draw if kind != "none"),
        max_side=given.max_side,
        maps=given.maps,
        every=given.every,
    )
    if given.workdir is None:
        _log.info("No --workdir: the model in the box knows drawn people only.")
    predictor = Predictor.from_workdir(
        BOX if given.workdir is None else given.workdir,
        step=read_step(given.step),
        best=given.step == "best",
        changes=changes.read_flags(),
        min_score=given.min_score,
        batch_size=given.batch_size,
        square=given.square,
    )
    start = time.monotonic()
    advice = "Make room, and give the same command again."
    try:
        with full_disk_explained(output, advice):
            found = predict(predictor, inputs, output, wishes=wishes)
    except KeyboardInterrupt:
        print(f"Interrupted. What was found is in {output}.", file=sys.stderr)
        raise SystemExit(130) from None
    left_out = len({**wrong, **found.skipped})
    _log.info(
        "%d people in %d pictures, %.0f s; files in %s%s",
        found.num_people,
        found.num_pictures,
        time.monotonic() - start,
        output,
        f"; left out, or not whole: {left_out}" if left_out else "",
    )
    raise SystemExit(1 if left_out else 0)


if __name__ == "__main__":
    flags.DEFINE_string(
        "workdir",
        None,
        "Folder of a training run, or of an export; default: the model in the box, "
        "which knows drawn people only.",
    )
    flags.DEFINE_string("output", None, "The folder to write into.", required=True)
    changes.define_flags()
    flags.DEFINE_float("min_score", MIN_SCORE, "People with less are left out.")
    flags.DEFINE_list("draw", list(DRAWINGS), f"Some of {','.join(DRAWINGS)}, or none.")
    flags.DEFINE_integer(
        "max_side", MAX_SIDE, "Drawings are reduced to so many px; 0: never."
    )
    flags.DEFINE_bool(
        "maps", False, "Draw everything that the network says of a picture, too."
    )
    flags.DEFINE_integer("every", 1, "Of so many frames of a video, see the first.")
    flags.DEFINE_integer(
        "batch_size",
        None,
        "Pictures at once; default: eval.batch_size, and 1 on a CPU.",
    )
    flags.DEFINE_bool(
        "square", False, "See every picture at the shape that evaluation has."
    )
    command.run(_main, flags_parser=command.parse_flags_and_words)
