"""What the decoder does with the maps of one picture, step by step."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float

from poseseg_jax.decode import decode, grouping, hough
from poseseg_jax.decode.peaks import Candidates
from poseseg_jax.decode.settings import DecodeSettings
from poseseg_jax.representation import Representation
from poseseg_jax.structs import Instances, Maps


@dataclass(frozen=True, eq=False)
class Steps:
    """All that one picture leaves, as NumPy arrays. C candidates, best first.

    Attributes:
      votes: Hough maps [h w A].
      slots: room for candidates, of which C are taken.
      anchor, position, mass: of each candidate: its type, its place (input px), and
        its Hough mass.
      pose: what each candidate grows, input px.
      explains: [i, j]: i ranks above j, and j may be a part of i's person.
      rounds: who is kept after each round of suppression, up to the first that changes
        nothing.
      instances: the decoder's answer.
    """

    votes: Float[np.ndarray, "h w A"]
    slots: int
    anchor: np.ndarray
    position: Float[np.ndarray, "C 2"]
    mass: Float[np.ndarray, " C"]
    pose: Float[np.ndarray, "C A 2"]
    explains: Bool[np.ndarray, "C C"]
    rounds: tuple[Bool[np.ndarray, " C"], ...]
    instances: Instances

    @property
    def kept(self) -> Bool[np.ndarray, " C"]:
        """Who is kept in the end."""
        return self.rounds[-1]

    @property
    def keeper(self) -> np.ndarray:
        """For each candidate, the first kept one that explains it, or itself."""
        said = self.explains & self.kept[:, None]
        own = np.arange(len(self.mass))
        return np.where(said.any(0), said.argmax(0), own)


def take(
    maps: Maps, *, representation: Representation, settings: DecodeSettings
) -> Steps:
    """The steps of the decoder, each with the functions that the decoder uses.

    Args:
      maps: probabilities and offsets of one picture.
      representation, settings: as of `decode`.
    """
    made = _take(maps, representation=representation, settings=settings)
    votes, candidates, pose, explained, instances = jax.device_get(made)
    slots, count = len(candidates.score), int((candidates.score > 0).sum())
    explained = explained[:count, :count]
    return Steps(
        votes=votes,
        slots=slots,
        anchor=candidates.anchor[:count],
        position=candidates.position[:count],
        mass=candidates.score[:count],
        pose=pose[:count],
        explains=explained,
        rounds=_settled(explained),
        instances=instances,
    )


@partial(jax.jit, static_argnames=("representation", "settings"))
def _take(
    maps: Maps, *, representation: Representation, settings: DecodeSettings
) -> tuple[Any, Candidates, Any, Any, Instances]:
    how: dict[str, Any] = {"representation": representation, "settings": settings}
    stride, radius = representation.map_stride, representation.radius
    votes = hough.vote(maps.heatmap, maps.short, stride=stride, radius=radius)
    candidates = decode.find_candidates(maps, votes, **how)
    grown = decode.grow(maps, candidates, **how)
    explained = grouping.explains(
        candidates,
        grown.pose,
        radius=settings.suppression_radius,
        center_radius=grown.center_radius,
    )
    instances = decode.decode(maps, **how)
    return votes, candidates, grown.pose, explained, instances


def _settled(
    explained: Bool[np.ndarray, "C C"],
) -> tuple[Bool[np.ndarray, " C"], ...]:
    """The rounds of `grouping.suppress`, whose loop keeps only the last."""
    rounds = [np.ones(len(explained), bool)]
    while True:
        again = ~np.any(rounds[-1][:, None] & explained, axis=0)
        if np.array_equal(again, rounds[-1]):
            return tuple(rounds)
        rounds.append(again)
