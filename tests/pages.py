"""What the pages of the repository tell a reader to type, in their order."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from tests.documented import DOCS, REPOSITORY

PAGES = (
    "README.md",
    *sorted(f"docs/{path.name}" for path in DOCS.glob("*.md")),
    "experiments/README.md",
)
SHELLS = ("bash", "sh", "shell", "console")
_OPERATORS = ("|", "&&", ";")


@dataclass(frozen=True)
class Typed:
    """A line for a shell, or a whole program.

    Attributes:
      page: where it stands.
      line: of the page, from 1.
      text: as it stands there; lines that end in a backslash are one.
      is_python: whether it is a program.
    """

    page: str
    line: int
    text: str
    is_python: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text.splitlines()[0]}"


def typed(page: str) -> Iterator[Typed]:
    """Everything that a page tells to type."""
    text = (REPOSITORY / page).read_text()
    for line, language, block in blocks(text):
        if language == "python":
            yield Typed(page, line, block, is_python=True)
        elif language in SHELLS:
            for number, one in _lines(block):
                yield Typed(page, line + number, one, is_python=False)


def blocks(text: str) -> Iterator[tuple[int, str, str]]:
    """Of each fenced block: its first line's number, its language, what it holds."""
    fenced = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^ *```", re.M | re.S)
    for found in fenced.finditer(text):
        indent, language, block = found.groups()
        block = re.sub(rf"^{indent}", "", block, flags=re.M)
        yield text.count("\n", 0, found.start(3)) + 1, language, block


def _lines(block: str) -> Iterator[tuple[int, str]]:
    """Lines that are no comments, and where they begin."""
    number = 0
    for line in re.split(r"(?<!\\)\n", block):
        words = shlex.split(line, comments=True)
        if words and words != ["\n"]:
            yield number, line.strip().removeprefix("$ ")
        number += line.count("\n") + 1


def pipelines(line: str) -> list[list[list[str]]]:
    """A line as a shell reads it: what follows on each other, what is piped, words.

    Raises:
      ValueError: for what a shell understands and the tests do not.
    """
    lexer = shlex.shlex(
        line.replace("\\\n", " "), posix=True, punctuation_chars="&|;<>"
    )
    lexer.whitespace_split = True
    found: list[list[list[str]]] = [[[]]]
    for word in lexer:
        if word in ("&&", ";"):
            found.append([[]])
        elif word == "|":
            found[-1].append([])
        elif word[0] in "&|;<>":
            raise ValueError(f"{word!r} is none of {_OPERATORS}")
        else:
            found[-1][-1].append(word)
    return [pipeline for pipeline in found if pipeline != [[]]]
