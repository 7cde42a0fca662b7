"""The fields of a config: their names, and the types of their values."""

import difflib
import numbers
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Every value of a config by its whole name: "group.field", or "field" alone."""
    values: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            values |= {f"{name}.{field}": one for field, one in value.items()}
        else:
            values[name] = value
    return values


class Change(NamedTuple):
    """Two values of a field; said as "old -> new"."""

    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.old!r} -> {self.new!r}"


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Change]:
    """Fields that differ between two configs, by whole name; None where it has none."""
    before, after = flat(old), flat(new)
    changes = {
        name: Change(before.get(name), after.get(name))
        for name in sorted({*before, *after})
    }
    return {name: one for name, one in changes.items() if one.old != one.new}


def check_names(group: str, given: Iterable[str], expected: Iterable[str]) -> None:
    """Refuses names that are not expected, and those that are missing.

    Raises:
      ValueError: with what may have been meant.
    """
    given, expected = list(given), list(expected)
    for name in given:
        check_name(group, name, expected)
    missing = [name for name in expected if name not in given]
    if missing:
        raise ValueError(f"{group} lacks {missing}; every field is in configs/base.py.")


def check_name(group: str, name: str, expected: Iterable[str]) -> None:
    """Refuses a name that is not expected.

    Raises:
      ValueError: with what may have been meant.
    """
    expected = list(expected)
    if name not in expected:
        raise ValueError(
            f"There is no field {name!r} in {group}; {hint(name, expected)}"
        )


def hint(
    name: str, known: Iterable[str], *, otherwise: Iterable[str] | None = None
) -> str:
    """Which of the known names may have been meant.

    Args:
      name: that is none of them.
      known: names.
      otherwise: what to list if none is near: all of them, or a part of them.
    """
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    listed = known if otherwise is None else list(otherwise)
    return f"did you mean {close[0]!r}?" if close else f"known: {listed}"


def as_kind(name: str, kind: Any, value: Any) -> Any:
    """A value as the type of its field; a list will do for a tuple.

    Args:
      name: of the field, as "eval.flip".
      kind: a class, or tuple[float, ...].
      value: as it came from a file or from a caller.

    Raises:
      ValueError: naming the field, the value and what was expected, where it is of
        another type.
    """
    is_several = kind == tuple[float, ...]
    if isinstance(value, np.ndarray):
        value = value.tolist()
    items = value if is_several and isinstance(value, list | tuple) else [value]
    single = float if is_several else kind
    if not all(_is_a(single, item) for item in items):
        raise ValueError(f"{name} is {value!r}; expected {described(kind)}")
    # NumPy's numbers are numbers as well, and leave none of theirs behind.
    items = tuple(single(i) if single in (int, float) else i for i in items)
    return items if is_several else items[0]


def _is_a(kind: Any, value: Any) -> bool:
    numeric = {int: numbers.Integral, float: numbers.Real}
    if kind not in numeric:
        return isinstance(value, kind)
    # A bool is an int to Python.
    return isinstance(value, numeric[kind]) and not isinstance(value, bool)


def described(kind: Any) -> str:
    """What a value of a field's type looks like, for who gave another."""
    words = {
        bool: "True or False",
        int: "a whole number",
        float: "a number",
        str: "a text",
        tuple[float, ...]: "numbers, as 0.8,1",
    }
    return words.get(kind) or kind.__name__
