"""A trained network as files to give away.

    python -m poseseg_jax.export --workdir=W --output=O --format=safetensors \\
        [--dtype=bfloat16]
    python -m poseseg_jax.export --workdir=W --output=O --format=program

The first leaves O/model.safetensors and O/config.json, which stand wherever a workdir
is asked for a trained network. The second leaves O/program.jax, the whole way from
pictures to people for everybody who has JAX, and O/program.json, which says what goes
in and what comes out.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags

import poseseg_jax
from poseseg_jax import changes as changes_lib
from poseseg_jax import command, inference, layout, program, released
from poseseg_jax.disk import full_disk_explained, write_whole
from poseseg_jax.inference import Trained, read_step
from poseseg_jax.released import Origin
from poseseg_jax.skeleton import KEYPOINT_NAMES
from poseseg_jax.workdir import CONFIG_FILE

_log = logging.getLogger("poseseg_jax.export")  # __name__ is __main__ for a command

PROGRAM_FILE, ABOUT_FILE = "program.jax", "program.json"
FORMATS = ("safetensors", "program")
DTYPES = FULL, ROUNDED = ("float32", "bfloat16")
PLATFORMS = ("cpu", "cuda")
_ALL_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")  # JAX takes any word
# What is quoted of the scores: not those by crowding.
_QUOTED = ("keypoints/", "segm/")


def export_safetensors(
    workdir: Path,
    output: Path,
    *,
    step: int | None = None,
    best: bool = False,
    changes: Mapping[str, Any] | None = None,
    dtype: str | None = None,
) -> Path:
    """Writes model.safetensors and config.json.

    Args:
      workdir: of a run, or a folder that this function has made.
      output: the folder to write into; no workdir of a run.
      step, best: which checkpoint, see `inference.restore`.
      changes: other values for fields of `decode` and `eval` in config.json, by name.
      dtype: of the kernels, "float32" or "bfloat16": half the size, rounded. None: as
        they are, float32 in a run.

    Returns:
      model.safetensors.

    Raises:
      ValueError: if the workdir, a change or the type cannot be used; if `output` is a
        workdir.
    """
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f"--dtype is {dtype!r}; there are {DTYPES}.")
    if (output / layout.CHECKPOINTS).is_dir():
        raise ValueError(
            f"{output} is the workdir of a run; give the files a folder of their own."
        )
    changes = changes or {}
    trained = _restore(workdir, step=step, best=best, changes=changes)
    config = json.loads((workdir / CONFIG_FILE).read_text())
    for name, value in changes.items():
        group, field = name.split(".")
        config[group][field] = value
    output.mkdir(parents=True, exist_ok=True)
    had = released.dtype_of(workdir) if released.is_released(workdir) else FULL
    dtype = dtype or had
    is_rounded = (had, dtype) == (FULL, ROUNDED)
    origin = _origin(workdir, trained.step, is_changed=bool(changes) or is_rounded)
    path = released.write(output, trained.variables, origin, dtype=dtype)
    write_whole(output / CONFIG_FILE, json.dumps(config, indent=2) + "\n")
    return path


def export_program(
    workdir: Path,
    output: Path,
    *,
    step: int | None = None,
    best: bool = False,
    changes: Mapping[str, Any] | None = None,
    platforms: Sequence[str] = PLATFORMS,
) -> Path:
    """Writes program.jax and program.json.

    The program is `program.make_find`, for any number of pictures of any size. Its
    parameters are constants in it.

    Args:
      workdir, step, best, changes: as of `export_safetensors`; changes are part of the
        program.
      output: the folder to write into.
      platforms: on which it can run, as `jax.export.export` calls them. None of them
        has to be here.

    Returns:
      program.jax.

    Raises:
      ValueError: if the workdir, a change or a platform cannot be used.
    """
    trained = _restore(workdir, step=step, best=best, changes=changes or {})
    exported = lower(trained, platforms=platforms)
    blob = exported.serialize()
    output.mkdir(parents=True, exist_ok=True)
    path = output / PROGRAM_FILE
    write_whole(path, blob)
    origin = _origin(workdir, trained.step, is_changed=bool(changes))
    about = _about(exported, trained, origin) | {"bytes": len(blob)}
    write_whole(output / ABOUT_FILE, json.dumps(about, indent=2) + "\n")
    return path


def lower(trained: Trained, *, platforms: Sequence[str]) -> jax.export.Exported:
    """The program as StableHLO, with symbols for what a caller is free to choose.

    Raises:
      ValueError: for a platform that JAX does not have.
    """
    wrong = [name for name in platforms if name not in _ALL_PLATFORMS]
    if wrong or not platforms:
        said = repr(wrong[0]) if wrong else "nothing"
        raise ValueError(f"--platforms names {said}; there are {_ALL_PLATFORMS}.")
    b, h, w = jax.export.symbolic_shape("b, h, w")
    images = jax.ShapeDtypeStruct((b, h, w, 3), np.uint8)
    sizes = jax.ShapeDtypeStruct((b, 2), np.int32)
    find = jax.jit(program.make_find(trained))
    return jax.export.export(find, platforms=tuple(platforms))(images, sizes)


def _restore(
    workdir: Path, *, step: int | None, best: bool, changes: Mapping[str, Any]
) -> Trained:
    trained = inference.restore(workdir, step=step, best=best)
    settings = changes_lib.with_changes(trained.settings, changes)
    return Trained(settings, trained.variables, trained.step)


def _origin(workdir: Path, step: int, *, is_changed: bool) -> Origin:
    """Where a network comes from; read otherwise, or rounded, it has other scores."""
    if released.is_released(workdir):
        scores = released.read_origin(workdir).scores
    else:
        scores = _own_scores(workdir, step)
    return Origin(step, poseseg_jax.__version__, {} if is_changed else scores)


def _own_scores(workdir: Path, step: int) -> dict[str, float | None]:
    """What the run scored at a step.

    The checkpoint says so, which nobody but the run writes: metrics.json may be of
    another split, or of another decoder.
    """
    checkpoint = workdir / layout.CHECKPOINTS / str(step)
    path = checkpoint / layout.METRICS_OF_CHECKPOINT
    metrics = json.loads(path.read_text()) if path.exists() else {}
    return {k: v for k, v in metrics.items() if k.startswith(_QUOTED)}


def _about(
    exported: jax.export.Exported, trained: Trained, origin: Origin
) -> dict[str, Any]:
    """program.json, for who has nothing else."""
    names = ("images", "sizes")
    inputs = dict(zip(names, exported.in_avals, strict=True))
    outputs = jax.tree.unflatten(exported.out_tree, exported.out_avals)
    everything = {**inputs, **outputs}
    arrays = {
        name: {
            "shape": [d if isinstance(d, int) else str(d) for d in array.shape],
            "dtype": str(array.dtype),
            "meaning": program.MEANINGS[name],
        }
        for name, array in everything.items()
    }
    return {
        "inputs": {name: arrays[name] for name in inputs},
        "outputs": {name: arrays[name] for name in outputs},
        "keypoint_names": list(KEYPOINT_NAMES),
        "network_side": trained.settings.eval_image_size,
        "scales": list(trained.settings.eval.scales),
        "flip": trained.settings.eval.flip,
        "platforms": list(exported.platforms),
        "calling_convention_version": exported.calling_convention_version,
        "jax": jax.__version__,
        "origin": vars(origin),
    }


def _main(_) -> None:
    given = flags.FLAGS
    output = Path(given.output)
    chosen: dict[str, Any] = {
        "step": read_step(given.step),
        "best": given.step == "best",
        "changes": changes_lib.read_flags(),
    }
    make = export_safetensors
    if given.format == "program":
        make = export_program
        if given.dtype is not None:
            raise ValueError("--dtype is of --format=safetensors, not of a program.")
        if given.platforms is not None:
            chosen["platforms"] = given.platforms
    else:
        if given.platforms is not None:
            raise ValueError("--platforms is of a program: give --format=program, too.")
        if given.dtype is not None:
            chosen["dtype"] = given.dtype
    with full_disk_explained(output, "Make room, and give the same command again."):
        path = make(Path(given.workdir), output, **chosen)
    _log.info("%s, %.1f MB, and what it is beside it", path, path.stat().st_size / 1e6)


if __name__ == "__main__":
    flags.DEFINE_string(
        "workdir", None, "Folder of a training run, or of an export.", required=True
    )
    flags.DEFINE_string("output", None, "The folder to write into.", required=True)
    flags.DEFINE_enum("format", "safetensors", FORMATS, "What to write.")
    flags.DEFINE_enum(
        "dtype",
        None,
        DTYPES,
        "In which kernels are written, of safetensors; bfloat16 is half the size; "
        "default: as they are, float32 in a run.",
    )
    changes_lib.define_flags()
    flags.DEFINE_list(
        "platforms",
        None,
        f"On which a program can run; default: {','.join(PLATFORMS)}.",
    )
    command.run(_main)
