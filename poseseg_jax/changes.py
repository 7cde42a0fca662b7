"""Other values for some fields of a config, as they are written on a command line."""

from collections.abc import Sequence
from typing import Any

from poseseg_jax import config as config_lib


def read(words: Sequence[str]) -> dict[str, Any]:
    """Reads changes, each as group.field=value, for `config.with_changes`.

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
        changes[name] = _value(name, config_lib.changeable(name), text)
    return changes


def _value(name: str, kind: Any, text: str) -> Any:
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if kind == tuple[float, ...]:
            return tuple(float(word) for word in text.split(","))
        return kind(text)
    except (KeyError, ValueError):
        raise ValueError(
            f"{name} is {text!r}; expected {config_lib.described(kind)}"
        ) from None
