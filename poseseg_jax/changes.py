"""A trained network read otherwise: other values for some fields of its config."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from poseseg_jax import config
from poseseg_jax.config import Settings
from poseseg_jax.fields import as_kind, check_name, described

flags.disclaim_key_flags()  # who calls `define_flags` has them, and lists them

# What may be another after training.
_CHANGEABLE = ("decode", "eval")


def with_changes(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """The settings of a trained network with another decoder or evaluation.

    Args:
      settings: of the run.
      changes: values by name, as {"decode.snap_radius": 10.0}; only of the groups
        `decode` and `eval`, which do not shape the network.

    Raises:
      ValueError: for another name, naming what was meant, and as `config.parse` does.
    """
    by_group: dict[str, dict[str, Any]] = {group: {} for group in _CHANGEABLE}
    for name, value in changes.items():
        kind = _kind_of(name)
        group, field = name.split(".")
        by_group[group][field] = as_kind(name, kind, value)
    chosen: dict[str, Any] = {
        group: dataclasses.replace(getattr(settings, group), **fields)
        for group, fields in by_group.items()
    }
    settings = dataclasses.replace(settings, **chosen)
    config.check(settings)
    return settings


def read(words: Sequence[str]) -> dict[str, Any]:
    """Reads changes, as they are written on a command line, for `with_changes`.

    Args:
      words: as "decode.snap_radius=10", "eval.flip=True" or "eval.scales=0.8,1".

    Returns:
      Values by name, of their fields' types.

    Raises:
      ValueError: naming the word, for one that is no change, for a field that is not
        to be changed, for a value of another type, and for a field that comes twice.
    """
    changes: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise ValueError(
                f"{word!r} changes nothing; expected a field and its value, as "
                "decode.snap_radius=10"
            )
        if name in changes:
            raise ValueError(f"{name} is given twice: {changes[name]} and {text!r}")
        changes[name] = _value(name, _kind_of(name), text)
    return changes


def define_flags() -> None:
    """Defines what a command with a trained network takes: which, and how it is read.

    These are --step, of which `inference.read_step` knows, and for `read_flags` --set
    with short names for what is set most.
    """
    flags.DEFINE_string(
        "step", None, 'Checkpoint to use: its step, or "best"; default: the latest.'
    )
    flags.DEFINE_multi_string(
        "set",
        None,
        "Another value for a field of `decode` or `eval` of the run's config, as "
        "decode.snap_radius=10; as often as you like.",
    )
    flags.DEFINE_bool(
        "flip", None, "See pictures mirrored, too. Short for --set=eval.flip=..."
    )
    flags.DEFINE_string(
        "scales",
        None,
        "Sizes at which to see them, as 0.8,1. Short for --set=eval.scales=...",
    )


def read_flags() -> dict[str, Any]:
    """What was given with the flags of `define_flags`; as of `read`."""
    given = flags.FLAGS
    short = [] if given.flip is None else [f"eval.flip={given.flip}"]
    short += [f"eval.scales={given.scales}"] if given.scales else []
    return read([*(given.set or ()), *short])


def _value(name: str, kind: Any, text: str) -> Any:
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if kind == tuple[float, ...]:
            return tuple(float(word) for word in text.split(","))
        return kind(text)
    except (KeyError, ValueError):
        raise ValueError(f"{name} is {text!r}; expected {described(kind)}") from None


def _kind_of(name: str) -> Any:
    """The type of a field that `with_changes` takes: bool, int, float or a tuple.

    Raises:
      ValueError: if there is no such field, or if it is one of training.
    """
    group, _, field = name.partition(".")
    check_name("the config", group, config.GROUPS)
    kinds = {one.name: one.type for one in dataclasses.fields(config.GROUPS[group])}
    if group not in _CHANGEABLE:
        raise ValueError(
            f"{name} shapes the network or its training, which is over; what can be "
            f"changed are fields of {' and '.join(_CHANGEABLE)}."
        )
    check_name(group, field, list(kinds))
    return kinds[field]
