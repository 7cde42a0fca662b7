"""Scalars and pictures for TensorBoard, written when they are said.

tensorboardX has a writer with a thread of its own, which keeps events for minutes, and
when the disk is full it ends without a word and lets the run wait for it forever.
"""

import contextlib
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from tensorboardX import summary
from tensorboardX.proto import event_pb2
from tensorboardX.record_writer import RecordWriter

_NAME = "events.out.tfevents."
_VERSION = "brain.Event:2"
_proto: Any = event_pb2  # its names are made when it is imported


class Events:
    """A new file of events in a folder.

    TensorBoard reads the files by name, which begins with a time, and hides what it has
    of the steps from `first_step` on. So the file is called later than all that are
    there, also if the clock was put back, or if the last one is not a second old.

    Args:
      folder: where TensorBoard will look.
      first_step: of what will be written.
    """

    def __init__(self, folder: Path, *, first_step: int):
        last = max((_second(path) for path in folder.glob(f"{_NAME}*")), default=0)
        second = max(int(time.time()), last + 1)
        path = folder / f"{_NAME}{second:010d}.{socket.gethostname()}"
        self._file = RecordWriter(str(path))
        start = _proto.SessionLog(status=_proto.SessionLog.START)
        self._write(file_version=_VERSION)
        self._write(step=first_step, session_log=start)
        self.flush()

    def scalar(self, step: int, name: str, value: float) -> None:
        """Adds a number; a `flush` brings it to the file."""
        self._write(step=step, summary=summary.scalar(name, value))

    def picture(self, step: int, name: str, image: UInt8[np.ndarray, "H W 3"]) -> None:
        """Adds an RGB picture."""
        shown = summary.image(name, image, dataformats="HWC")
        self._write(step=step, summary=shown)

    def flush(self) -> None:
        """Writes what was added, so that it outlives the process."""
        self._file.flush()

    def close(self) -> None:
        """Closes the file, and leaves what cannot be written."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _write(self, **fields: Any) -> None:
        event = _proto.Event(wall_time=time.time(), **fields)
        self._file.write(event.SerializeToString())


def _second(path: Path) -> int:
    second = path.name.removeprefix(_NAME).partition(".")[0]
    return int(second) if second.isdecimal() else 0
