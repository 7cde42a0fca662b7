"""Files that are there whole or not at all, and disks that are full."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The last comes of a limit on the size of files, as of `ulimit -f`.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_ROOM_WORDS = tuple(os.strerror(number) for number in _NO_ROOM)


class NoRoom(OSError, ValueError):
    """A full disk or shared memory, with words that say where and what to do."""


def write_whole(path: Path, text: str) -> None:
    """Writes a file such that who looks finds the old one or the new one.

    It is written beside and renamed. A process that is killed meanwhile leaves the old
    one, and PATH.unfinished, which the next one overwrites.
    """
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        unfinished.write_text(text)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)  # a full disk needs the room
        raise


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
