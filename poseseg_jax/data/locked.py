"""One process at a time, for what is made once and used by all.

The operating system keeps the locks, not the file: they end with the process, also
when it is killed, so nobody ever has to remove one.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_log = logging.getLogger(__name__)


@contextmanager
def alone(lock: Path, *, wait: bool = True) -> Iterator[bool]:
    """Holds a lock inside of the `with`.

    Args:
      lock: an empty file, made if it is not there. It stays: who removed it would let
        in another process beside one that waits for it.
      wait: whether to wait while another process holds it.

    Yields:
      Whether the lock is held. False if another process holds it and `wait` is False,
      on file systems that know no locks, and if the file may not be opened.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Reading is enough for a lock, and allowed where another user made the file.
        handle = os.open(lock, os.O_RDONLY | os.O_CREAT, 0o666)
    except PermissionError as error:
        _log.debug("%s: not held (%s)", lock, error)
        handle = None
    if handle is None:
        yield False
        return
    try:
        yield _take(handle, lock, wait)
    finally:
        os.close(handle)


def _take(handle: int, lock: Path, wait: bool) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not wait:
            return False
        _log.info("Waiting for another process that is at work in %s", lock.parent)
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        _log.debug("%s: no locks here (%s)", lock, error)
        return False
    return True
