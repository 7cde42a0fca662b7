"""A split -> results in COCO's format -> scores -> pictures to look at.

    python -m poseseg_jax.evaluate --workdir=W [--annotations=J --images=I]

writes results_keypoints.json, results_segm.json, metrics.json and overlays/ of the
workdir's own validation split, or of any COCO-keypoint file and its pictures.
"""

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import app, flags

from poseseg_jax import inference, visualize
from poseseg_jax.coco import crowding, results, scoring
from poseseg_jax.coco.results import Results
from poseseg_jax.coco.segmentation import to_mask
from poseseg_jax.config import Settings
from poseseg_jax.data import pipeline
from poseseg_jax.data.decoding import decode_record
from poseseg_jax.data.prepared import Prepared, prepare, prepare_val
from poseseg_jax.inference import Detect, Variables
from poseseg_jax.logbook import speak
from poseseg_jax.skeleton import NUM_KEYPOINTS
from poseseg_jax.structs import Batch, Instances
from poseseg_jax.workdir import METRICS_FILE

_log = logging.getLogger(__name__)

TASKS = ("keypoints", "segm")
Scores = dict[str, float | None]


def run_split(
    detect: Detect, variables: Variables, prepared: Prepared, settings: Settings
) -> Results:
    """Finds the people of every picture of the validation split.

    The device works on the next batch while the host writes the last one's masks.
    """
    found = Results([], [])
    for batch, instances in _ahead(_batches(prepared, settings), detect, variables):
        instances = jax.device_get(instances)
        for row in np.flatnonzero(batch.is_real):
            one = results.from_instances(
                jax.tree.map(lambda leaf, row=row: leaf[row], instances),
                to_input=batch.to_input[row],
                size=(int(batch.size[row, 0]), int(batch.size[row, 1])),
                image_id=int(batch.image_id[row]),
                person_stride=settings.representation.person_stride,
            )
            found.keypoints.extend(one.keypoints)
            found.segm.extend(one.segm)
    return found


def _batches(prepared: Prepared, settings: Settings) -> Iterator[Batch]:
    return pipeline.eval_batches(
        prepared.val,
        image_size=settings.eval_image_size,
        max_people=settings.data.max_people,
        batch_size=settings.eval.batch_size,
    )


def _ahead(
    batches: Iterator[Batch], detect: Detect, variables: Variables
) -> Iterator[tuple[Batch, Instances]]:
    """Starts the next batch before it hands out the one before."""
    waiting = None
    for batch in batches:
        started = (batch, detect(variables, batch.image))
        if waiting is not None:
            yield waiting
        waiting = started
    if waiting is not None:
        yield waiting


def score(found: Results, annotations: Path) -> Scores:
    """COCO's scores of both tasks, over all pictures and by how crowded they are."""
    scores: Scores = {}
    for task in TASKS:
        matches = scoring.match(getattr(found, task), annotations, task)
        scores |= scoring.summarize(matches)
        scores |= crowding.scores_by_bucket(matches)
    return dict(sorted(scores.items(), key=lambda item: item[0].startswith("crowd/")))


