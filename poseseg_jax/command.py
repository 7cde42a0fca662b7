"""How every command begins, what it says of itself, how it speaks, and how it ends.

A module that is a command says at its end, where it is run and not imported,

    flags.DEFINE_string("workdir", None, "Folder of a training run.", required=True)
    command.run(_main)

Its docstring is what --help begins with: what it does, and an example. What a user got
wrong, its main raises as a ValueError; it ends as one line and exit status 1.
"""

import logging
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import absl.logging
from absl import app, flags

# What a main ends with in words: of users, of the system, of numbers that explode.
ERRORS = (ValueError, OSError, FloatingPointError)
_HELP = ("--help", "-help", "--helpshort", "-helpshort", "-h", "-?")
# Packages whose lines are let through.
_OURS = ("poseseg_jax", "experiments")
_WIDTH = 80


def run(
    main: Callable[[list[str]], None],
    *,
    flags_parser: Callable[[list[str]], list[str]] | None = None,
    interrupted: str = "Interrupted.",
) -> None:
    """Runs a command to its end, and ends the program with its exit status.

    Args:
      main: takes the command line without its flags.
      flags_parser: reads the flags; None: `parse_flags`.
      interrupted: what to say after Ctrl-C.

    Raises:
      SystemExit: with status 1 and words for an error of the user or the system, 130
        after Ctrl-C, 0 for --help.
    """

    def parse(argv: list[str]) -> list[str]:
        if any(word in _HELP for word in argv[1:]):
            print(help_text())
            raise SystemExit(0)
        return (flags_parser or parse_flags)(argv)

    def in_words_only(argv: list[str]) -> None:
        speak()
        try:
            main(argv)
        except KeyboardInterrupt:
            print(interrupted, file=sys.stderr)
            raise SystemExit(130) from None
        except ERRORS as error:
            raise SystemExit(in_words(error)) from None

    app.run(in_words_only, flags_parser=parse)


def in_words(error: BaseException) -> str:
    """What an error says, without what only programmers know."""
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename is not None else ""
        return f"{where}{error.strerror}"
    return str(error) or type(error).__name__


def speak(*, quietly: bool = False) -> None:
    """Lets this program's own lines through, and silences what Orbax and TFDS narrate.

    What they have to say that matters comes as an error. A line is the time and what is
    said.

    Args:
      quietly: for all hosts but the first: only what is wrong.
    """
    absl.logging.set_verbosity(absl.logging.ERROR)
    absl.logging.get_absl_handler().setFormatter(_Line())
    level = logging.WARNING if quietly else logging.INFO
    for package in _OURS:
        logging.getLogger(package).setLevel(level)


class _Line(logging.Formatter):
    """12:34:56 what is said."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(mark)s%(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        is_wrong = record.levelno >= logging.WARNING
        record.mark = f"{record.levelname.lower()}: " if is_wrong else ""
        return super().format(record)


def parse_flags(argv: list[str]) -> list[str]:
    """Reads the flags of a command that takes nothing else.

    Raises:
      SystemExit: in words, where there is something else, or a flag is wrong.
    """
    rest = parse_flags_and_words(argv)
    refuse_words(rest[1:])
    return rest


def parse_flags_and_words(argv: list[str]) -> list[str]:
    """Reads the flags of a command that takes other words, too, and returns those.

    Raises:
      SystemExit: in words, where a flag is wrong.
    """
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        raise SystemExit(flags_in_words(error)) from None


def refuse_words(words: list[str]) -> None:
    """Refuses what is no flag.

    Raises:
      SystemExit: naming it.
    """
    if words:
        raise SystemExit(f"What is {words[0]!r}? A flag begins with --; see --help.")


def flags_in_words(error: flags.Error) -> str:
    """One line for all that is wrong with the flags."""
    said = []
    for line in str(error).strip().splitlines():
        name = line.strip().removeprefix("flag --").partition("=")[0]
        is_missing = line.rstrip(".").endswith("must have a value other than None")
        said.append(f"--{name} has to be given" if is_missing else line.strip())
    return f"{'. '.join(line.rstrip('.') for line in said)}. See --help."


def help_text() -> str:
    """What the running command does, and its own flags, not those of libraries."""
    module: Any = sys.modules["__main__"]
    own = flags.FLAGS.get_key_flags_for_module(sys.argv[0])
    ordered = sorted(own, key=lambda flag: (not _is_required(flag), flag.name))
    described = "\n".join(_described(flag) for flag in ordered)
    return f"{(module.__doc__ or '').strip()}\n\nFlags:\n\n{described}"


def _described(flag: flags.Flag) -> str:
    parser: Any = flag.parser
    choices = getattr(parser, "enum_values", ())  # which absl puts before the words
    words = flag.help.partition(";\n")[0]  # then absl speaks of lists
    words = (
        words.strip().removeprefix(f"<{'|'.join(choices)}>: ").removesuffix(".") + "."
    )
    if _is_required(flag):
        words += " Required."
    elif _has_default(flag) and "default:" not in words.lower():
        default = str(flag.default_as_str).strip("'")
        words += f" Default: {default}."
    indent = "      "
    wrapped = textwrap.fill(
        words,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
    return f"  --{_with_value(flag)}\n{wrapped}"


def _with_value(flag: flags.Flag) -> str:
    """The flag as it is typed."""
    parser: Any = flag.parser
    if flag.boolean:
        return f"[no]{flag.name}"
    if isinstance(parser, flags.EnumParser):
        return f"{flag.name}={'|'.join(parser.enum_values)}"
    kinds = {flags.IntegerParser: "NUMBER", flags.FloatParser: "NUMBER"}
    kinds[flags.ListParser] = "A,B"
    return f"{flag.name}={kinds.get(type(parser), '...')}"


def _has_default(flag: flags.Flag) -> bool:
    return flag.default not in (None, "", []) and flag.default is not False


def _is_required(flag: flags.Flag) -> bool:
    """Whether it has to be given; --config may have a default of its own."""
    is_checked = any("other than None" in check.message for check in flag.validators)
    return is_checked and "default:" not in flag.help.lower()
