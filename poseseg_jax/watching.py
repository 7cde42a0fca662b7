"""What TensorBoard shows of a network while it learns: people, and one picture's maps.

The pictures are the same at every evaluation of a run, so that one can watch them
change. None is wider than 1,500 px, and there are five at most.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8

from poseseg_jax import averaging, exhibits, inference, targets, visualize
from poseseg_jax.averaging import View
from poseseg_jax.coco.results import Results
from poseseg_jax.config import Settings
from poseseg_jax.data import pipeline
from poseseg_jax.data.decoding import Record
from poseseg_jax.data.prepared import Prepared
from poseseg_jax.models.poseseg import ModelSettings
from poseseg_jax.representation import Representation
from poseseg_jax.sheets import beside
from poseseg_jax.sheets.maps import Sample
from poseseg_jax.structs import Batch, Maps, Targets

_OVERLAYS = 4
_WIDTH = 960  # px, of an overlay
_SEARCHED = 200  # records among which the one is chosen whose maps are shown
_PEOPLE = (2, 3, 4)  # with labelled keypoints, that it should show

Picture = UInt8[np.ndarray, "_ _ 3"]


class Watch:
    """Draws what an evaluation of a run found.

    Args:
      prepared: the data; pictures come from the validation split.
      settings: of the run; with `eval.overlays` 0, nothing is drawn.
    """

    def __init__(self, prepared: Prepared, settings: Settings):
        self._prepared, self._settings = prepared, settings
        self._count = min(_OVERLAYS, settings.eval.overlays)

    def pictures(
        self, found: Results, variables: inference.Variables
    ) -> Iterator[tuple[str, Picture]]:
        """Truth beside prediction, and maps of the network below those it should give.

        Only the first host draws. It looks at one picture, on one device, and waits for
        nobody.

        Args:
          found: results of the split.
          variables: of the network that found them, on every device.

        Yields:
          A name for TensorBoard, and an RGB picture.
        """
        overlays = exhibits.overlays(found, self._prepared, self._count)
        for image_id, picture in overlays:
            yield f"val/{image_id}", visualize.at_most(picture, _WIDTH)
        if self._count:
            yield "maps/val", self._map_sheet(variables)

    def _map_sheet(self, variables: inference.Variables) -> Picture:
        picture = self._batch
        own = jax.tree.map(lambda leaf: leaf.addressable_data(0), variables)
        made = jax.device_get(_look(self._settings)(own, picture))
        one, truth, maps = jax.tree.map(
            lambda leaf: np.asarray(leaf)[0], (picture, *made)
        )
        sample = Sample(one, truth, self._settings.representation)
        return beside.overview_sheet(sample, maps, f"picture {int(one.image_id)}")

    @functools.cached_property
    def _batch(self) -> Batch:
        one = pipeline.letterbox(
            _choose(self._prepared.val),
            image_size=self._settings.eval_image_size,
            max_people=self._settings.data.max_people,
        )
        return jax.tree.map(lambda leaf: np.asarray(leaf)[None], one)


def _choose(split: Any) -> Record:
    """The first record that shows a few people; else the one with the most."""
    best, most = 0, -1
    for index in range(min(len(split), _SEARCHED)):
        heads = int((split[index]["visibility"] > 0).any(-1).sum())
        if heads in _PEOPLE:
            return split[index]
        if heads > most:
            best, most = index, heads
    return split[best]


def _look(settings: Settings) -> Callable[..., tuple[Targets, Maps]]:
    views = averaging.views_of(settings.eval.scales, flip=settings.eval.flip)
    return _make_look(settings.model, settings.representation, views)


@functools.cache  # a process that trains several such networks compiles it once
def _make_look(
    model: ModelSettings, representation: Representation, views: tuple[View, ...]
) -> Callable[..., tuple[Targets, Maps]]:
    see = inference.see_with(model, representation, views)

    @jax.jit
    def look(variables: inference.Variables, batch: Batch) -> tuple[Targets, Maps]:
        truth = targets.make(batch, representation=representation)
        return truth, see(variables, batch.image)

    return look
