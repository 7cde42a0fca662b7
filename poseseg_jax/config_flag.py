"""`--config=FILE[:PRESET]` of a command, and every mistake in it in words.

A command says

    config_flag.define()
    command.run(main, flags_parser=config_flag.parse_flags)

and its main takes `config_flag.given()`. Any field can be set on the command line, as
in --config.train.num_steps=1000. What is mistyped ends the program with exit code 1 and
a line that says what was expected.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from poseseg_jax.command import flags_in_words, refuse_words
from poseseg_jax.fields import flat, hint

flags.disclaim_key_flags()  # who calls `define` has the flag, and lists it in --help

_NAME = "config"
_HELP = (
    "Configuration file and, after a colon, a preset of it: configs/full.py:tiny. "
    "The preset tiny takes minutes on two CPU cores, on drawn people; without one it "
    "is the real thing. --config.GROUP.FIELD=VALUE sets a field; configs/base.py has "
    "them all."
)
_KINDS = {int: "a whole number", float: "a number", bool: "True or False"}
# The command line as it is parsed, with the default: ml_collections looks for fields
# in it before absl comes to them.
_argv: list[str] = []
_defaults: list[str] = []


def define(default: str | None = None, *, help: str = _HELP) -> None:
    """Defines the flag. Without a default it has to be given.

    Args:
      default: FILE or FILE:PRESET. It is read when flags are parsed, not before.
      help: what --help says of the flag.
    """
    if default:
        help = f"{help} Default: {default}."
    config_flags.DEFINE_config_file(_NAME, None, help, sys_argv=_argv)
    flags.mark_flag_as_required(_NAME)
    _defaults[:] = [default] if default else []


def parse_flags(argv: list[str]) -> list[str]:
    """The `flags_parser` of absl's app.run.

    Raises:
      SystemExit: in words, where a flag, a field, a value or a config is wrong.
    """
    is_given = _path_in(argv) is not None
    _argv[:] = argv if is_given else [argv[0], *_default(), *argv[1:]]
    try:
        rest = flags.FLAGS(list(_argv))
    except (AttributeError, KeyError):
        wrong = _unknown_field()
        if not wrong:  # the config's own mistake: where it is matters
            raise
        raise SystemExit(wrong) from None
    except OSError as error:
        raise SystemExit(_missing(error)) from None
    except flags.Error as error:
        raise SystemExit(_in_words(error)) from None
    refuse_words(rest[1:])
    given()
    return rest


def given() -> dict[str, Any]:
    """The config with what the command line set, as plain dicts.

    Raises:
      SystemExit: if there is no such config.
    """
    config: Any = flags.FLAGS[_NAME].value
    if isinstance(config, ConfigDict):
        return config.to_dict()
    if isinstance(config, Mapping):
        return dict(config)
    try:
        config.keys()  # what could not be loaded says so now
    except OSError as error:
        raise SystemExit(_missing(error)) from None
    except AttributeError:
        pass
    raise SystemExit(
        f"{_path_in(_argv)}: get_config() gives {config!r}, and no config."
    )


def path() -> str:
    """FILE[:PRESET] of the config."""
    return _path_in(_argv) or ""


def overrides() -> dict[str, Any]:
    """The fields that the command line set: "group.field" -> value."""
    return dict(config_flags.get_override_values(flags.FLAGS[_NAME]))


def _default() -> list[str]:
    return [f"--{_NAME}={path}" for path in _defaults]


def _path_in(argv: list[str]) -> str | None:
    """FILE[:PRESET] of a command line."""
    for place, argument in enumerate(argv):
        name, has_value, value = argument.partition("=")
        if name in (f"--{_NAME}", f"-{_NAME}"):
            return value if has_value else "".join(argv[place + 1 : place + 2])
    return None


def _fields() -> dict[str, Any]:
    """All fields of the config as it stands in its file."""
    config: Any = flags.FLAGS[_NAME].parser.parse(_path_in(_argv) or "")
    return flat(config.to_dict() if isinstance(config, ConfigDict) else config)


def _unknown_field() -> str | None:
    """The first field on the command line that the config does not have."""
    known = list(_fields())
    groups = list(dict.fromkeys(name.partition(".")[0] for name in known))
    for argument in _argv:
        found = re.match(rf"--?(?:no)?{_NAME}\.([\w.]+)", argument)
        if found and found[1] not in (*known, *groups):
            meant = _meant(found[1], known, groups)
            return f"The config has no such field: {found[1]!r}; {meant}"
    return None


def _meant(name: str, known: list[str], groups: list[str]) -> str:
    group, _, field = name.rpartition(".")
    elsewhere = [one for one in known if one.rpartition(".")[2] == field]
    if elsewhere:  # in the wrong group, or in one that there is not
        return hint(name, elsewhere)
    within = [one.rpartition(".")[2] for one in known if one.startswith(f"{group}.")]
    return hint(field, within) if within else hint(name, known, otherwise=groups)


def _missing(error: OSError) -> str:
    path = (_path_in(_argv) or "").partition(":")[0]
    if path and Path(path).exists():
        return f"The config {path} cannot be read: {error.__cause__ or error}"
    there = sorted(str(one) for one in Path(path).parent.glob("*.py") if path)
    meant = f"; {hint(path, there)}" if there else "."
    return f"There is no such config: {path!r}{meant}"


def _in_words(error: flags.Error) -> str:
    message = str(error).strip()
    if "Traceback" in message:  # of the config, whose last line says it
        said = message.splitlines()[-1].partition(": ")[2]
        return f"--{_NAME}={_path_in(_argv)}: {said}"
    field = re.search(rf"\b{_NAME}\.([\w.]+)(=[^:]*)?", message)
    if field and (message.startswith("Found ") or _path_in(_argv) is None):
        return f"--{_NAME}=FILE has to be given before --{_NAME}.{field[1]}."
    if field and message.startswith("flag ") and field[1] in (known := _fields()):
        value = known[field[1]]
        kind = _KINDS.get(type(value), "a value")
        return f"--{field[0]}: expected {kind}, such as {value!r}."
    return flags_in_words(error)
