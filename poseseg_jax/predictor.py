"""Pictures -> people, by a trained network: what `predict` does, for other programs.

predictor = Predictor.from_workdir("runs/tiny")
people = predictor("photo.jpg")
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import jax
import numpy as np
from jaxtyping import Float, UInt8

from poseseg_jax import geometry, inference
from poseseg_jax.changes import with_changes
from poseseg_jax.data.augment import PADDING, scale_of, warp_image
from poseseg_jax.data.photos import Photo, of_pixels, open_photo
from poseseg_jax.inference import Trained
from poseseg_jax.models.poseseg import largest_stride
from poseseg_jax.people import Person, people_of
from poseseg_jax.shapes import shape_for
from poseseg_jax.structs import Instances, Maps

# Of a trained `tiny`, so many are found then as there are people; see docs/predict.md.
MIN_SCORE = 0.3

Image = np.ndarray | str | Path


@dataclass(frozen=True, eq=False)
class Look:
    """A picture as the network sees it.

    Attributes:
      input: RGB at one of the shapes of shapes.py.
      to_input: affine, px of the picture -> input px.
      size: (height, width) of the picture.
      name: of the picture, in errors.
      tag: whatever the caller wants back with the people.
    """

    input: UInt8[np.ndarray, "h w 3"]
    to_input: Float[np.ndarray, "2 3"]
    size: tuple[int, int]
    name: str
    tag: Any = None


class Predictor:
    """Finds people in pictures of any size; compiles one program per input shape.

    Args:
      trained: settings and parameters of a run.
      min_score: people with less are left out.
      batch_size: pictures that go through the network at once; None: `eval.batch_size`
        of the run on an accelerator, and 1 on a CPU, which gains nothing from more.
      square: True sees every picture at the shape that evaluation has, to the bit; by
        default most of the padding is saved, see shapes.py.
    """

    def __init__(
        self,
        trained: Trained,
        *,
        min_score: float = MIN_SCORE,
        batch_size: int | None = None,
        square: bool = False,
    ):
        if not 0 <= min_score <= 1:
            raise ValueError(f"min_score is {min_score}; expected 0 to 1")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; expected 1 or more")
        self.settings = trained.settings
        self.step = trained.step
        self.min_score = min_score
        self.square = square
        on_cpu = jax.default_backend() == "cpu"
        usual = 1 if on_cpu else trained.settings.eval.batch_size
        self.batch_size = usual if batch_size is None else batch_size
        # Once, and not with every batch.
        self._variables = jax.device_put(trained.variables)
        self._detect = inference.make_detect(trained.settings)
        self._see = jax.jit(inference.make_see(trained.settings))

    @classmethod
    def from_workdir(
        cls,
        workdir: str | Path = inference.BOX,
        *,
        step: int | None = None,
        best: bool = False,
        flip: bool | None = None,
        scales: Sequence[float] | Float[np.ndarray, " n"] | None = None,
        changes: Mapping[str, Any] | None = None,
        min_score: float = MIN_SCORE,
        batch_size: int | None = None,
        square: bool = False,
    ) -> "Predictor":
        """The network of a training run.

        Args:
          workdir: of the run, or a folder that `poseseg_jax.export` made; by default
            the model in the box, which knows drawn people only.
          step: of the checkpoint; None: the latest.
          best: whether to take instead the one with the best keypoints AP in the run.
          flip, scales: as in `eval` of the config; None: the run's own.
          changes: other values for fields of `decode` and `eval` by name, as
            {"decode.snap_radius": 10.0}.
          min_score, batch_size, square: as above.

        Raises:
          ValueError: naming the workdir, if it cannot be used; for fields and numbers
            that make no sense, or that are given twice.
        """
        short: dict[str, Any] = {} if flip is None else {"eval.flip": flip}
        if scales is not None:
            short["eval.scales"] = tuple(scales)
        changes = changes or {}
        if twice := sorted(short.keys() & changes.keys()):
            raise ValueError(f"{twice[0]} is given twice: in changes, and beside them.")
        trained = inference.restore(Path(workdir), step=step, best=best)
        settings = with_changes(trained.settings, {**changes, **short})
        return cls(
            Trained(settings, trained.variables, trained.step),
            min_score=min_score,
            batch_size=batch_size,
            square=square,
        )

    @overload
    def __call__(self, images: Image) -> list[Person]: ...
    @overload
    def __call__(self, images: Sequence[Image]) -> list[list[Person]]: ...
    def __call__(self, images):
        """The people of a picture, or of each of several, best first.

        Args:
          images: a picture or a list of pictures: uint8 arrays, [H W 3] RGB or [H W]
            grey, or names of files, which are turned as their Exif data say.

        Returns:
          For one picture a list of people, for several a list of such lists.

        Raises:
          ValueError: for what is no picture.
        """
        if isinstance(images, np.ndarray | str | Path):
            # Alone, it does not wait for a batch to be full, and fills none.
            look = self.look(_as_photo(images))
            return self.people(look, next(self._started([look], 1))[1])
        looks = (
            self.look(_as_photo(image, f"picture {place} of the list"), tag=place)
            for place, image in enumerate(images)
        )
        found = {
            look.tag: self.people(look, instances)
            for look, instances in self.find(looks)
        }
        return [found[place] for place in sorted(found)]

    def look(self, photo: Photo, *, tag: Any = None) -> Look:
        """Puts a picture into the input shape that fits it."""
        height, width = photo.size
        side, stride = (
            self.settings.eval_image_size,
            largest_stride(self.settings.model),
        )
        to_input = geometry.letterbox_affine(height, width, side)
        shape = shape_for(photo.size, side=side, stride=stride, square=self.square)
        image, to_image = photo.decode(shrink=1 / scale_of(to_input))
        seen = np.empty((*shape, 3), np.uint8)
        warp_image(image, to_image, to_input, seen)
        # As a Batch has it, so that evaluation says the same to the last digit.
        exactly = to_input.astype(np.float32)
        return Look(seen, exactly, photo.size, photo.name, tag)

    def find(self, looks: Iterable[Look]) -> Iterator[tuple[Look, Instances]]:
        """What the network says of each look, one batch behind.

        Looks of one shape make a batch; those of the last ones are filled up. So looks
        of different shapes may come back in another order.

        Yields:
          The look, and its people in input px, in slots, as NumPy arrays.
        """
        waiting: dict[tuple[int, ...], list[Look]] = {}
        running: Iterator[tuple[Look, Instances]] = iter(())
        for look in looks:
            batch = waiting.setdefault(look.input.shape, [])
            batch.append(look)
            if len(batch) == self.batch_size:
                del waiting[look.input.shape]
                before, running = running, self._started(batch, self.batch_size)
                yield from before
        for batch in waiting.values():
            before, running = running, self._started(batch, self.batch_size)
            yield from before
        yield from running

    def maps(self, look: Look) -> Maps:
        """All that the network says of a look, as NumPy arrays: the decoder's input."""
        maps = jax.device_get(self._see(self._variables, look.input[None]))
        return jax.tree.map(lambda leaf: leaf[0], maps)

    def people(self, look: Look, instances: Instances) -> list[Person]:
        """The people of a look in pixels of its picture, best first."""
        return list(
            people_of(
                instances,
                to_input=look.to_input,
                size=look.size,
                person_stride=self.settings.representation.person_stride,
                name=look.name,
                min_score=self.min_score,
            )
        )

    def sure(self, instances: Instances) -> Instances:
        """Without those whose score is less than `min_score`: their slots are empty."""
        poses = instances.poses
        score = np.asarray(poses.score)
        kept = np.where(score >= self.min_score, score, np.zeros_like(score))
        poses = dataclasses.replace(poses, score=kept)
        return dataclasses.replace(instances, poses=poses)

    def _started(
        self, looks: Sequence[Look], batch_size: int
    ) -> Iterator[tuple[Look, Instances]]:
        """Sets the device to work at once; waits for it when somebody asks."""
        shape = (batch_size, *looks[0].input.shape)
        images = np.full(shape, PADDING, np.uint8)
        for row, look in enumerate(looks):
            images[row] = look.input
        return _rows(looks, self._detect(self._variables, images))


def _rows(
    looks: Sequence[Look], instances: Instances
) -> Iterator[tuple[Look, Instances]]:
    whole = jax.device_get(instances)
    for row, look in enumerate(looks):
        yield look, jax.tree.map(lambda leaf, row=row: leaf[row], whole)


def _as_photo(image: Image, name: str = "the picture") -> Photo:
    if isinstance(image, str | Path):
        return open_photo(image)
    return of_pixels(image, name)
