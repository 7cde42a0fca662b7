"""Files that are there whole or not at all, disks that are full, drives that fail."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import jax

UNFINISHED = ".unfinished"
# The last comes of a limit on the size of files, as of `ulimit -f`.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_ROOM_WORDS = tuple(os.strerror(number) for number in _NO_ROOM)
# Of files that are not what they should be. All other errors of the system, as of a
# network drive or of too many open files, may be gone the next time.
_OF_BROKEN_FILES = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR)
# As TensorStore says it, which reads the arrays in C++.
_SYSTEM_ERROR = re.compile(r"os_error_code='(\d+)'")
_NOT_NOW = ("RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED")


class NoRoom(OSError, ValueError):
    """A full disk or shared memory, with words that say where and what to do."""


def write_whole(path: Path, data: str | bytes | bytearray) -> None:
    """Writes a file such that who looks finds the old one or the new one; see `beside`.

    Raises:
      OSError: naming the file, if it cannot be written.
    """
    with beside(path) as unfinished:
        if isinstance(data, str):
            unfinished.write_text(data)
        else:
            unfinished.write_bytes(data)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """PATH.unfinished, to be written; in the end it is renamed to PATH.

    After an error there is only what was there before. A process that is killed leaves
    PATH.unfinished as well, which the next one overwrites.

    Raises:
      OSError: naming `path`, if the file cannot be written.
    """
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        # Where there is no room, the system does not say for what.
        if error.filename is None or str(error.filename) == str(unfinished):
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):
            unfinished.unlink()  # a full disk needs the room


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or one that it comes from, says that there is no room.

    Libraries that write in C++ have no number for it, only the system's words.
    """
    return any(_says_full(one) for one in comes_from(error))


def comes_from(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that it comes from, but for what `from None` hides."""
    while error is not None:
        yield error
        hidden = error.__suppress_context__
        error = error.__cause__ or (None if hidden else error.__context__)


def _says_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    if isinstance(error, (RuntimeError, ValueError)):
        return any(words in str(error) for words in _NO_ROOM_WORDS)
    return False


@contextmanager
def full_disk_explained(folder: Path, advice: str) -> Iterator[None]:
    """Says where there is no room, and what to do.

    Args:
      folder: where; it need not be there yet.
      advice: what to do. One that was given further within is left as it is.

    Raises:
      NoRoom: in place of an error for which `is_full` is true.
    """
    try:
        yield
    except NoRoom:
        raise
    except Exception as error:
        if not is_full(error):
            raise
        there = next(p for p in (folder, *folder.absolute().parents) if p.exists())
        free = shutil.disk_usage(there).free
        why = str(error).strip().splitlines()[0][:200]
        raise NoRoom(
            errno.ENOSPC,
            f"{folder}: the disk is full, or a limit on files is reached ({why}); "
            f"{free / 1e9:.1f} GB are free now. {advice}",
        ) from error


def may_pass(error: Exception) -> bool:
    """Whether what was read may be whole all the same: memory, device or drive."""
    return any(_passes(one) for one in comes_from(error))


def _passes(error: BaseException) -> bool:
    if isinstance(error, (MemoryError, jax.errors.JaxRuntimeError)):
        return True
    if isinstance(error, OSError):
        return error.errno is not None and error.errno not in _OF_BROKEN_FILES
    said = _SYSTEM_ERROR.search(str(error))
    if said:
        return int(said[1]) not in _OF_BROKEN_FILES
    return any(word in str(error) for word in _NOT_NOW)
