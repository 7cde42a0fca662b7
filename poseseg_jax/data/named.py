"""What a command line names: files, folders, patterns, cameras -> inputs, in order."""

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from poseseg_jax.data import photos, videos

CAMERA = re.compile(r"camera:(\d+)")
_IN_OUTPUT = "lies in --output, where nothing is looked at: give another --output"


@dataclass(frozen=True)
class Input:
    """A picture, a video or a camera.

    Attributes:
      source: the file, or the number of the camera.
      name: under which its results are written: a path without suffix, no two equal.
    """

    source: Path | int
    name: str

    @property
    def is_moving(self) -> bool:
        """Whether it is a video or a camera."""
        return isinstance(self.source, int) or is_video(self.source)

    def __str__(self) -> str:
        is_camera = isinstance(self.source, int)
        return f"camera:{self.source}" if is_camera else str(self.source)


def find(words: Sequence[str], *, output: Path) -> tuple[list[Input], dict[str, str]]:
    """The inputs that some words name.

    A word is a file, a folder (all pictures below it, but for hidden ones), a pattern
    as in "photos/**/*.jpg", or a camera as in "camera:0". What is named twice is there
    once. Results of a file are named by its stem, those below a folder by the path from
    there; where two would have the same name, the later one gets its suffix or a number
    behind it.

    Args:
      words: of the command line.
      output: a folder whose contents are nobody's input, however they are named: they
        may be drawings of an earlier run, or be overwritten by this one.

    Returns:
      The inputs, and for each word that names nothing, why.
    """
    inputs: list[Input] = []
    wrong: dict[str, str] = {}
    sources: set[Path | int] = set()
    names: set[str] = set()
    own = output.resolve()
    for word in words:
        found = [(_known(source), source, name) for source, name in _named_by(word)]
        others = [one for one in found if not _lies_in(one[0], own)]
        if not others:
            wrong[word] = _IN_OUTPUT if found else _why(word)
        for known, source, name in others:
            if known not in sources:
                sources.add(known)
                inputs.append(Input(source, _free(name, source, names)))
    return inputs, wrong


def is_video(path: Path) -> bool:
    """Whether a file is a video, by its suffix."""
    return path.suffix.lower() in videos.SUFFIXES


def _known(source: Path | int) -> Path | int:
    """The same for all names of a file."""
    return source.resolve() if isinstance(source, Path) else source


def _lies_in(known: Path | int, folder: Path) -> bool:
    return isinstance(known, Path) and known.is_relative_to(folder)


def _named_by(word: str) -> Iterator[tuple[Path | int, str]]:
    path, camera = Path(word), CAMERA.fullmatch(word)
    if camera and not path.exists():
        yield int(camera[1]), f"camera{camera[1]}"
    elif path.is_dir():
        yield from _below(path)
    elif path.exists():
        yield path, path.stem
    else:
        for match in sorted(glob.glob(word, recursive=True)):  # noqa: PTH207 (absolute too)
            if not Path(match).is_dir():
                yield Path(match), Path(match).stem


def _below(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in inner.parts)
        is_picture = path.suffix.lower() in photos.SUFFIXES and path.is_file()
        if is_picture and not is_hidden:
            yield path, inner.with_suffix("").as_posix()


def _why(word: str) -> str:
    if Path(word).is_dir():
        return f"a folder without pictures ({', '.join(photos.SUFFIXES)})"
    if glob.has_magic(word):
        return "a pattern that matches no file"
    return "no such file or folder"


def _free(name: str, source: Path | int, names: set[str]) -> str:
    """The name, or one like it that nobody has; remembers it."""
    wanted, number = name, 2
    if _folded(wanted) in names and isinstance(source, Path):
        wanted = name = f"{name}_{source.suffix[1:]}"
    while _folded(wanted) in names:
        wanted, number = f"{name}_{number}", number + 1
    names.add(_folded(wanted))
    return wanted


def _folded(name: str) -> str:
    return name.casefold()  # for file systems to which A and a are one
