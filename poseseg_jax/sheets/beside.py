"""What a network says of an input beside what it should say, map by map.

Offsets of both are drawn from the same cells: those for which the labels have an
answer. So a line that leads elsewhere than its neighbour beside it is an error.
"""

import dataclasses

import numpy as np

from poseseg_jax.sheets import compose, page
from poseseg_jax.sheets.maps import Sample
from poseseg_jax.sheets.page import Panel
from poseseg_jax.structs import Maps

FAINT = 0.2  # probability below which a heatmap is not drawn

SAYS, SHOULD_SAY = "what the network says", "what it should say"


def said_of(truth: Sample, maps: Maps) -> Sample:
    """The same input with what a network says of it.

    Args:
      truth: the input with its targets.
      maps: of a network, probabilities and offsets, without batch axis.
    """
    targets = truth.targets
    heatmap = np.asarray(maps.heatmap)
    drawn = dataclasses.replace(maps, heatmap=np.where(heatmap < FAINT, 0.0, heatmap))
    said = dataclasses.replace(
        targets,
        maps=drawn,
        asked=np.ones_like(targets.asked),
        asked_person=np.ones_like(targets.asked_person),
        asked_body=np.ones_like(targets.asked_body),
    )
    return dataclasses.replace(truth, targets=said)


def overview_sheet(truth: Sample, maps: Maps, title: str, *, side: int = 240) -> Panel:
    """Every kind of map: above what it should be, below what it is.

    Args:
      truth, maps: as in `said_of`.
      title: of the sheet.
      side: of a panel, px; there are six in a row.
    """
    rows = []
    for sample, whose in ((truth, SHOULD_SAY), (said_of(truth, maps), SAYS)):
        panels = compose.overviews(sample, side=side)
        named = [page.titled(panel, name) for name, panel in panels.items()]
        rows.append(page.titled(page.row(named), whose, size=15))
    return page.framed(page.titled(page.stack(rows), title, size=16))
