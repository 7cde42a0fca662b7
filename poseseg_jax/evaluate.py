"""Scores a trained network on its validation split, or on any COCO-keypoint file.

    python -m poseseg_jax.evaluate --workdir=runs/tiny
    python -m poseseg_jax.evaluate --workdir=W --annotations=J --images=I --output=O

writes results_keypoints.json, results_segm.json, metrics.json, per_picture.csv,
crowd.png, worst.png and overlays/; with --bootstrap=1000, intervals.json too. A file
that only lists pictures, as of COCO's test sets, gets results and no scores.
"""

import itertools
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags

from poseseg_jax import averaging, command, devices, hosts, inference, layout
from poseseg_jax import changes as changes_lib
from poseseg_jax.coco import bootstrap, results
from poseseg_jax.coco.results import Results
from poseseg_jax.config import Settings
from poseseg_jax.data import pipeline
from poseseg_jax.data.prepared import Prepared, prepare, prepare_val
from poseseg_jax.disk import full_disk_explained
from poseseg_jax.inference import Detect, Variables
from poseseg_jax.judging import Scores, caption, judge, read_intervals, report, write
from poseseg_jax.released import is_released
from poseseg_jax.structs import Batch, Instances
from poseseg_jax.workdir import read_metrics

_log = logging.getLogger("poseseg_jax.evaluate")  # __name__ is __main__ for a command


def run_split(
    detect: Detect, variables: Variables, prepared: Prepared, settings: Settings
) -> tuple[Results, float | None]:
    """Finds the people of every picture of the validation split.

    The device works on the next batch while the host writes the last one's masks. Every
    batch is split over all devices. Of several hosts each has its part of it, and all
    have all results.

    Args:
      detect: of `inference.make_detect`.
      variables: on all devices.
      prepared: the data.
      settings: of the run; `eval.batch_size` divides over the devices.

    Returns:
      The results, and milliseconds for a picture: from the first batch's end, with
      which the program is compiled and the pipeline full, to the last one's. None if
      there is no second batch.
    """
    pictures, since = [], None
    for batch, instances in _ahead(_batches(prepared, settings), detect, variables):
        instances = devices.own_rows(instances)
        for row in np.flatnonzero(batch.is_real):
            one = results.from_instances(
                jax.tree.map(lambda leaf, row=row: leaf[row], instances),
                to_input=batch.to_input[row],
                size=(int(batch.size[row, 0]), int(batch.size[row, 1])),
                image_id=int(batch.image_id[row]),
                person_stride=settings.representation.person_stride,
            )
            pictures.append((one.keypoints, one.segm))
        since = time.monotonic() if since is None else since
    later = len(prepared.val) - settings.eval.batch_size
    seconds = time.monotonic() - since if since is not None and later > 0 else None
    found = Results([], [])
    # Hosts take turns with the pictures; only at the end some may have none left.
    for turn in itertools.zip_longest(*hosts.gathered(pictures), fillvalue=([], [])):
        for keypoints, segm in turn:
            found.keypoints.extend(keypoints)
            found.segm.extend(segm)
    return found, None if seconds is None else round(1000 * seconds / later, 3)


def _batches(prepared: Prepared, settings: Settings) -> Iterator[Batch]:
    return pipeline.eval_batches(
        prepared.val,
        image_size=settings.eval_image_size,
        max_people=settings.data.max_people,
        **devices.own_share(settings.eval.batch_size),
    )


def _ahead(
    batches: Iterator[Batch], detect: Detect, variables: Variables
) -> Iterator[tuple[Batch, Instances]]:
    """Starts the next batch before it hands out the one before."""
    waiting = None
    for batch in batches:
        started = (batch, detect(variables, devices.put(batch.image)))
        if waiting is not None:
            yield waiting
        waiting = started
    if waiting is not None:
        yield waiting


