"""A people map survives its bytes, and bytes that are none are refused."""

import contextlib
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


@given(people=MAPS)
def test_what_is_decoded_is_what_was_encoded(people):
    np.testing.assert_array_equal(decode(encode_runs(people), *people.shape), people)


@pytest.mark.parametrize("codes", [1, 2, 256])
def test_noise_and_emptiness_survive(codes):
    people = np.random.default_rng(0).integers(0, codes, (97, 131), dtype=np.uint8)
    np.testing.assert_array_equal(decode(encode_runs(people), 97, 131), people)


def test_runs_go_on_across_rows():
    """One run, by hand: 2 rows of 3 pixels of the code 7."""
    numbers = np.array([2, 3, 6], "<u4").tobytes()
    people = decode(zlib.compress(numbers + bytes([7])), 2, 3)
    np.testing.assert_array_equal(people, np.full((2, 3), 7))


def test_it_is_smaller_than_a_png():
    people = np.zeros((480, 640), np.uint8)
    cv2.ellipse(people, (300, 200), (80, 150), 20, 0, 360, 1, -1)
    png = cv2.imencode(".png", people)[1]
    assert len(encode_runs(people)) < len(png)


@given(people=MAPS, data=st.data())
def test_a_changed_byte_is_found_or_changes_nothing(people, data):
    """The header of zlib has bits that mean nothing; the rest is under its checksum."""
    encoded = bytearray(encode_runs(people))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(ValueError):
        np.testing.assert_array_equal(decode(bytes(encoded), *people.shape), people)


@given(junk=st.binary(max_size=60))
def test_bytes_of_nobody_are_refused(junk):
    for data in (junk, zlib.compress(junk)):
        with pytest.raises(ValueError, match="people map"):
            decode(data, 4, 5)


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("nothing", lambda data: b""),
        ("cut off", lambda data: data[:-1]),
        ("half", lambda data: data[: len(data) // 2]),
        ("something behind it", lambda data: data + b"0"),
        ("a PNG", lambda data: b"\x89PNG\r\n\x1a\n" + data),
        ("a bomb", lambda data: zlib.compress(bytes(10**7))),
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


@pytest.mark.parametrize("length", [5, 7, 2**32 - 1])
def test_runs_that_do_not_fill_the_map_are_refused(length):
    numbers = np.array([2, 3, length], "<u4").tobytes()
    with pytest.raises(ValueError, match=f"runs of {length} together"):
        decode(zlib.compress(numbers + bytes([7])), 2, 3)
