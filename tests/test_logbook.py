"""What a run says of itself, when it goes on and when it breaks."""

import json
import logging
import struct
from typing import Any

import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from poseseg_jax import layout
from poseseg_jax.logbook import Logbook

proto: Any = event_pb2  # its names are made when it is imported


def read(workdir):
    lines = (workdir / layout.LOG).read_text().splitlines()
    return [json.loads(line) for line in lines]


def write(workdir, steps, *, first_step=0, **values):
    with Logbook(workdir, first_step=first_step, num_steps=100) as logbook:
        for step in steps:
            logbook.scalars(step, values or {"loss/total": step / 10})
            logbook.advance()
    # Event files are named by the second; two runs of a test may share one.
    (new,) = workdir.glob("events.out.*")
    new.rename(workdir / f"events.{len(list(workdir.glob('events.*')))}")


def events(workdir):
    """Of all files, oldest first: TFRecords of length, checksum, event, checksum."""
    found = []
    for path in sorted(workdir.glob("events.*")):
        content, start = path.read_bytes(), 0
        while start < len(content):
            (length,) = struct.unpack_from("<Q", content, start)
            start += 12
            found.append(proto.Event.FromString(content[start : start + length]))
            start += length + 4
    return found


def shown(workdir):
    """(step, name, value) that TensorBoard shows; a restart hides what it repeats."""
    scalars = []
    for event in events(workdir):
        if event.session_log.status == proto.SessionLog.START:
            scalars = [scalar for scalar in scalars if scalar[0] < event.step]
        for value in event.summary.value:
            scalars.append((event.step, value.tag, value.simple_value))
    return scalars


def test_scalars_are_in_the_file_and_in_tensorboard(tmp_path):
    write(tmp_path, [1, 2])
    assert read(tmp_path) == [
        {"step": 1, "loss/total": 0.1},
        {"step": 2, "loss/total": 0.2},
    ]
    found = [(step, name) for step, name, _ in shown(tmp_path)]
    assert found == [(1, "loss/total"), (2, "loss/total")]


def test_lines_are_written_at_once(tmp_path):
    """Who looks at a running run, or at one that was killed, finds them."""
    with Logbook(tmp_path, first_step=0, num_steps=10) as logbook:
        logbook.scalars(1, {"loss/total": 1.0})
        assert len(read(tmp_path)) == 1


def test_a_score_without_ground_truth_is_null_and_not_drawn(tmp_path):
    write(tmp_path, [5], **{"keypoints/AP": None, "segm/AP": 0.5})
    assert read(tmp_path) == [{"step": 5, "keypoints/AP": None, "segm/AP": 0.5}]
    assert shown(tmp_path) == [(5, "segm/AP", 0.5)]


def test_pictures_are_in_tensorboard(tmp_path):
    with Logbook(tmp_path, first_step=0, num_steps=10) as logbook:
        logbook.picture(3, "val/7", np.zeros((4, 5, 3), np.uint8))
    (value,) = [value for event in events(tmp_path) for value in event.summary.value]
    assert value.tag == "val/7"
    assert (value.image.height, value.image.width) == (4, 5)


def test_in_a_pipe_there_are_plain_lines(tmp_path, capsys, caplog):
    caplog.set_level(logging.INFO, logger="poseseg_jax")
    values = {"loss/total": 1.23456, "segm/AP": None, "crowd/people_1/segm/AP": 0.5}
    values["loss/stage0/mid"] = 0.7
    write(tmp_path, [20], **values)
    assert [record.getMessage() for record in caplog.records] == [
        "step 20 of 100  loss/total 1.235  segm/AP -"
    ]
    assert "\r" not in "".join(capsys.readouterr())


def test_on_a_terminal_there_is_one_bar(tmp_path, capsys, caplog, monkeypatch):
    caplog.set_level(logging.INFO, logger="poseseg_jax")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    write(tmp_path, [1, 2])
    assert not caplog.records
    assert "/100" in capsys.readouterr().err


def test_a_run_that_goes_on_forgets_what_came_after(tmp_path):
    write(tmp_path, range(1, 6))
    write(tmp_path, [4], first_step=3)
    assert [line["step"] for line in read(tmp_path)] == [1, 2, 3, 4]
    assert [step for step, _, _ in shown(tmp_path)] == [1, 2, 3, 4]


def test_no_step_is_there_twice_however_often_a_run_goes_on(tmp_path):
    for _ in range(3):
        write(tmp_path, [2, 3], first_step=1)
    assert [line["step"] for line in read(tmp_path)] == [2, 3]
    assert [step for step, _, _ in shown(tmp_path)] == [2, 3]


def test_an_evaluation_done_again_replaces_its_line_and_no_other(tmp_path):
    """The run was stopped after it; the losses of that step stay."""
    write(tmp_path, [3])
    for score in (0.1, 0.2):
        write(tmp_path, [3], first_step=3, **{"keypoints/AP": score})
    assert read(tmp_path) == [
        {"step": 3, "loss/total": 0.3},
        {"step": 3, "keypoints/AP": 0.2},
    ]


def test_a_run_that_starts_anew_starts_with_an_empty_file(tmp_path):
    write(tmp_path, [1, 2])
    write(tmp_path, [1])
    assert [line["step"] for line in read(tmp_path)] == [1]
    assert [step for step, _, _ in shown(tmp_path)] == [1]


@pytest.mark.parametrize(
    "last", ['{"step": 3, "loss/tot', '{"step"', "{}", "3", '{"loss/total": 1.0}']
)
def test_a_half_written_last_line_is_dropped(tmp_path, last):
    write(tmp_path, [1, 2])
    with (tmp_path / layout.LOG).open("a") as file:
        file.write(last)
    write(tmp_path, [3], first_step=2)
    assert [line["step"] for line in read(tmp_path)] == [1, 2, 3]
