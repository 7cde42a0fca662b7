"""Cuts folders and files into parts that travel, and puts them together again.

    python -m experiments.coco_mini.parts pack PATH... --output=D [--size_mib=40]
    python -m experiments.coco_mini.parts join D --output=O

D gets part000, part001, ... and parts.sha256, a list as `sha256sum --check` reads it.
O gets what the PATHs were, under their last names; of symbolic links, what they lead
to. A part that is missing or broken is named, and O stays as it was.
"""

import hashlib
import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from experiments.coco_mini.folders import made_whole
from poseseg_jax import command

LIST = "parts.sha256"
_MIB = 2**20
_BLOCK = 4 * _MIB


def pack(paths: Sequence[Path], output: Path, *, size_mib: int = 40) -> list[str]:
    """Writes the parts; the same content under the same names gives the same parts.

    Args:
      paths: folders and files, of different last names.
      output: a new or empty folder.
      size_mib: of a part, at most.

    Returns:
      The parts' names, in order.

    Raises:
      ValueError: if a path is not there, two have one name, or the folder is in use.
    """
    names = [path.resolve().name for path in paths]
    for path, name in zip(paths, names, strict=True):
        if not path.exists():
            raise ValueError(f"{path}: there is nothing to pack")
        if names.count(name) > 1:
            raise ValueError(f"{path}: another path ends in {name!r}, too; rename one")
    with made_whole(output) as half:
        parts: Any = _Parts(half, size_mib * _MIB)
        # Links are followed: what they lead to may not be there where this arrives.
        with tarfile.open(fileobj=parts, mode="w|", dereference=True) as archive:
            for path, name in zip(paths, names, strict=True):
                archive.add(path, arcname=name, filter=_nobodys)
        parts.close()
        lines = [f"{digest}  {name}\n" for name, digest in parts.digests.items()]
        (half / LIST).write_text("".join(lines))
    return list(parts.digests)


def join(folder: Path, output: Path) -> list[str]:
    """Verifies the parts in a folder and unpacks them.

    Args:
      folder: D.
      output: O. What is unpacked must not be there yet; other things may be.

    Returns:
      What was unpacked, by name.

    Raises:
      ValueError: naming every part that is missing or broken, or what is there already.
    """
    parts = _verified(folder)
    output.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(prefix=".join-", dir=output))
    try:
        with (
            io.BufferedReader(_Chain(parts), _BLOCK) as chain,
            tarfile.open(fileobj=chain, mode="r|") as archive,
        ):
            archive.extractall(half, filter="data")
        found = sorted(half.iterdir())
        for path in found:
            if (output / path.name).exists():
                raise ValueError(
                    f"{output / path.name} is there already. Remove it, or give "
                    "another --output."
                )
        for path in found:
            path.replace(output / path.name)
    except tarfile.TarError as error:
        raise ValueError(f"{folder}: the parts are no archive ({error})") from None
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return [path.name for path in found]


def _nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without what differs between machines and days."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


class _Parts:
    """A file to write to that is several."""

    def __init__(self, folder: Path, size: int):
        self._folder, self._size = folder, size
        self._file: Any = None
        self._room = 0
        self._hash = hashlib.sha256()
        self.digests: dict[str, str] = {}

    def write(self, data: bytes) -> int:
        """As of any file."""
        rest = memoryview(data)
        while rest:
            if not self._room:
                self._next()
            now, rest = rest[: self._room], rest[self._room :]
            self._file.write(now)
            self._hash.update(now)
            self._room -= len(now)
        return len(data)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self.digests[Path(self._file.name).name] = self._hash.hexdigest()
            self._file = None

    def _next(self) -> None:
        self.close()
        name = f"part{len(self.digests):03d}"
        self._file = (self._folder / name).open("wb")
        self._room, self._hash = self._size, hashlib.sha256()


class _Chain(io.RawIOBase):
    """Several files, read as one."""

    def __init__(self, paths: Iterable[Path]):
        self._left = iter(paths)
        self._file: Any = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self._file is None:
                path = next(self._left, None)
                if path is None:
                    return 0
                self._file = path.open("rb")
            if count := self._file.readinto(buffer):
                return count
            self._end()

    def close(self) -> None:
        self._end()
        super().close()

    def _end(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _verified(folder: Path) -> list[Path]:
    wrong, parts = [], []
    for digest, name in _listed(folder / LIST):
        path = folder / name
        parts.append(path)
        if not path.is_file():
            wrong.append(f"{name} is missing")
        elif _digest(path) != digest:
            wrong.append(f"{name} is broken, {path.stat().st_size} bytes")
    if wrong:
        raise ValueError(
            f"{folder}: {', '.join(wrong)}, of {len(parts)} parts. Bring them again."
        )
    return parts


def _listed(path: Path) -> list[tuple[str, str]]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path}: no list of parts ({error}). `pack` writes it beside them."
        ) from None
    pairs = [tuple(line.split("  ", 1)) for line in lines]
    if not pairs or any(len(pair) != 2 or "/" in pair[1] for pair in pairs):
        raise ValueError(f"{path}: no list of parts; expected 'SHA-256  NAME' lines")
    return [(digest, name) for digest, name in pairs]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _main(argv: list[str]) -> None:
    given, words = flags.FLAGS, argv[1:]
    what, paths = words[:1], [Path(word) for word in words[1:]]
    output = Path(given.output)
    if what == ["pack"] and paths:
        parts = pack(paths, output, size_mib=given.size_mib)
        total = sum((output / name).stat().st_size for name in parts) / _MIB
        print(f"{len(parts)} parts, {total:.1f} MiB, and {LIST} in {output}")
    elif what == ["join"] and len(paths) == 1:
        print(f"{', '.join(join(paths[0], output))} in {output}")
    else:
        raise ValueError(
            f"What is {' '.join(words) or 'wanted'!r}? Say `pack PATH...` or `join D`; "
            "see --help."
        )


if __name__ == "__main__":
    flags.DEFINE_string("output", None, "D or O.", required=True)
    flags.DEFINE_integer("size_mib", 40, "MiB of a part, at most.", lower_bound=1)
    command.run(_main, flags_parser=command.parse_flags_and_words)
