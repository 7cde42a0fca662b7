"""How scores move along what variants differ in.

Six reductions of three runs each say little one by one. A straight line through all of
them rests on every run, and what a control does falls out of the difference of two.
"""

from collections.abc import Collection, Mapping, Sequence

from experiments.grid import Experiment, Variant
from experiments.scores import Differences, Draws
from poseseg_jax.coco.groups import group_contrast, slope_weights

# By the series, or by two: "removal - random".
Trends = Mapping[str, Differences]
_Weights = Mapping[str, float]  # of the mean score of each variant


def trends(
    experiment: Experiment,
    variants: Sequence[Variant],
    drawn: Draws,
    trusted: Collection[str],
) -> Trends:
    """How much the line fitted to a series rises from its first place to its last.

    Args:
      experiment: nothing is told unless it has a `trend`.
      variants: all of it.
      drawn: scores on draws; a series of which a variant has no run is left out.
      trusted: keys of scores that rest on enough pictures.

    Returns:
      For each series, and for each that has controls, beside the series of those.
    """
    if not experiment.trend:
        return {}
    weights = {
        series: found
        for series in dict.fromkeys(one for v in variants for one in v.series)
        if (found := _rise(variants, series)).keys() <= drawn.keys()
    }
    for one, other in _controlled(variants):
        if one in weights and other in weights:
            weights[f"{one} - {other}"] = _less(weights[one], weights[other])
    return {name: _moved(found, drawn, trusted) for name, found in weights.items()}


def _rise(variants: Sequence[Variant], series: str) -> _Weights:
    """Least squares."""
    places = {
        variant.name: variant.at
        for variant in variants
        if series in variant.series and variant.at is not None
    }
    length = max(places.values()) - min(places.values())
    slope = slope_weights(list(places.values()))
    return {name: length * w for name, w in zip(places, slope, strict=True)}


def _controlled(variants: Sequence[Variant]) -> list[tuple[str, str]]:
    """A series, and another that holds controls of its variants."""
    series = {variant.name: variant.series for variant in variants}
    pairs = (
        (one, other)
        for variant in variants
        for control in variant.controls
        for one in variant.series
        for other in series[control]
    )
    return list(dict.fromkeys(pairs))


def _less(one: _Weights, other: _Weights) -> _Weights:
    """What lies on both lines has the same weight in both, and falls out."""
    names = dict.fromkeys((*one, *other))
    found = {name: one.get(name, 0.0) - other.get(name, 0.0) for name in names}
    return {name: weight for name, weight in found.items() if weight}


def _moved(weights: _Weights, drawn: Draws, trusted: Collection[str]) -> Differences:
    groups = [[drawn[name][seed] for seed in sorted(drawn[name])] for name in weights]
    found = group_contrast(groups, list(weights.values())).by_key
    return {key: one if key in trusted else None for key, one in found.items()}
