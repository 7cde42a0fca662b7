"""Picture -> Instances: network, averaging and decoder as one jitted program.

The program has fixed shapes and is compiled once per shape of its input. What it needs
of a training run is restored from its workdir, or from a folder that
`poseseg_jax.export` made: settings and averaged parameters.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
from jaxtyping import UInt8

from poseseg_jax import averaging, layout, released
from poseseg_jax import config as config_lib
from poseseg_jax.averaging import View
from poseseg_jax.checkpoint import Checkpoints
from poseseg_jax.config import Settings
from poseseg_jax.decode.decode import activate, decode
from poseseg_jax.models import poseseg
from poseseg_jax.models.poseseg import ModelSettings
from poseseg_jax.representation import Representation
from poseseg_jax.structs import Array, Instances, Maps
from poseseg_jax.workdir import CONFIG_FILE

# The model in the box; it knows drawn people only.
BOX = Path(__file__).parent / "box"

Variables = dict[str, Any]
See = Callable[[Variables, UInt8[Array, "B H W 3"]], Maps]
Detect = Callable[[Variables, UInt8[Array, "B H W 3"]], Instances]


@dataclass(frozen=True, eq=False)
class Trained:
    """What is left of a training run for those who use it.

    Attributes:
      settings: of the run.
      variables: averaged parameters ("params") and batch statistics ("batch_stats").
      step: of the checkpoint that they come from.
    """

    settings: Settings
    variables: Variables
    step: int


def make_detect(settings: Settings) -> Detect:
    """The jitted program, with the test-time averaging that `eval` asks for.

    Returns:
      detect(variables, images uint8 [B H W 3] RGB) -> Instances [B ...], in input px.
      Sides are a multiple of the network's output stride, plus 1.
    """
    see = make_see(settings)
    read = partial(
        decode, representation=settings.representation, settings=settings.decode
    )

    @jax.jit
    def detect(variables: Variables, images: UInt8[Array, "B H W 3"]) -> Instances:
        return jax.vmap(read)(see(variables, images))

    return detect


def make_see(settings: Settings) -> See:
    """What `make_detect` does before it decodes, to be jitted.

    Returns:
      see(variables, images) -> Maps [B ...] of probabilities and offsets.
    """
    views = averaging.views_of(settings.eval.scales, flip=settings.eval.flip)
    return see_with(settings.model, settings.representation, views)


def see_with(
    model: ModelSettings, representation: Representation, views: tuple[View, ...]
) -> See:
    """The same, from what it depends on alone."""
    network = poseseg.build(model, representation)

    def see(variables: Variables, images: UInt8[Array, "B H W 3"]) -> Maps:
        def look(images: UInt8[Array, "B H W 3"]) -> Maps:
            stages: Any = network.apply(variables, images, train=False)
            return activate(stages[-1])

        return averaging.see_from_all(
            look,
            images,
            views=views,
            representation=representation,
            stride=poseseg.largest_stride(model),
        )

    return see


def read_settings(workdir: Path) -> Settings:
    """The settings with which a workdir was trained.

    Raises:
      ValueError: if there is no such folder, or no readable config in it.
    """
    path = workdir / CONFIG_FILE
    try:
        fields = json.loads(path.read_text())
    except FileNotFoundError:
        what = "holds no run" if workdir.is_dir() else "does not exist"
        raise ValueError(
            f"{workdir} {what}: there is no {path}. Training makes it: "
            f"`python -m poseseg_jax.main --config=... --workdir={workdir}`."
        ) from None
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path} is no readable config ({error}). Give back what training wrote, "
            "or train again in another --workdir."
        ) from None
    try:
        return config_lib.parse(fields)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def restore(workdir: Path, *, step: int | None = None, best: bool = False) -> Trained:
    """Settings and averaged parameters of a workdir.

    Args:
      workdir: of a run that has saved at least one checkpoint, or a folder with a
        released network (released.py), which has one step.
      step: of the checkpoint; None: the latest.
      best: whether to take instead the one that scored best in the run.

    Raises:
      ValueError: naming the path, if there is no such checkpoint, or if it is broken.
    """
    settings = read_settings(workdir)
    template = abstract_variables(settings)
    if released.is_released(workdir):
        variables, origin = released.read(workdir, template)
        if best or step not in (None, origin.step):
            asked = "best" if best else step
            raise ValueError(
                f"--step is {asked}, but {workdir} is no workdir to choose from: it "
                f"holds one network, of step {origin.step}. Leave --step out."
            )
        return Trained(settings, variables, origin.step)
    with Checkpoints(workdir, create=False) as checkpoints:
        if best:
            kind = "checkpoint that was scored"
            step = _found(checkpoints.best_step(), checkpoints, kind)
        elif step is None:
            step = _found(checkpoints.latest_step(), checkpoints, "checkpoint")
        params, batch_stats = checkpoints.restore_model(
            step, template["params"], template.get("batch_stats", {})
        )
    return Trained(settings, {"params": params, "batch_stats": batch_stats}, step)


def read_step(word: str | None) -> int | None:
    """`step` of `restore`, as it is written on a command line.

    Args:
      word: a number; "best" and None name no step.

    Raises:
      ValueError: for anything else.
    """
    if word is None or word == "best":
        return None
    if not word.isdecimal():
        raise ValueError(f'--step is {word!r}; expected a number, or "best"')
    return int(word)


def steps_of(workdir: Path) -> list[int]:
    """The steps that can be restored, ascending; may be empty."""
    if released.is_released(workdir):
        return [released.read_origin(workdir).step]
    return layout.checkpoint_steps(workdir)


def latest_step(workdir: Path) -> int:
    """The last step that a workdir has a checkpoint of.

    Raises:
      ValueError: naming the path, if there is none.
    """
    if released.is_released(workdir):
        return released.read_origin(workdir).step
    with Checkpoints(workdir, create=False) as checkpoints:
        return _found(checkpoints.latest_step(), checkpoints, "checkpoint")


def abstract_variables(settings: Settings) -> Variables:
    """Names, shapes and dtypes of the network's variables, without computing them."""
    network = poseseg.build(settings.model, settings.representation)
    side = settings.train.image_size
    images = jax.ShapeDtypeStruct((1, side, side, 3), "uint8")
    init = partial(network.init, train=False)
    return jax.eval_shape(init, jax.random.key(0), images)


def _found(step: int | None, checkpoints: Checkpoints, kind: str) -> int:
    if step is None:
        raise ValueError(f"{checkpoints.directory} holds no {kind} yet.")
    return step
