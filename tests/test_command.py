"""A command says what it takes, speaks in short lines, and ends in words."""

import errno
import re
import subprocess
import sys

import pytest
from absl import flags

from poseseg_jax import command
from poseseg_jax.disk import NoRoom
from tests.documented import REPOSITORY

# A command that ends as its flag says.
PROGRAM = '''
"""Ends in several ways.

    python -m this --how=well
"""
import logging
from absl import flags
from poseseg_jax import command

def main(words):
    log = logging.getLogger("poseseg_jax.this")
    log.info("at %d", 3)
    log.warning("not quite")
    logging.getLogger("others").info("others narrate")
    ends = {
        "value": ValueError("7 is too many; expected 3"),
        "nan": FloatingPointError("Not finite"),
        "system": FileNotFoundError(2, "No such file", "here.json"),
        "signal": KeyboardInterrupt(),
        "ours": TypeError("a mistake of ours"),
    }
    if flags.FLAGS.how in ends:
        raise ends[flags.FLAGS.how]
    print("words:", *words[1:])

flags.DEFINE_string("how", None, "How it ends.", required=True)
flags.DEFINE_enum("colour", "red", ["red", "blue"], "Which")
flags.DEFINE_integer("count", 0, "How many.", lower_bound=0)
flags.DEFINE_list("names", ["a", "b"], "Whose.")
flags.DEFINE_bool("loud", False, "Whether to shout.")
flags.DEFINE_float("speed", None, "How fast; default: as it can.")
parser = PARSER
command.run(main, flags_parser=parser, interrupted="Interrupted, all is saved.")
'''

# What is given: the status, and the last line on the standard error.
ENDINGS = {
    "--how=well": (0, "warning: not quite"),
    "--how=value": (1, "7 is too many; expected 3"),
    "--how=nan": (1, "Not finite"),
    "--how=system": (1, "here.json: No such file"),
    "--how=signal": (130, "Interrupted, all is saved."),
    "": (1, "--how has to be given. See --help."),
    "--how=well --count=-1": (1, "--count=-1: -1 is not a non-negative integer."),
    "--how=well --colour=pink": (1, "--colour=pink: value should be one of <red|blue>"),
    "--how=well --lod": (1, "Unknown command line flag 'lod'. "),
    "--how=well more": (1, "What is 'more'? A flag begins with --; see --help."),
}
HELP = """\
Ends in several ways.

    python -m this --how=well

Flags:

  --how=...
      How it ends. Required.
  --colour=red|blue
      Which. Default: red.
  --count=NUMBER
      How many. Default: 0.
  --[no]loud
      Whether to shout.
  --names=A,B
      Whose. Default: a,b.
  --speed=NUMBER
      How fast; default: as it can.
"""


def ended(*words, parser="None"):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("PARSER", parser), *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("words", ENDINGS)
def test_a_command_ends_with_a_status_and_one_line(words):
    status, last = ENDINGS[words]
    done = ended(*words.split())
    assert done.returncode == status
    assert last in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    own = [line for line in done.stderr.splitlines() if not is_logged(line)]
    assert len(own) == (status != 0)


def is_logged(line):
    return re.match(r"\d\d:\d\d:\d\d ", line)


def test_a_line_is_the_time_and_what_is_said():
    """Without who said it: that is for programmers."""
    lines = ended("--how=well").stderr.splitlines()
    assert [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in lines] == [
        "at 3",
        "warning: not quite",
    ]
    assert all(map(is_logged, lines))


def test_a_mistake_of_ours_keeps_its_traceback():
    done = ended("--how=ours")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_words_beside_flags_are_for_the_commands_that_take_them():
    done = ended("one", "--how=well", "two", parser="command.parse_flags_and_words")
    assert done.stdout == "words: one two\n"


@pytest.mark.parametrize("word", ["--help", "-h", "-help"])
def test_help_is_the_docstring_and_our_own_flags(word):
    done = ended(word)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == HELP


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("x is 3"), "x is 3"),
        (ValueError(), "ValueError"),
        (OSError("no device"), "no device"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
        (PermissionError(errno.EACCES, "Denied", "a/b"), "a/b: Denied"),
        (NoRoom(errno.ENOSPC, "a/b: the disk is full"), "a/b: the disk is full"),
        (NoRoom("make room"), "make room"),
    ],
)
def test_an_error_says_what_concerns_its_reader(error, words):
    assert command.in_words(error) == words


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "flag --workdir=None: Flag --workdir must have a value other than None.",
            "--workdir has to be given. See --help.",
        ),
        (
            "\n  flag --a=None: Flag --a must have a value other than None."
            "\n  flag --b=None: Flag --b must have a value other than None.",
            "--a has to be given. --b has to be given. See --help.",
        ),
        ("Unknown command line flag 'x'", "Unknown command line flag 'x'. See --help."),
    ],
)
def test_all_that_is_wrong_with_flags_is_one_line(said, words):
    assert command.flags_in_words(flags.Error(said)) == words
