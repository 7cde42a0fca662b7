"""Frames come in order and with their numbers, and go into a file that plays."""

import cv2
import numpy as np
import pytest

from poseseg_jax.data import videos
from poseseg_jax.data.videos import Frames, Recorder

SHAPE = (48, 64)


def frame(tone, shape=SHAPE):
    image = np.full((*shape, 3), 20, np.uint8)
    image[..., 0] = tone
    return image


def write(path, tones, *, shape=SHAPE, rate=20.0):
    with Recorder(path, rate) as recorder:
        for tone in tones:
            recorder.add(frame(tone, shape))
    return path


def interrupt(path, error):
    with Recorder(path, 20.0) as recorder:
        recorder.add(frame(200))
        raise error


@pytest.mark.parametrize("every", [1, 2, 3])
def test_frames_come_back_in_order(tmp_path, every):
    tones = [20, 60, 100, 140, 180, 220]
    path = write(tmp_path / "a.mp4", tones)
    with Frames(path, every=every) as frames:
        assert frames.rate == pytest.approx(20 / every)
        seen = {number: pixels[..., 0].mean() for number, pixels in frames}
        assert frames.problem() == ""
    assert list(seen) == list(range(0, 6, every))
    np.testing.assert_allclose(list(seen.values()), tones[::every], atol=8)
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("shape", [(48, 64), (47, 63)])
def test_odd_sides_become_even(tmp_path, shape):
    path = write(tmp_path / "a.mp4", [100] * 3, shape=shape)
    with Frames(path) as frames:
        sizes = {pixels.shape for _, pixels in frames}
    assert sizes == {(48, 64, 3)}


def test_without_a_frame_there_is_no_file(tmp_path):
    write(tmp_path / "a.mp4", [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "kept"), [(RuntimeError, [20, 20]), (KeyboardInterrupt, [200])]
)
def test_an_error_leaves_the_video_of_before_and_ctrl_c_ends_the_new_one(
    tmp_path, error, kept
):
    path = write(tmp_path / "a.mp4", [20, 20])
    with pytest.raises(error):
        interrupt(path, error)
    with Frames(path) as frames:
        tones = [pixels[..., 0].mean() for _, pixels in frames]
    np.testing.assert_allclose(tones, kept, atol=8)
    beside = {one.name for one in tmp_path.iterdir()} - {"a.mp4"}
    assert beside == ({"unfinished-a.mp4"} if error is RuntimeError else set())


def test_what_is_no_video_is_refused_by_its_name(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"a\.mp4: no video"):
        Frames(path)
    with pytest.raises(ValueError, match="camera 77: cannot be opened"):
        Frames(77)


class Capture:
    """Stands for OpenCV's: promises `promised` frames and has `there`."""

    promised, there, rate = 10, 10, 30.0

    def __init__(self, source):
        self.left = self.there

    def isOpened(self):
        return True

    def get(self, what):
        return self.rate if what == cv2.CAP_PROP_FPS else self.promised

    def grab(self):
        self.left -= 1
        return self.left >= 0

    def retrieve(self):
        return True, np.zeros((4, 4, 3), np.uint8)

    def release(self):
        pass


@pytest.mark.parametrize(
    ("there", "words"), [(10, ""), (9, ""), (5, "ends after 5 of 10"), (0, "no frame")]
)
def test_a_video_that_is_cut_off_is_said_to_be(monkeypatch, tmp_path, there, words):
    monkeypatch.setattr(Capture, "there", there)
    monkeypatch.setattr(videos.cv2, "VideoCapture", Capture)
    with Frames(tmp_path / "a.mp4") as frames:
        assert len(list(frames)) == there
        assert (words in frames.problem()) == bool(words or not frames.problem())


@pytest.mark.parametrize("rate", [0.0, -1.0, 90000.0, float("nan")])
def test_a_rate_that_is_none_is_not_believed(monkeypatch, tmp_path, rate):
    monkeypatch.setattr(Capture, "rate", rate)
    monkeypatch.setattr(videos.cv2, "VideoCapture", Capture)
    assert Frames(tmp_path / "a.mp4").rate == 25


def test_a_live_recording_keeps_up_with_the_clock(monkeypatch, tmp_path):
    times = iter([100.0, 100.05, 101.0, 101.0])
    monkeypatch.setattr(videos.time, "monotonic", lambda: next(times))
    with Recorder(tmp_path / "a.mp4", 10.0) as recorder:
        for tone in (10, 20, 30, 40):
            recorder.add_live(frame(tone))
    with Frames(tmp_path / "a.mp4") as frames:
        assert len(list(frames)) == 11
