"""Moving pictures: frames from a file or a camera, and drawn frames into a file."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from jaxtyping import UInt8

SUFFIXES = (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv")
_RATE = 25.0  # frames per second of what does not say
_MAX_RATE = 240.0  # more is no rate but a unit of time
# MPEG-4 part 2: what OpenCV's wheels encode without another library.
_CODEC = "mp4v"
_WHOLE = 0.9  # share of the frames that a file promises and has to give

Frame = UInt8[np.ndarray, "h w 3"]


class Frames:
    """The frames of a video file or of a camera, RGB, with their numbers.

    Use it as a context manager.

    Args:
      source: the file, or the number of a camera.
      every: of so many frames the first is given.

    Attributes:
      rate: frames per second, of those that are given.

    Raises:
      ValueError: naming the file or the camera, if it cannot be opened.
    """

    def __init__(self, source: Path | int, *, every: int = 1):
        self._source, self._every, self._number = source, every, 0
        is_camera = isinstance(source, int)
        self._capture = cv2.VideoCapture(source if is_camera else str(source))
        if not self._capture.isOpened():
            raise ValueError(
                f"camera {source}: cannot be opened. Is it there, and used by nobody?"
                if is_camera
                else f"{source}: no video that can be decoded"
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = (rate if 0 < rate <= _MAX_RATE else _RATE) / every
        promised = 0 if is_camera else self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._promised = max(int(promised), 0)

    def __enter__(self) -> "Frames":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[tuple[int, Frame]]:
        while self._capture.grab():
            number, self._number = self._number, self._number + 1
            if number % self._every == 0:
                done, frame = self._capture.retrieve()
                if not done:
                    break
                yield number, np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))

    def problem(self) -> str:
        """Why the file is not whole, once all frames were taken; "" if it is."""
        if not self._number:
            return f"{self._source}: no frame can be decoded"
        if self._number < _WHOLE * self._promised:
            return (
                f"{self._source}: ends after {self._number} of {self._promised} frames"
            )
        return ""


class Recorder:
    """Writes frames of one size into an .mp4 file. Use it as a context manager.

    Without a frame, there is no file. It gets its name when it ends, by Ctrl-C too, as
    cameras do; after an error it stays unfinished-NAME, and an earlier NAME what it is.

    Args:
      path: of the file; its folder has to be there.
      rate: frames per second.
    """

    def __init__(self, path: Path, rate: float):
        self._path, self._rate = path, rate
        self._unfinished = path.with_name(f"unfinished-{path.name}")
        self._writer: cv2.VideoWriter | None = None
        self._start, self._written = 0.0, 0

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer is not None:
            self._writer.release()
            if kind is None or issubclass(kind, KeyboardInterrupt):
                self._unfinished.replace(self._path)

    def add(self, frame: Frame, *, times: int = 1) -> None:
        """Writes a frame, RGB, so many times.

        Raises:
          OSError: if the file cannot be written.
        """
        # MPEG-4 halves the resolution of colours: sides have to be even.
        even = cv2.copyMakeBorder(
            frame,
            *(0, frame.shape[0] % 2, 0, frame.shape[1] % 2),
            cv2.BORDER_REPLICATE,
        )
        if self._writer is None:
            height, width = even.shape[:2]
            code = cv2.VideoWriter.fourcc(*_CODEC)
            self._writer = cv2.VideoWriter(
                str(self._unfinished), code, self._rate, (width, height)
            )
            if not self._writer.isOpened():
                self._writer = None
                raise OSError(f"{self._path}: cannot be written as a video")
        for _ in range(times):
            self._writer.write(cv2.cvtColor(even, cv2.COLOR_RGB2BGR))
        self._written += times

    def add_live(self, frame: Frame) -> None:
        """Writes a frame as often as it takes for the file to keep up with the clock.

        A camera gives what it sees now, however long the last frame took.
        """
        now = time.monotonic()
        self._start = self._start or now
        due = int((now - self._start) * self._rate) + 1
        self.add(frame, times=max(due - self._written, 0))