def evaluate(
    workdir: Path,
    *,
    annotations: Path | None = None,
    images: Path | None = None,
    output: Path | None = None,
    step: int | None = None,
    best: bool = False,
    resamples: int = 0,
    changes: Mapping[str, Any] | None = None,
) -> Scores:
    """Evaluates a trained workdir and writes the files of the evaluation.

    Args:
      workdir: of the training run, or a folder that `poseseg_jax.export` made.
      annotations, images: another split; both or neither.
      output: where the files go, which is no other run's workdir; None: into the
        workdir of a run.
      step: of the checkpoint; None: the latest.
      best: whether to take instead the one with the best keypoints AP in the run.
      resamples: draws of the bootstrap; 0: no intervals.
      changes: other values for fields of `decode` and `eval` of the run's config, by
        name, as {"eval.flip": True}.

    Returns:
      The metrics, as in metrics.json.

    Raises:
      ValueError: if the workdir or the output cannot be used, for data that are
        broken, or for a batch that does not divide over the devices.
    """
    _check_asked(annotations, images, resamples)
    output = _place(workdir, output)
    trained = inference.restore(workdir, step=step, best=best)
    settings = changes_lib.with_changes(trained.settings, changes or {})
    devices.check_split("eval", settings.eval.batch_size)
    _log.info("Evaluating step %d of %s", trained.step, workdir)
    _log.info("Devices: %d", jax.device_count())
    is_own = annotations is None and settings == trained.settings and output == workdir
    of_training = _of_training(workdir, trained.step) if is_own else {}
    prepared = _prepare(settings, annotations, images)
    start = time.monotonic()
    found, ms_per_image = _find(trained.variables, prepared, settings)
    seconds = time.monotonic() - start
    judged = judge(found, prepared.val_annotations)
    metrics = (
        judged.scores
        | of_training
        | {
            "eval/step": trained.step,
            "eval/images": len(prepared.val),
            "eval/views": len(_views(settings)),
            "eval/seconds": round(seconds, 3),
            "eval/ms_per_image": ms_per_image,
        }
    )
    intervals = None
    if resamples and judged.matches:
        intervals = bootstrap.intervals(judged.matches, resamples=resamples)
    write(output, judged, metrics, prepared, settings, intervals=intervals)
    _log.info("%d pictures in %.0f s; files in %s", len(prepared.val), seconds, output)
    if not judged.matches:
        _log.warning("%s has no annotations: nothing is scored.", annotations)
    return metrics


def _check_asked(annotations: Path | None, images: Path | None, resamples: int) -> None:
    if (annotations is None) != (images is None):
        raise ValueError("Give --annotations and --images together, or neither.")
    if resamples < 0:
        raise ValueError(f"--bootstrap is {resamples}; expected draws, 0 or more.")


def _place(workdir: Path, output: Path | None) -> Path:
    """Where the files go: the workdir itself, or a folder that is nobody's workdir."""
    if output is None and is_released(workdir):
        raise ValueError(
            f"{workdir} holds a network to give away, and is left as it is: say where "
            "the scores go, with --output."
        )
    if output is None or output.resolve() == workdir.resolve():
        return workdir
    if (output / layout.CHECKPOINTS).is_dir():
        raise ValueError(
            f"{output} is the workdir of another run, whose scores are its own; take "
            "another --output."
        )
    return output


def _find(
    variables: Variables, prepared: Prepared, settings: Settings
) -> tuple[Results, float | None]:
    variables = jax.device_put(variables, devices.everywhere())
    return run_split(inference.make_detect(settings), variables, prepared, settings)


def _prepare(
    settings: Settings, annotations: Path | None, images: Path | None
) -> Prepared:
    if annotations is None or images is None:
        return prepare(settings.data)
    return prepare_val(
        annotations,
        images,
        prepared_dir=settings.data.prepared_dir,
        on_error=settings.data.on_error,
    )


def _views(settings: Settings) -> tuple[averaging.View, ...]:
    return averaging.views_of(settings.eval.scales, flip=settings.eval.flip)


def _of_training(workdir: Path, step: int) -> Scores:
    """What training wrote of itself into the metrics, if they are of that step."""
    metrics = read_metrics(workdir)
    if metrics.get("train/steps") != step:
        return {}
    return {key: metrics[key] for key in metrics if key.startswith("train/")}


def _use_every_core(workdir: Path, changes: Mapping[str, Any]) -> None:
    """As training does, so that its times for a picture compare with this command's."""
    settings = changes_lib.with_changes(inference.read_settings(workdir), changes)
    devices.use_every_core(settings.eval.batch_size)


def _main(_) -> None:
    given = flags.FLAGS
    output = Path(given.output or given.workdir)
    changes = changes_lib.read_flags()
    _use_every_core(Path(given.workdir), changes)
    with full_disk_explained(output, "Make room, and give the same command again."):
        metrics = evaluate(
            Path(given.workdir),
            annotations=Path(given.annotations) if given.annotations else None,
            images=Path(given.images) if given.images else None,
            output=Path(given.output) if given.output else None,
            step=inference.read_step(given.step),
            best=given.step == "best",
            resamples=given.bootstrap,
            changes=changes,
        )
    print(caption(metrics, output, split=given.annotations or ""))
    print(report(metrics, read_intervals(output)))


if __name__ == "__main__":
    # Defined here, because main.py imports this module and has flags of its own.
    flags.DEFINE_string(
        "workdir", None, "Folder of a training run, or of an export.", required=True
    )
    flags.DEFINE_string(
        "annotations", None, "COCO-keypoint file to score; default: the run's split."
    )
    flags.DEFINE_string("images", None, "Folder with its pictures.")
    flags.DEFINE_string("output", None, "Where to write; default: the workdir.")
    flags.DEFINE_integer(
        "bootstrap", 0, "Draws of pictures for 95 % intervals of the scores; 0: none."
    )
    changes_lib.define_flags()
    command.run(_main)