def overlays(
    found: Results, prepared: Prepared, count: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Truth beside prediction for `count` pictures, evenly spread over the split.

    Yields:
      Image id and RGB picture.
    """
    by_picture: dict[int, list[tuple[dict, dict]]] = {}
    for pair in zip(found.keypoints, found.segm, strict=True):
        by_picture.setdefault(pair[0]["image_id"], []).append(pair)
    count = min(count, len(prepared.val))
    for index in np.linspace(0, len(prepared.val) - 1, count).round().astype(int):
        sample = decode_record(prepared.val[int(index)])
        codes = np.arange(1, len(sample.box) + 1, dtype=np.uint8)
        truth = visualize.draw_joint(
            sample.image,
            sample.keypoints,
            visualize.confidence_of_labels(sample.visibility),
            np.ones(len(codes), np.float32),
            sample.people == codes[:, None, None],
        )
        said = _draw_results(sample.image, by_picture.get(sample.image_id, []))
        yield sample.image_id, visualize.side_by_side(truth, said)


def _draw_results(image: np.ndarray, people: list[tuple[dict, dict]]) -> np.ndarray:
    height, width = image.shape[:2]
    points = np.array([pose["keypoints"] for pose, _ in people], np.float32)
    points = points.reshape(len(people), NUM_KEYPOINTS, 3)
    masks = [
        to_mask(mask["segmentation"], height=height, width=width) for _, mask in people
    ]
    return visualize.draw_joint(
        image,
        points[..., :2],
        points[..., 2],
        np.array([pose["score"] for pose, _ in people], np.float32),
        np.array(masks, bool).reshape(len(people), height, width),
    )


def write(output: Path, found: Results, metrics: Scores, pictures: Any) -> None:
    """Writes the files of an evaluation; metrics.json, the last, says it is whole."""
    for task in TASKS:
        results.write_json(output / f"results_{task}.json", getattr(found, task))
    for image_id, picture in pictures:
        visualize.write_png(output / "overlays" / f"{image_id:012d}.png", picture)
    text = json.dumps(metrics, indent=2, allow_nan=False)
    (output / METRICS_FILE).write_text(text + "\n")


def report(metrics: Scores) -> str:
    """The scores as a small table, times 100."""
    rows = [f"{'':24}{'keypoints':>10}{'segm':>8}"]
    names = dict.fromkeys(key.split("/")[-1] for key in metrics if "/A" in key)
    names = {name: f"{{}}/{name}" for name in names} | {
        key.split("/")[1]: f"crowd/{key.split('/')[1]}/{{}}/AP"
        for key in metrics
        if key.startswith("crowd/")
    }
    for name, key in names.items():
        values = [metrics.get(key.format(task)) for task in TASKS]
        cells = ["-" if value is None else f"{100 * value:.1f}" for value in values]
        rows.append(f"{name:24}{cells[0]:>10}{cells[1]:>8}")
    return "\n".join(rows)


def evaluate(
    workdir: Path,
    *,
    annotations: Path | None = None,
    images: Path | None = None,
    output: Path | None = None,
    step: int | None = None,
) -> Scores:
    """Evaluates a trained workdir and writes the files of the evaluation.

    Args:
      workdir: of the training run.
      annotations, images: another split; both or neither.
      output: where the files go; None: into the workdir.
      step: of the checkpoint; None: the latest.

    Raises:
      ValueError: if the workdir cannot be used, or for data that are broken.
    """
    if (annotations is None) != (images is None):
        raise ValueError("Give --annotations and --images together, or neither.")
    trained = inference.restore(workdir, step=step)
    settings = trained.settings
    if annotations is not None and images is not None:
        prepared = prepare_val(
            annotations,
            images,
            prepared_dir=settings.data.prepared_dir,
            on_error=settings.data.on_error,
        )
    else:
        prepared = prepare(settings.data)
    start = time.monotonic()
    detect = inference.make_detect(settings)
    found = run_split(detect, trained.variables, prepared, settings)
    seconds = time.monotonic() - start
    metrics = score(found, prepared.val_annotations)
    metrics |= {"eval/step": trained.step, "eval/images": len(prepared.val)}
    metrics["eval/seconds"] = round(seconds, 3)
    output = output or workdir
    if annotations is None:
        metrics |= _of_training(output / METRICS_FILE, trained.step)
    write(output, found, metrics, overlays(found, prepared, settings.eval.overlays))
    _log.info("%d pictures in %.0f s; files in %s", len(prepared.val), seconds, output)
    return metrics


def _of_training(path: Path, step: int) -> Scores:
    """What training wrote of itself into the metrics, if they are of that step."""
    metrics = json.loads(path.read_text()) if path.exists() else {}
    if metrics.get("train/steps") != step:
        return {}
    return {key: metrics[key] for key in metrics if key.startswith("train/")}


def _main(_) -> None:
    speak()
    given = flags.FLAGS
    try:
        metrics = evaluate(
            Path(given.workdir),
            annotations=Path(given.annotations) if given.annotations else None,
            images=Path(given.images) if given.images else None,
            output=Path(given.output) if given.output else None,
            step=given.step,
        )
    except ValueError as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from None
    print(report(metrics))


if __name__ == "__main__":
    # Defined here, because main.py imports this module and has flags of its own.
    flags.DEFINE_string("workdir", None, "Folder of a training run.", required=True)
    flags.DEFINE_string(
        "annotations", None, "COCO-keypoint file to score; default: the run's split."
    )
    flags.DEFINE_string("images", None, "Folder with its pictures.")
    flags.DEFINE_string("output", None, "Where to write; default: the workdir.")
    flags.DEFINE_integer("step", None, "Checkpoint to use; default: the latest.")
    app.run(_main)
