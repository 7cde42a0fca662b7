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
    while error is not None:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return True
        if any(words in str(error) for words in _NO_ROOM_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def full_disk_explained(folder: Path, advice: str) -> Iterator[None]:
    """Says where there is no room, and what to do.

    Raises:
      OSError: ENOSPC, in place of an error for which `is_full` is true.
    """
    try:
        yield
    except Exception as error:
        if not is_full(error):
            raise
        free = shutil.disk_usage(folder).free
        why = str(error).strip().splitlines()[0][:200]
        raise OSError(
            errno.ENOSPC,
            f"{folder}: the disk is full, or a limit on files is reached ({why}); "
            f"{free / 1e9:.1f} GB are free now. {advice}",
        ) from error
