"""Files are whole, and a full disk is known by whoever complains."""

import errno
import re

import numpy as np
import pytest

from poseseg_jax import tensors
from poseseg_jax.coco.results import write_json
from poseseg_jax.command import in_words
from poseseg_jax.data.iteration_files import write as write_pieces
from poseseg_jax.disk import NoRoom, full_disk_explained, is_full, write_whole
from tests.faults import largest_file


def test_a_file_is_the_old_one_or_the_new_one(tmp_path):
    path = tmp_path / "a.json"
    write_whole(path, "old")
    with largest_file(10), pytest.raises(OSError, match="too large"):
        write_whole(path, "new" * 10)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def write_array(path, size):
    tensors.write(path, {"a": np.zeros(size, np.uint8)}, {})


WRITERS = {
    "text": lambda path, size: write_whole(path, "x" * size),
    "bytes": lambda path, size: write_whole(path, b"x" * size),
    "an exported program": lambda path, size: write_whole(path, bytearray(size)),
    "arrays": write_array,
    "results": lambda path, size: write_json(path, [{"score": 0.5}] * size),
    "iterations": lambda path, size: write_pieces(path, [b"x"] * size),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_costs_nobody_the_old_file_and_keeps_no_half_of_the_new(
    tmp_path, writer
):
    write, path = WRITERS[writer], tmp_path / "a"
    write(path, 1)
    old = path.read_bytes()
    with largest_file(20_000), pytest.raises(OSError, match=re.escape(str(path))) as no:
        write(path, 50_000)
    assert is_full(no.value)
    assert in_words(no.value).startswith(f"{path}: ")
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_an_error_names_the_file_and_not_the_one_beside_it(tmp_path):
    (tmp_path / "a").mkdir()
    for path in (tmp_path / "a", tmp_path / "none" / "a"):
        with pytest.raises(OSError, match=re.escape(f"{path}'")) as no:
            write_whole(path, "x")
        assert str(no.value.filename) == str(path)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_full_disk_is_known_by_number_by_words_and_from_within():
    assert is_full(OSError(errno.ENOSPC, "x"))
    assert is_full(ValueError("RESOURCE_EXHAUSTED: No space left on device"))
    outer = RuntimeError("a thread failed")
    outer.__cause__ = OSError(errno.EDQUOT, "x")
    assert is_full(outer)
    assert not is_full(OSError(errno.ENOENT, "x"))
    assert not is_full(None)


def test_what_is_not_said_or_not_meant_is_no_full_disk(tmp_path):
    assert not is_full(KeyError("No space left on device"))
    hidden = RuntimeError("something else")
    hidden.__context__ = OSError(errno.ENOSPC, "x")
    assert is_full(hidden)
    hidden.__suppress_context__ = True
    assert not is_full(hidden)


def test_the_innermost_advice_stays_also_for_a_folder_that_is_not_there(tmp_path):
    with (
        pytest.raises(NoRoom, match=r"inner.*free now\. Wait"),
        full_disk_explained(tmp_path / "outer", "Go."),
        full_disk_explained(tmp_path / "inner" / "x", "Wait."),
    ):
        raise OSError(errno.ENOSPC, "x")


def test_other_errors_are_left_alone(tmp_path):
    with pytest.raises(KeyError), full_disk_explained(tmp_path, "Make room."):
        raise KeyError
    explained = pytest.raises(OSError, match=r"full.*free now\. Make room\.")
    with explained, full_disk_explained(tmp_path, "Make room."):
        raise ValueError("No space left on device")
