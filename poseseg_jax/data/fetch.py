"""A large file from the web, going on where an earlier attempt stopped.

What has come so far lies beside the file as NAME.part, with the server's tag of it in
NAME.part.tag, by which the server is asked to go on with the same version alone. Where
it gives no strong tag, parts of two versions may meet: who calls checks the whole.
"""

import http.client
import logging
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poseseg_jax.data.locked import alone
from poseseg_jax.data.progress import Progress, gigabytes

_log = logging.getLogger(__name__)

ATTEMPTS = 8  # without a byte of progress
_LONGEST_PAUSE_S = 60.0
_TIMEOUT_S = 60.0
_BLOCK = 1 << 20
_NOT_SATISFIABLE = 416
_PASSING = (408, 425, 429)  # and all from 500 on: may be better in a moment
_NETWORK_ERRORS = (OSError, http.client.HTTPException)


class _Trouble(Exception):
    """Something that another attempt may not meet."""


def fetch(
    url: str, path: Path, *, size: int, pause: Callable[[float], Any] = time.sleep
) -> None:
    """Downloads a file; nothing is done if it is there.

    A file of that name that is too short, say of a browser that was stopped, is taken
    for the beginning; one that is too long is set aside.

    Args:
      url: http or https; a server that knows no ranges has to start anew each time.
      path: where to; it appears when it is complete.
      size: in bytes. What they are is for the caller to check, by a checksum.
      pause: waits for so many seconds; between attempts.

    Raises:
      ValueError: if the server has no such file or one of another size, does not answer
        ATTEMPTS times in a row, or the disk is full. What has come is kept.
    """
    part = path.with_name(path.name + ".part")
    with alone(path.with_name(path.name + ".lock")):
        _adopt(path, part, size)
        if path.exists():
            return
        with Progress(path.name, total=size, done=_length(part), unit="B") as progress:
            _complete(url, part, size, pause, progress)
        part.replace(path)
        _tag_file(part).unlink(missing_ok=True)


def remaining(path: Path, size: int) -> int:
    """Bytes that `fetch` would still have to download."""
    part = path.with_name(path.name + ".part")
    lengths = [n for n in (_length(path), _length(part)) if n <= size]
    return size - max(lengths, default=0)


def _adopt(path: Path, part: Path, size: int) -> None:
    """Makes the best of what is there: afterwards, `path` is complete or absent."""
    if path.exists() and _length(path) != size:
        if _length(part) < _length(path) < size:
            _log.warning("%s is too short; the rest of it is downloaded.", path)
            path.replace(part)
            _tag_file(part).unlink(missing_ok=True)
        else:
            set_aside(path, f"it has {_length(path)} bytes, not {size}")
    if _length(part) > size:
        part.unlink()


def set_aside(path: Path, reason: str) -> Path:
    """Renames a file that is not what it should be, and says so."""
    aside = path.with_name(path.name + ".wrong")
    path.replace(aside)
    _log.warning("%s is not used: %s. It is now %s.", path, reason, aside.name)
    return aside


def _complete(
    url: str,
    part: Path,
    size: int,
    pause: Callable[[float], Any],
    progress: Progress,
) -> None:
    furthest, failures = _length(part), 0
    while _length(part) < size:
        try:
            _receive(url, part, size, progress)
            trouble = "the connection was closed"
        except _Trouble as error:
            trouble = str(error)
        if _length(part) > furthest:
            furthest, failures = _length(part), 0
        elif _length(part) < size:
            failures += 1
        if failures >= ATTEMPTS:
            raise ValueError(
                f"{url}: {trouble}, {failures} times in a row. {part} holds "
                f"{_length(part)} of {size} bytes; the same command goes on from there."
            )
        if _length(part) < size:
            seconds = min(2.0**failures, _LONGEST_PAUSE_S)
            _log.info("%s: %s; again in %.0f s", url, trouble, seconds)
            pause(seconds)


def _receive(url: str, part: Path, size: int, progress: Progress) -> None:
    """One request: appends to `part` what comes, until it ends for whatever reason."""
    with _open(url, part) as response:
        start, total = _what_comes(response)
        if total not in (None, size):
            raise ValueError(
                f"{url} has {total} bytes; expected {size}. The file was exchanged, or "
                "something between you and the server answers in its place."
            )
        if start not in (0, _length(part)):
            raise _Trouble(f"bytes from {start} came, from {_length(part)} were asked")
        if start == 0 and _length(part):
            _log.warning("%s: starts anew; the server does not go on.", url)
            progress.advance(-_length(part))
        _keep_tag(part, response)
        _append(response, part, size, progress, is_new=start == 0)


def _open(url: str, part: Path) -> Any:
    try:
        return urllib.request.urlopen(_request(url, part), timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        _refused(error, url, part)
        raise _Trouble(f"{error.code} {error.reason}") from None
    except _NETWORK_ERRORS as error:
        raise _Trouble(str(error)) from None


def _request(url: str, part: Path) -> urllib.request.Request:
    headers = {"User-Agent": "poseseg_jax", "Accept-Encoding": "identity"}
    if _length(part):
        headers["Range"] = f"bytes={_length(part)}-"
        if _tag_file(part).exists():
            headers["If-Range"] = _tag_file(part).read_text()
    return urllib.request.Request(url, headers=headers)


def _refused(error: urllib.error.HTTPError, url: str, part: Path) -> None:
    """Raises what is final; returns if another attempt may help."""
    if error.code == _NOT_SATISFIABLE:
        part.unlink(missing_ok=True)
    elif error.code < 500 and error.code not in _PASSING:
        name = part.name.removesuffix(".part")
        raise ValueError(
            f"{url}: the server says {error.code} {error.reason}. If you can get the "
            f"file from elsewhere, put it into {part.parent} as {name}."
        ) from None


def _what_comes(response: Any) -> tuple[int, int | None]:
    """The first byte that is sent, and the length of the whole file if it is said."""
    if response.status == http.client.PARTIAL_CONTENT:
        said = response.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", said)
        if not match:
            raise _Trouble(f"the server sends the range {said!r}")
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length")
    return 0, int(length) if length else None


def _append(
    response: Any, part: Path, size: int, progress: Progress, *, is_new: bool
) -> None:
    written = 0 if is_new else _length(part)
    with part.open("wb" if is_new else "ab") as file:
        while written < size:
            try:
                block = response.read(min(_BLOCK, size - written))
            except _NETWORK_ERRORS as error:
                raise _Trouble(str(error)) from None
            if not block:
                return
            try:
                file.write(block)
                file.flush()
            except OSError as error:
                raise ValueError(
                    f"{part}: cannot be written ({error}). {gigabytes(size - written)} "
                    "are still to come; with room for them, the same command goes on."
                ) from None
            written += len(block)
            progress.advance(len(block))


def _keep_tag(part: Path, response: Any) -> None:
    tag = response.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):  # a weak one does not promise the same bytes
        _tag_file(part).write_text(tag)
    else:
        _tag_file(part).unlink(missing_ok=True)


def _tag_file(part: Path) -> Path:
    return part.with_name(part.name + ".tag")


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
