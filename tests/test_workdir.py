"""A workdir belongs to one config, and knows when its run is finished."""

import errno
import json
import os

import pytest

from configs import base
from poseseg_jax.disk import NoRoom
from poseseg_jax.fields import Change
from poseseg_jax.workdir import (
    CONFIG_FILE,
    LOCK_FILE,
    METRICS_FILE,
    allowed_changes,
    claim,
    final_metrics,
    needs_evaluation,
    occupied,
    read_metrics,
)


def config(**groups):
    changed = base.get_config("tiny")
    changed.update(groups)
    return changed.to_dict()


@pytest.fixture
def finished(tmp_path):
    claim(tmp_path, config())
    (tmp_path / "checkpoints" / "7000").mkdir(parents=True)
    (tmp_path / METRICS_FILE).write_text(json.dumps({"train/steps": 7000}))
    return tmp_path


def test_a_claimed_workdir_holds_the_config(tmp_path):
    claim(tmp_path / "new", config())
    written = json.loads((tmp_path / "new" / CONFIG_FILE).read_text())
    assert written == json.loads(json.dumps(config()))


def test_a_run_is_finished_with_its_last_step(finished):
    assert final_metrics(finished, 7000) == {"train/steps": 7000}
    assert final_metrics(finished, 7001) is None
    (finished / METRICS_FILE).unlink()
    assert final_metrics(finished, 7000) is None


@pytest.mark.parametrize(
    "groups",
    [{"decode": {"peak_threshold": 0.1}}, {"eval": {"zoom": 1.5}}],
    ids=["another decoder", "a larger picture"],
)
def test_what_is_scored_differently_has_no_scores_yet(finished, groups):
    claim(finished, config(**groups))
    assert final_metrics(finished, 7000) is None


@pytest.mark.parametrize(
    "groups",
    [{"train": {"log_every": 7}}, {"checkpoint": {"keep": 5}}],
    ids=["another log", "more checkpoints"],
)
def test_what_changes_no_score_keeps_them(finished, groups):
    claim(finished, config(**groups))
    assert final_metrics(finished, 7000)


def test_what_is_only_drawn_otherwise_is_drawn_again(finished):
    """Though no score will be another."""
    changed = config(eval={"overlays": 3})
    assert needs_evaluation(allowed_changes(finished, changed))
    claim(finished, changed)
    assert final_metrics(finished, 7000) is None


def test_another_config_is_refused_by_field_and_changes_nothing(finished):
    before = (finished / CONFIG_FILE).read_text()
    with pytest.raises(ValueError, match=r"optim\.learning_rate: 0\.003 -> 0\.5"):
        claim(finished, config(optim={"learning_rate": 0.5}))
    assert (finished / CONFIG_FILE).read_text() == before
    assert final_metrics(finished, 7000)


def test_a_run_does_not_go_on_with_the_labels_of_another_task(finished):
    with pytest.raises(ValueError, match=r"data\.labels: 'both' -> 'masks'"):
        claim(finished, config(data={"labels": "masks"}))


def test_where_the_data_lie_may_change_but_scores_are_asked_for_again(finished):
    """Whether they are the same data is seen by who opens them."""
    moved = config(data={"root": "/elsewhere", "num_workers": 3})
    changes = allowed_changes(finished, moved)
    assert changes.keys() == {"data.root", "data.num_workers"}
    assert needs_evaluation(changes)
    assert not needs_evaluation({"data.num_workers": Change(1, 3)})


@pytest.mark.parametrize(
    ("old", "new", "moved"), [("A", "B", True), ("A", "", False), ("", "B", False)]
)
def test_an_ancestor_may_be_moved_but_neither_come_nor_go(tmp_path, old, new, moved):
    claim(tmp_path, config(init={"workdir": old}))
    (tmp_path / "checkpoints" / "7000").mkdir(parents=True)
    if moved:
        changes = allowed_changes(tmp_path, config(init={"workdir": new}))
        assert changes == {"init.workdir": (old, new)}
        assert not needs_evaluation(changes)
        return
    with pytest.raises(ValueError, match=r"another config.*init.workdir"):
        allowed_changes(tmp_path, config(init={"workdir": new}))


def test_one_at_a_time_is_at_work_and_leaves_no_trace(tmp_path):
    refused = pytest.raises(ValueError, match=f"process {os.getpid()} ")
    with occupied(tmp_path), refused, occupied(tmp_path):
        pass
    with occupied(tmp_path):
        pass
    assert (tmp_path / LOCK_FILE).read_bytes() == b""


def test_without_locks_there_is_a_warning(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with occupied(tmp_path):
        assert "this file system has no locks" in caplog.text


@pytest.mark.parametrize("content", [b"", b'{"train/st', b"[]", b"7", b"\x80"])
def test_metrics_that_cannot_be_read_are_named(finished, content):
    (finished / METRICS_FILE).write_bytes(content)
    for read in (read_metrics, lambda folder: final_metrics(folder, 7000)):
        with pytest.raises(ValueError, match=r"metrics\.json cannot be read .*Remove"):
            read(finished)


def test_where_there_are_no_metrics_they_say_nothing(tmp_path):
    assert read_metrics(tmp_path) == {}


def logged(folder, *steps):
    lines = [json.dumps({"step": step, "loss/total": 1.0}) for step in steps]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + '\n{"step": 9999')


@pytest.fixture
def pruned(finished):
    """Without its checkpoints; what is left are the metrics."""
    (finished / "checkpoints" / "7000").rmdir()
    return finished


def test_a_finished_run_needs_its_checkpoints_only_to_do_more(pruned):
    assert not allowed_changes(pruned, config())
    for groups in ({"train": {"num_steps": 7001}}, {"eval": {"zoom": 1.5}}):
        with pytest.raises(ValueError, match=r"7000 steps.* gone.*checkpoints back"):
            allowed_changes(pruned, config(**groups))


def test_a_log_tells_of_checkpoints_that_are_gone(pruned):
    (pruned / METRICS_FILE).unlink()
    every = config()["checkpoint"]["every_steps"]
    logged(pruned, 1, every)  # killed within its first save
    assert not allowed_changes(pruned, config())
    logged(pruned, 1, every + 1)
    with pytest.raises(ValueError, match=rf"for {every + 1} steps"):
        allowed_changes(pruned, config())


@pytest.mark.parametrize(
    ("groups", "is_kept"),
    [({"eval": {"zoom": 1.5}}, False), ({"eval": {"every_steps": 7}}, True)],
    ids=["a larger picture", "scored more often"],
)
def test_no_checkpoint_is_the_best_by_other_scores(finished, groups, is_kept):
    path = finished / "checkpoints" / "7000" / "metrics" / "metrics"
    path.parent.mkdir()
    path.write_text("{}")
    claim(finished, config(**groups))
    assert path.exists() == is_kept


def test_a_full_disk_is_explained_wherever_it_is_met(tmp_path):
    with pytest.raises(NoRoom, match="Make room"), occupied(tmp_path):
        raise OSError(errno.ENOSPC, "x")


@pytest.mark.parametrize("has_checkpoints", [True, False])
def test_no_step_is_taken_back(finished, has_checkpoints):
    if not has_checkpoints:
        (finished / "checkpoints" / "7000").rmdir()
    before = (finished / CONFIG_FILE).read_text()
    with pytest.raises(ValueError, match=r"for 7000 steps, .*num_steps is 6999.* 7000"):
        claim(finished, config(train={"num_steps": 6999}))
    assert (finished / CONFIG_FILE).read_text() == before
