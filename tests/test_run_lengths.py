"""A people map survives its bytes, and bytes that are none are refused."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from poseseg_jax.data.run_lengths import decode_runs, encode_runs

NAME = "000000000139.jpg (image id 139), people map"
MAPS = nps.arrays(np.uint8, nps.array_shapes(min_dims=2, max_dims=2, max_side=9))


def decode(data, height, width):
    return decode_runs(data, height=height, width=width, name=NAME)


def by_hand(height, width, lengths, codes):
    runs = struct.pack(f"<{len(lengths)}H", *lengths) + bytes(codes)
    return struct.pack("<3I", height, width, zlib.crc32(runs)) + runs


@given(people=MAPS)
def test_what_is_decoded_is_what_was_encoded(people):
    np.testing.assert_array_equal(decode(encode_runs(people), *people.shape), people)


@pytest.mark.parametrize("codes", [1, 2, 256])
@pytest.mark.parametrize("shape", [(97, 131), (256, 256), (300, 500)])
def test_noise_and_emptiness_survive(codes, shape):
    """Also where a run is longer than its number can say."""
    people = np.random.default_rng(0).integers(0, codes, shape, dtype=np.uint8)
    np.testing.assert_array_equal(decode(encode_runs(people), *shape), people)


def test_runs_go_on_across_rows():
    people = np.array([[7, 7, 7], [7, 7, 2]], np.uint8)
    data = by_hand(2, 3, [5, 1], [7, 2])
    assert encode_runs(people) == data
    np.testing.assert_array_equal(decode(data, 2, 3), people)


def test_it_is_not_larger_than_a_png():
    people = np.zeros((480, 640), np.uint8)
    cv2.ellipse(people, (300, 200), (80, 150), 20, 0, 360, 1, -1)
    assert len(encode_runs(people)) < 1.1 * len(cv2.imencode(".png", people)[1])


@given(people=MAPS, data=st.data())
def test_a_changed_byte_is_found(people, data):
    encoded = bytearray(encode_runs(people))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="people map"):
        decode(bytes(encoded), *people.shape)


@given(junk=st.binary(max_size=60))
def test_bytes_of_nobody_are_refused(junk):
    with pytest.raises(ValueError, match="people map"):
        decode(junk, 4, 5)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("nothing", lambda data: b""),
        ("no runs", lambda data: data[:12]),
        ("cut off", lambda data: data[:-1]),
        ("a run less", lambda data: data[:-3]),
        ("half", lambda data: data[: len(data) // 2]),
        ("something behind it", lambda data: data + b"012"),
        ("a PNG", lambda data: b"\x89PNG\r\n\x1a\n" + data),
    ],
)
def test_broken_bytes_are_named(what, change):
    data = change(encode_runs(np.eye(9, dtype=np.uint8)))
    with pytest.raises(ValueError, match="no whole people map") as error:
        decode(data, 9, 9)
    assert NAME in str(error.value), what


@pytest.mark.parametrize("size", [(7, 9), (9, 8), (8, 7), (63, 1), (900, 700)])
def test_a_map_of_another_size_is_refused(size):
    data = encode_runs(np.zeros((9, 7), np.uint8))
    with pytest.raises(ValueError, match=f"9 x 7 .*asks for {size[0]} x {size[1]}"):
        decode(data, *size)


@pytest.mark.parametrize("lengths", [[5], [7], [0], [65535], [6, 1]])
def test_runs_that_do_not_fill_the_map_are_refused(lengths):
    data = by_hand(2, 3, lengths, [7] * len(lengths))
    with pytest.raises(ValueError, match=f"runs of {sum(lengths)} together"):
        decode(data, 2, 3)
